import type { JSX } from "preact";
import { useId } from "preact/hooks";
import type { Catalogue } from "../i18n";
import type { SeenProblem } from "../lib/corrections";
import { patternOf } from "../lib/patterns";
import { Swatch } from "./swatch";

interface Properties {
  problems: readonly SeenProblem[];
  value: number | null;
  /** An id for a problem that is to be made. */
  free: number;
  text: Catalogue;
  onChange: (problem: number | null) => void;
}

export function ProblemPicker({ problems, value, free, text, onChange }: Properties): JSX.Element {
  const name = useId();
  const alone = problems.some(({ id, made, hold_count }) => id === value && made && hold_count === 1);
  return (
    <fieldset class="problem-picker">
      <legend>{text.hold.problem}</legend>
      <div class="picker-row">
        {problems.map((problem, index) => (
          <label key={problem.id}>
            <input
              type="radio"
              name={name}
              checked={problem.id === value}
              onChange={() => onChange(problem.id)}
            />
            <span>
              <Swatch colour={problem.color_name} pattern={patternOf(index)} number={index + 1} size={30} />
              {text.colours[problem.color_name]}
            </span>
          </label>
        ))}
        <label>
          <input type="radio" name={name} checked={value === null} onChange={() => onChange(null)} />
          <span>{text.wall.noProblem}</span>
        </label>
        {!alone && (
          <label>
            <input type="radio" name={name} checked={false} onChange={() => onChange(free)} />
            <span>{text.correct.newProblem}</span>
          </label>
        )}
      </div>
    </fieldset>
  );
}
