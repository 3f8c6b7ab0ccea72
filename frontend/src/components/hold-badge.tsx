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
  faint: boolean;
}

/** A hold's number and mark, as large as they are whatever the zoom is. */
export const HoldBadge = memo(({ hold, label, mark, estimated, faint }: Properties): JSX.Element => {
  const paint = PAINT[hold.color];
  const [x, y] = hold.center;
  const top = hold.bbox[1] - y;
  const width = mark === null ? 0 : markWidth(mark) + (estimated ? 8 : 0);
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
        <g class="badge-place" transform={`translate(0 ${top})`}>
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

function markWidth(mark: string): number {
  return Array.from(mark).reduce((sum, letter) => sum + (letter > "\u1100" ? 10.5 : 6.6), 13);
}
