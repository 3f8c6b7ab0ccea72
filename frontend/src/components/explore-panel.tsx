import type { JSX } from "preact";
import type { Result } from "../api/types";
import type { Catalogue } from "../i18n";
import type { SeenHold, Wall } from "../lib/corrections";
import { HoldCard } from "./hold-card";
import { HoldStepper } from "./hold-stepper";
import { NoticeLine } from "./notice-line";
import { ProblemCard } from "./problem-card";
import { ProblemChips } from "./problem-chips";

interface Properties {
  wall: Wall;
  result: Result;
  hold: SeenHold | null;
  problem: number | null;
  photoUrl: string | null;
  text: Catalogue;
  onChoose: (problem: number | null) => void;
  onStep: (by: 1 | -1) => void;
  onClose: () => void;
}

/** What there is to know of a wall, a problem or a hold. */
export function ExplorePanel(properties: Properties): JSX.Element {
  const { wall, hold, text, onStep } = properties;
  return (
    <>
      {hold !== null ? <HoldCard {...properties} hold={hold} /> : <Overview {...properties} />}
      {wall.holds.length > 0 && <HoldStepper text={text} onStep={onStep} />}
    </>
  );
}

function Overview({ wall, result, problem, text, onChoose }: Properties): JSX.Element {
  const chosen = wall.problems.find(({ id }) => id === problem);
  if (wall.holds.length === 0) {
    return (
      <div class="empty-panel">
        <h2>{text.wall.empty}</h2>
        <p class="dim">{text.wall.emptyHint}</p>
      </div>
    );
  }
  const { total_holds: found, holds_kept: kept, truncated } = result.statistics;
  return (
    <>
      {result.is_dummy && <NoticeLine>{text.wall.dummy}</NoticeLine>}
      {result.degraded && !result.is_dummy && <NoticeLine>{text.wall.degraded}</NoticeLine>}
      <h2 class="summary">
        {text.common.holds(wall.holds.length)} <span class="dim">·</span>{" "}
        {text.common.problems(wall.problems.length)}
      </h2>
      {truncated && problem === null && <p class="note">{text.wall.truncated(found, kept)}</p>}
      {wall.problems.length === 0 && <p class="dim">{text.wall.noProblems}</p>}
      {chosen !== undefined && <ProblemCard problem={chosen} text={text} />}
      {wall.problems.length > 0 && (
        <ProblemChips problems={wall.problems} chosen={problem} text={text} onChoose={onChoose} />
      )}
    </>
  );
}
