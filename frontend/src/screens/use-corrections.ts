import { useMemo, useState } from "preact/hooks";
import type { Point, Result } from "../api/types";
import { type Correction, nextId, nextProblemId, type Wall } from "../lib/corrections";
import { act, redo, type Timeline, undo } from "../lib/timeline";
import { useApp } from "../state/context";
import type { Entry } from "../state/entry";

export interface Corrections {
  readonly timeline: Timeline<Correction>;
  correct: (correction: Correction) => void;
  undo: () => void;
  redo: () => void;
  /** An id for a problem that is to be made. */
  readonly freeProblem: number;
  /** The new hold's id. */
  draw: (contour: readonly Point[], problem: number | null) => number;
}

const NONE: readonly Correction[] = [];

/** What was corrected lives in the entry; what was undone, only as long as the screen. */
export function useCorrections(
  { id, corrections: kept }: Entry,
  result: Result | null,
  wall: Wall | null,
): Corrections {
  const { corrector } = useApp();
  const [taken, setTaken] = useState({ undone: NONE, from: "" });
  const from = useMemo(() => JSON.stringify(kept), [kept]);
  // Another tab has changed the wall since: what was undone here does not fit it any more.
  const undone = taken.from === from ? taken.undone : NONE;
  const timeline: Timeline<Correction> = { done: kept, undone };
  const turn = (next: Timeline<Correction>): void => {
    if (next === timeline) return;
    setTaken({ undone: next.undone, from: JSON.stringify(next.done) });
    corrector.change(id, { corrections: next.done });
  };
  const correct = (correction: Correction): void => turn(act(timeline, correction));
  return {
    timeline,
    correct,
    undo: () => turn(undo(timeline)),
    redo: () => turn(redo(timeline)),
    freeProblem: nextProblemId(result?.problems ?? [], [...timeline.done, ...undone]),
    draw: (contour, problem) => {
      // An undone hold keeps its number, in case it comes back.
      const hold_id = nextId(result ?? { hold_data: [] }, [...timeline.done, ...undone]);
      const color = wall?.problems.find((one) => one.id === problem)?.color_name ?? "unknown";
      correct({ op: "add", hold_id, contour, color, kind: "hold", problem_id: problem });
      return hold_id;
    },
  };
}
