import type { JSX } from "preact";
import type { SeenHold, Wall } from "../lib/corrections";
import { pathData } from "../lib/geometry";
import { places } from "../lib/order";
import { HoldBadge, markWidth } from "./hold-badge";
import { HoldOutline } from "./hold-outline";
import { ProblemPatterns } from "./problem-patterns";

interface Properties {
  wall: Wall;
  selected: number | null;
  problem: number | null;
  /** CSS pixels of a photo pixel, when the view last came to rest. */
  scale: number;
  marks: { start: string; top: string };
}

/** Holds with fewer CSS pixels across carry no number, which would hide them, unless no other of their problem does. */
const LEAST_FOR_LABEL = 24;
/** On smaller ones dashes run together. */
const LEAST_FOR_DASHES = 12;

/** Everything that lies on the photo, in its pixels. */
export function WallOverlay({ wall, selected, problem, scale, marks }: Properties): JSX.Element {
  const order = new Map(wall.problems.map(({ id }, index) => [id, index]));
  const place = places(wall);
  const largest = largestOfEach(wall);
  /** Its problem's number; where one problem was chosen its own in that, as the panel calls it. */
  const numberOf = ({ id, problemId }: SeenHold): number | undefined => {
    if (problem !== null) return place.get(id)?.number;
    const index = problemId === null ? undefined : order.get(problemId);
    return index === undefined ? undefined : index + 1;
  };
  const lookOf = (hold: SeenHold): "plain" | "chosen" | "dimmed" | "selected" => {
    if (hold.id === selected) return "selected";
    if (problem !== null) return hold.problemId === problem ? "chosen" : "dimmed";
    return "plain";
  };
  return (
    <>
      <ProblemPatterns problems={wall.problems} tile={wall.width / 60} />
      <Veil wall={wall} selected={selected} problem={problem} />
      {wall.holds.map((hold) => (
        <HoldOutline
          key={hold.id}
          hold={hold}
          problemIndex={hold.problemId === null ? null : (order.get(hold.problemId) ?? null)}
          look={lookOf(hold)}
          detailed={Math.sqrt(hold.area) * scale >= LEAST_FOR_DASHES}
        />
      ))}
      <g class="badges">
        {wall.holds.map((hold) => {
          const number = numberOf(hold);
          const faint = lookOf(hold) === "dimmed";
          const wide = Math.sqrt(hold.area) * scale >= LEAST_FOR_LABEL || largest.has(hold.id);
          const label = number !== undefined && wide && !faint ? String(number) : null;
          const mark = hold.tag === null || faint ? null : marks[hold.tag];
          if (label === null && mark === null) return null;
          return (
            <HoldBadge
              key={hold.id}
              hold={hold}
              label={label}
              mark={mark}
              estimated={hold.estimated}
              shift={
                mark === null
                  ? 0
                  : offTheEdge(hold.center[0], markWidth(mark, hold.estimated) / scale, wall.width)
              }
              faint={faint}
            />
          );
        })}
      </g>
    </>
  );
}

/** One hold of each problem: colour is never the only sign of it, however small the screen is. */
function largestOfEach({ holds, problems }: Wall): ReadonlySet<number> {
  const size = new Map(holds.map(({ id, area }) => [id, area]));
  return new Set(
    problems.flatMap((problem) =>
      [...problem.holds].sort((one, other) => (size.get(other) ?? 0) - (size.get(one) ?? 0)).slice(0, 1),
    ),
  );
}

/** How far something so wide moves to lie on the photo as a whole. */
function offTheEdge(middle: number, width: number, photo: number): number {
  const inside = Math.min(Math.max(middle, width / 2), Math.max(photo - width / 2, width / 2));
  return inside - middle;
}

/** Darkens the wall around what was chosen. */
function Veil({
  wall,
  selected,
  problem,
}: Pick<Properties, "wall" | "selected" | "problem">): JSX.Element | null {
  const shown = wall.holds.filter((hold) => hold.id === selected || hold.problemId === problem);
  if ((selected === null && problem === null) || shown.length === 0) return null;
  const around = `M0 0H${wall.width}V${wall.height}H0Z`;
  const holes = shown.map((hold) => pathData(hold.contour)).join("");
  return <path class={problem === null ? "veil light" : "veil"} d={around + holes} fill-rule="evenodd" />;
}
