import type { Size } from "./viewport";

/** Safari draws nothing at all on a larger canvas. */
export const MOST_PIXELS = 16_777_216;
/** The service works at 1600; more than this only makes the upload slow. */
export const LONGEST_SIDE = 2560;

/** The largest size of the same shape within both limits; never larger than the photo. */
export function sizeWithin(photo: Size, longest = LONGEST_SIDE, mostPixels = MOST_PIXELS): Size {
  const factor = Math.min(
    1,
    longest / Math.max(photo.width, photo.height),
    Math.sqrt(mostPixels / (photo.width * photo.height)),
  );
  return {
    width: Math.max(1, Math.floor(photo.width * factor)),
    height: Math.max(1, Math.floor(photo.height * factor)),
  };
}
