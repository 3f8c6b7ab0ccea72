import type { JSX } from "preact";
import { inkOn, PAINT } from "../lib/colours";
import type { SeenProblem } from "../lib/corrections";
import { patternOf, TILES } from "../lib/patterns";

interface Properties {
  problems: readonly SeenProblem[];
  /** Photo pixels of a tile's side. */
  tile: number;
}

/** Fills for the holds of a chosen problem, by its id. */
export function ProblemPatterns({ problems, tile }: Properties): JSX.Element {
  return (
    <defs>
      {problems.map((problem, index) => {
        const { stroke, fill } = TILES[patternOf(index)];
        const paint = PAINT[problem.color_name];
        const ink = inkOn(paint);
        return (
          <pattern
            key={problem.id}
            id={`problem-${problem.id}`}
            width="12"
            height="12"
            patternUnits="userSpaceOnUse"
            patternTransform={`scale(${tile / 12})`}
          >
            <rect width="12" height="12" fill={paint} opacity="0.28" />
            {stroke !== undefined && (
              <path d={stroke} fill="none" stroke={ink} stroke-width="1.4" opacity="0.5" />
            )}
            {fill !== undefined && <path d={fill} fill={ink} opacity="0.4" />}
          </pattern>
        );
      })}
    </defs>
  );
}
