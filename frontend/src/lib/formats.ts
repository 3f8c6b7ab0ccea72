import type { Result } from "../api/types";
import { area, bounds } from "./geometry";
import type { Correction, Wall } from "./corrections";

/** Everything that is known of a wall, for people and programs. */
export function asJson(result: Result, corrections: readonly Correction[], wall: Wall): string {
  const holds = wall.holds.map(({ problemId, drawn, ...hold }) => ({
    ...hold,
    problem_id: problemId,
    drawn,
  }));
  const problems = wall.problems.map(({ changed, ...problem }) => ({ ...problem, changed }));
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
    const { left, top, right, bottom } = bounds(hold.contour);
    return {
      id: hold.id,
      image_id: 1,
      category_id: hold.kind === "hold" ? 1 : 2,
      segmentation: [hold.contour.flat()],
      area: area(hold.contour),
      bbox: [left, top, right - left, bottom - top],
      iscrowd: 0,
      attributes: { color: hold.individual_color, problem_id: hold.problemId, tag: hold.tag },
    };
  });
  const images = [{ id: 1, file_name: fileName, width: wall.width, height: wall.height }];
  return JSON.stringify({ images, categories, annotations }, null, 1);
}
