import type { JSX } from "preact";
import type { Point } from "../api/types";
import { pathData } from "../lib/geometry";

/** A stroke under the finger. */
export function DrawnStroke({ points }: { points: readonly Point[] }): JSX.Element {
  return (
    <g class="drawn">
      <path class="casing" d={pathData(points)} />
      <path class="line" d={pathData(points)} />
    </g>
  );
}
