import type { JSX } from "preact";
import type { Colour } from "../api/types";
import { inkOn, PAINT } from "../lib/colours";
import { type PatternName, TILES } from "../lib/patterns";

interface Properties {
  colour: Colour;
  /** A problem's pattern and number; a mere colour has neither. */
  pattern?: PatternName;
  number?: number;
  size?: number;
}

/** A colour with its second sign. What it means is written beside it. */
export function Swatch({ colour, pattern, number, size = 36 }: Properties): JSX.Element {
  const ink = inkOn(PAINT[colour]);
  return (
    <svg class="swatch" width={size} height={size} viewBox="0 0 36 36" aria-hidden="true">
      <rect x="1" y="1" width="34" height="34" rx="11" fill={PAINT[colour]} />
      {pattern !== undefined && <Tile pattern={pattern} ink={ink} />}
      {number !== undefined && (
        <g>
          <circle cx="18" cy="18" r="10" fill={PAINT[colour]} />
          <text x="18" y="18" dy="0.35em" text-anchor="middle" fill={ink}>
            {number}
          </text>
        </g>
      )}
      <rect class="swatch-edge" x="1" y="1" width="34" height="34" rx="11" />
    </svg>
  );
}

function Tile({ pattern, ink }: { pattern: PatternName; ink: string }): JSX.Element {
  const { stroke, fill } = TILES[pattern];
  const tiles = [0, 12, 24].flatMap((y) => [0, 12, 24].map((x) => ({ x, y })));
  return (
    <g opacity="0.55">
      {tiles.map(({ x, y }) => (
        <g key={`${x} ${y}`} transform={`translate(${x} ${y})`} class="swatch-tile">
          {stroke !== undefined && <path d={stroke} fill="none" stroke={ink} stroke-width="2" />}
          {fill !== undefined && <path d={fill} fill={ink} />}
        </g>
      ))}
    </g>
  );
}
