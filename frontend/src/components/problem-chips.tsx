import type { JSX } from "preact";
import type { Catalogue } from "../i18n";
import type { SeenProblem } from "../lib/corrections";
import { patternOf } from "../lib/patterns";
import { Swatch } from "./swatch";

interface Properties {
  problems: readonly SeenProblem[];
  chosen: number | null;
  text: Catalogue;
  onChoose: (id: number | null) => void;
}

/** One chip a problem: colour, pattern, number, name, count and grades. */
export function ProblemChips({ problems, chosen, text, onChoose }: Properties): JSX.Element {
  return (
    <div class="chips" role="group" aria-label={text.wall.problems}>
      {problems.map((problem, index) => (
        <button
          key={problem.id}
          type="button"
          class="chip"
          aria-pressed={chosen === problem.id}
          onClick={() => onChoose(chosen === problem.id ? null : problem.id)}
        >
          <Swatch colour={problem.color_name} pattern={patternOf(index)} number={index + 1} size={40} />
          <span class="chip-words">
            <strong>{text.colours[problem.color_name]}</strong>
            <span class="dim">{summary(problem, text)}</span>
          </span>
        </button>
      ))}
    </div>
  );
}

function summary(problem: SeenProblem, text: Catalogue): string {
  const holds = text.common.holds(problem.hold_count);
  const difficulty = problem.difficulty;
  return difficulty === null ? holds : `${holds} · ${text.problem.range(difficulty.low, difficulty.high)}`;
}
