import type { JSX } from "preact";
import type { SeenHold, Wall } from "../lib/corrections";
import { pathData } from "../lib/geometry";

interface Properties {
  hold: SeenHold;
  wall: Wall;
  photoUrl: string | null;
  label: string;
}

/** A hold cut from the photo, square, with some wall around it. */
export function HoldCrop({ hold, wall, photoUrl, label }: Properties): JSX.Element {
  const [left, top, right, bottom] = hold.bbox;
  const side = Math.max(right - left, bottom - top) * 1.25;
  const [x, y] = [(left + right - side) / 2, (top + bottom - side) / 2];
  return (
    <svg class="hold-crop" viewBox={`${x} ${y} ${side} ${side}`} role="img" aria-label={label}>
      {photoUrl !== null && <image href={photoUrl} width={wall.width} height={wall.height} />}
      <path class="crop-line" d={pathData(hold.contour)} />
    </svg>
  );
}
