import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Point } from "../api/types";
import type { Camera } from "../lib/camera";
import type { SeenHold, Wall } from "../lib/corrections";
import { bounds, hitTest } from "../lib/geometry";
import { inOrder } from "../lib/order";

/** The hold and the problem that a person looks at. */
export interface Selection {
  readonly hold: SeenHold | null;
  readonly problem: number | null;
  /** A problem, or none; the camera follows. */
  choose: (problem: number | null) => void;
  select: (hold: number | null) => void;
  /** To the next hold, or the one before, among those of the chosen problem. */
  step: (by: 1 | -1) => void;
  tap: (point: Point, slop: number) => void;
  /** As before the latest tap: it turned out to be half of a double tap. */
  untap: () => void;
  /** Lets go of the hold, then of the problem. */
  escape: () => void;
}

const PANEL_GROWS_MS = 600;

export function useSelection(
  wall: Wall | null,
  camera: RefObject<Camera | null>,
  covered: number,
): Selection {
  const [holdId, select] = useState<number | null>(null);
  const [chosenProblem, setProblem] = useState<number | null>(null);
  // It may have gone with its last hold.
  const problem = wall?.problems.some(({ id }) => id === chosenProblem) === true ? chosenProblem : null;
  const chosenAt = useRef(0);
  const beforeTap = useRef<{ hold: number | null; problem: number | null }>({ hold: null, problem: null });
  const holds = wall?.holds ?? [];

  const choose = (chosen: number | null): void => {
    setProblem(chosen);
    select(null);
    chosenAt.current = Date.now();
    if (chosen === null) camera.current?.showAll();
  };
  const selectHold = (chosen: number | null): void => {
    select(chosen);
    const hold = holds.find(({ id }) => id === chosen);
    if (hold !== undefined && hold.problemId !== problem) setProblem(null);
  };
  // Again while the panel grows to tell of it; later the view is the person's.
  useEffect(() => {
    const box = boxOf(holds.filter((hold) => hold.problemId === problem));
    if (problem === null || box === null || Date.now() - chosenAt.current > PANEL_GROWS_MS) return;
    camera.current?.showBox(box, 0.86);
    // Corrections move no camera.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [problem, covered, camera]);
  const hold = holds.find(({ id }) => id === holdId) ?? null;
  // Again when the panel grows: it must not cover what it tells of.
  useEffect(() => {
    if (hold === null) return;
    const [left, top, right, bottom] = hold.bbox;
    camera.current?.reveal({ left, top, right, bottom });
    // A corrected hold is a new object in the same place.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [holdId, covered, camera]);
  return {
    hold,
    problem,
    choose,
    select: selectHold,
    step: (by) => {
      const all = wall === null ? [] : inOrder(wall);
      const members = all.filter((hold) => hold.problemId === problem);
      // A problem may have lost its last hold.
      const among = problem === null || members.length === 0 ? all : members;
      const at = among.findIndex(({ id }) => id === holdId);
      selectHold(among[at < 0 ? 0 : (at + by + among.length) % among.length]?.id ?? null);
    },
    tap: (point, slop) => {
      beforeTap.current = { hold: holdId, problem };
      const hit = hitTest(holds, point, slop);
      if (hit !== null || holdId !== null) selectHold(hit?.id ?? null);
      else if (problem !== null) choose(null);
    },
    untap: () => {
      select(beforeTap.current.hold);
      setProblem(beforeTap.current.problem);
    },
    escape: () => {
      if (holdId !== null) select(null);
      else choose(null);
    },
  };
}

function boxOf(holds: readonly SeenHold[]): ReturnType<typeof bounds> | null {
  const corners = holds.flatMap(({ bbox: [left, top, right, bottom] }): Point[] => [
    [left, top],
    [right, bottom],
  ]);
  return corners.length === 0 ? null : bounds(corners);
}
