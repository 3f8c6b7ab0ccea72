import { describe, expect, it } from "vitest";
import type { Wall } from "./corrections";
import { asCoco } from "./formats";

const WALL: Wall = {
  width: 640,
  height: 480,
  problems: [],
  holds: [
    {
      id: 3,
      center: [15, 15],
      area: 50,
      bbox: [8, 9, 30, 40],
      contour: [
        [10, 10],
        [20, 10],
        [15, 22],
      ],
      score: 0.5,
      kind: "volume",
      color: "red",
      individual_color: "red",
      color_scores: {},
      rgb: [1, 2, 3],
      hsv: [0, 0, 0],
      lab: [0, 0, 0],
      tag: "top",
      problemId: 2,
      drawn: false,
      said: null,
      estimated: false,
    },
  ],
};

describe("COCO", () => {
  it("has the image, two categories, and boxes as corner and size", () => {
    const coco = JSON.parse(asCoco(WALL, "wall.jpg")) as Record<string, Record<string, unknown>[]>;
    expect(coco["images"]).toEqual([{ id: 1, file_name: "wall.jpg", width: 640, height: 480 }]);
    expect(coco["categories"]?.map(({ name }) => name)).toEqual(["hold", "volume"]);
    expect(coco["annotations"]?.[0]).toMatchObject({
      image_id: 1,
      category_id: 2,
      bbox: [10, 10, 10, 12],
      area: 60,
      segmentation: [[10, 10, 20, 10, 15, 22]],
      iscrowd: 0,
      attributes: { color: "red", problem_id: 2, tag: "top" },
    });
  });
});
