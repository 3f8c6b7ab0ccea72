import type { JSX } from "preact";
import { luminance, PAINT } from "../lib/colours";
import type { SeenHold } from "../lib/corrections";
import { pathData } from "../lib/geometry";
import { dashOf } from "../lib/patterns";
import { memo } from "./memo";

interface Properties {
  hold: SeenHold;
  /** Its problem's place in the list; null for none. */
  problemIndex: number | null;
  look: "plain" | "chosen" | "dimmed" | "selected";
  /** Large enough on the screen for dashes to be told apart. */
  detailed: boolean;
}

const WIDTH = 2.4;
/** Relative luminance below which a colour needs a light casing. */
const DARK = 0.06;

/** One outline in photo pixels: a casing that stands out from any wall, and the colour with its dashes upon it. */
export const HoldOutline = memo(({ hold, problemIndex, look, detailed }: Properties): JSX.Element => {
  const paint = PAINT[hold.color];
  const path = pathData(hold.contour);
  const dashes = problemIndex === null ? "2 4" : detailed ? dashOf(problemIndex, WIDTH) : undefined;
  const fill = look === "chosen" && hold.problemId !== null ? `url(#problem-${hold.problemId})` : "none";
  return (
    <g class={`outline ${look}`} data-hold={hold.id}>
      <path class="casing" d={path} fill={fill} stroke={luminance(paint) < DARK ? "#ffffff" : "#0b0c0d"} />
      <path class="line" d={path} stroke={paint} stroke-dasharray={dashes} />
    </g>
  );
});
