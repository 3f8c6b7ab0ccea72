import type { JSX } from "preact";
import type { Colour } from "../api/types";
import { COLOURS } from "../lib/colours";
import { Swatch } from "./swatch";

interface Properties {
  scores: Readonly<Record<string, number>>;
  names: Readonly<Record<Colour, string>>;
}

/** The likeliest colours of a hold, each with its share. */
export function ColourBars({ scores, names }: Properties): JSX.Element {
  const known = COLOURS.flatMap((colour) => {
    const score = scores[colour];
    return score === undefined ? [] : [{ colour, score }];
  });
  known.sort((one, other) => other.score - one.score);
  return (
    <ul class="colour-bars">
      {known.map(({ colour, score }) => (
        <li key={colour}>
          <Swatch colour={colour} size={18} />
          <span>{names[colour]}</span>
          <meter min={0} max={1} value={score} aria-label={names[colour]} />
          <span class="number">{Math.round(score * 100)} %</span>
        </li>
      ))}
    </ul>
  );
}
