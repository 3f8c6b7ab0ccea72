import type { JSX } from "preact";
import type { Catalogue } from "../i18n";
import type { SeenProblem } from "../lib/corrections";

/** What is known of one problem, and how far it can be believed. */
export function ProblemCard({ problem, text }: { problem: SeenProblem; text: Catalogue }): JSX.Element {
  const { difficulty, climb_type: climb } = problem;
  return (
    <section class="problem-card" aria-label={text.colours[problem.color_name]}>
      {difficulty === null ? (
        !problem.made && <p class="dim">{text.problem.tooFew}</p>
      ) : (
        <div class="grade-row">
          <div class="grade">
            <span class="grade-main">{difficulty.grade}</span>
            <span class="dim">{text.problem.range(difficulty.low, difficulty.high)}</span>
          </div>
          <ul class="words">
            {climb?.types.map((name) => (
              <li key={name} class="word strong">
                {text.problem.styles[name] ?? name}
              </li>
            ))}
            {difficulty.factors.map((name) => (
              <li key={name} class="word">
                {text.problem.factors[name] ?? name}
              </li>
            ))}
          </ul>
        </div>
      )}
      <p class="note">{notes(problem, text).join(" ")}</p>
    </section>
  );
}

function notes(problem: SeenProblem, text: Catalogue): string[] {
  const said: string[] = [];
  if (problem.made) said.push(text.problem.made);
  else if (problem.changed) said.push(text.problem.changed);
  else if (problem.difficulty !== null) said.push(text.problem.gradeNote);
  const start = problem.start_estimated && problem.start_ids.length > 0;
  const top = problem.top_estimated && problem.top_ids.length > 0;
  if (start && top) said.push(text.problem.estimatedEnds);
  else if (start) said.push(text.problem.estimatedStart);
  else if (top) said.push(text.problem.estimatedTop);
  return said;
}
