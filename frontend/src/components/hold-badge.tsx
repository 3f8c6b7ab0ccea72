import type { JSX } from "preact";
import { inkOn, PAINT } from "../lib/colours";
import type { SeenHold } from "../lib/corrections";
import { memo } from "./memo";

interface Properties {
  hold: SeenHold;
  label: string | null;
  /** START or TOP, in the person's language. */
  mark: string | null;
  estimated: boolean;
  /** Pixels of the photo by which the mark moves sideways, off its edge. */
  shift: number;
  faint: boolean;
}

/** A hold's number and mark, as large as they are whatever the zoom is. */
export const HoldBadge = memo(({ hold, label, mark, estimated, shift, faint }: Properties): JSX.Element => {
  const paint = PAINT[hold.color];
  const [x, y] = hold.center;
  const top = hold.bbox[1] - y;
  const width = mark === null ? 0 : markWidth(mark, estimated);
  return (
    <g class={faint ? "badge faint" : "badge"} transform={`translate(${x} ${y})`}>
      <g class="badge-steady">
        {label !== null && (
          <g>
            <circle r="9" fill={paint} stroke={inkOn(paint)} />
            <text dy="0.35em" fill={inkOn(paint)}>
              {label}
            </text>
          </g>
        )}
      </g>
      {mark !== null && (
        <g class="badge-place" transform={`translate(${shift} ${top})`}>
          <g class={`badge-steady mark ${hold.tag ?? ""}`}>
            <rect
              x={-width / 2}
              y="-21"
              width={width}
              height="18"
              rx={hold.tag === "top" ? 4 : 9}
              stroke-dasharray={estimated ? "3 2" : undefined}
            />
            <text y="-12" dy="0.35em">
              {estimated ? `${mark}?` : mark}
            </text>
          </g>
        </g>
      )}
    </g>
  );
});

/** In CSS pixels, at any zoom. */
export function markWidth(mark: string, estimated: boolean): number {
  const letters = Array.from(mark).reduce((sum, letter) => sum + (letter > "\u1100" ? 10.5 : 6.6), 13);
  return estimated ? letters + 8 : letters;
}
