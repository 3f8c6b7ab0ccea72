import type { Point, Result } from "../api/types";
import { area, bounds } from "./geometry";
import type { Correction, SeenHold, Wall } from "./corrections";

/** Everything that is known of a wall, for people and programs. */
export function asJson(result: Result, corrections: readonly Correction[], wall: Wall): string {
  const holds = wall.holds.map(({ problemId, drawn, said, estimated, ...hold }) => ({
    ...hold,
    problem_id: problemId,
    drawn,
    color_said: said,
    tag_estimated: estimated,
  }));
  const problems = wall.problems.map(({ said, ...problem }) => ({ ...problem, ends_said: said }));
  const whole = {
    image_width: wall.width,
    image_height: wall.height,
    is_dummy: result.is_dummy,
    degraded: result.degraded,
    error_reason: result.error_reason,
    statistics: result.statistics,
    timings_ms: result.timings_ms,
    holds,
    problems,
    corrections,
  };
  return JSON.stringify(whole, null, 1);
}

/** COCO object detection format (cocodataset.org, "Data format"): one image, polygons as segmentations. */
export function asCoco(wall: Wall, fileName: string): string {
  const categories = [
    { id: 1, name: "hold", supercategory: "climbing" },
    { id: 2, name: "volume", supercategory: "climbing" },
  ];
  const annotations = wall.holds.map((hold) => {
    // Of the outline that stands beside it: a large volume's outline is simpler than what its box was made of.
    const contour = hold.contour.length < 3 ? corners(hold.bbox) : hold.contour;
    const { left, top, right, bottom } = bounds(contour);
    return {
      id: hold.id,
      image_id: 1,
      category_id: hold.kind === "hold" ? 1 : 2,
      segmentation: [contour.flat()],
      area: area(contour),
      bbox: [left, top, right - left, bottom - top],
      iscrowd: 0,
      attributes: { color: hold.color, problem_id: hold.problemId, tag: hold.tag },
    };
  });
  const images = [{ id: 1, file_name: fileName, width: wall.width, height: wall.height }];
  return JSON.stringify({ images, categories, annotations }, null, 1);
}

/** The outline of a hold so thin that it has none. */
function corners([left, top, right, bottom]: SeenHold["bbox"]): Point[] {
  return [
    [left, top],
    [right, top],
    [right, bottom],
    [left, bottom],
  ];
}
