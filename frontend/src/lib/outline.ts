import type { Point } from "../api/types";
import { area } from "./geometry";
import type { Size } from "./viewport";

/** CSS pixels: what is drawn smaller was not meant. */
const LEAST_SIDE = 14;
/** Photo px²: the service takes no smaller hold (docs/corrections.md), and would refuse all corrections for it. */
const LEAST_AREA = 16;
/** Of the photo: nothing on a wall is larger, and the service takes no more. */
const MOST_SHARE = 0.5;

/** What is wrong with an outline drawn at `scale` CSS pixels a photo pixel; null: it can be a hold. */
export function unfit(contour: readonly Point[], scale: number, photo: Size): "small" | "large" | null {
  const size = area(contour);
  if (contour.length < 3 || Math.sqrt(size) * scale < LEAST_SIDE || size < LEAST_AREA) return "small";
  return size > MOST_SHARE * photo.width * photo.height ? "large" : null;
}
