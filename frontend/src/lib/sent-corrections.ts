import type { Hold, Problem, SentCorrections, Tag } from "../api/types";
import {
  correct,
  type Correction,
  type Found,
  problemOf,
  same,
  type SeenHold,
  type SeenProblem,
} from "./corrections";

/**
 * As the service takes them: the whole difference between the result and the wall, not how it came about. The types
 * check that both speak of the same.
 */
export function asSent(result: Found, corrections: readonly Correction[], share: boolean): SentCorrections {
  const wall = correct(result, corrections);
  const after = new Map(wall.holds.map((hold) => [hold.id, hold]));
  const added = wall.holds.filter(({ drawn: byHand }) => byHand);
  const recoloured = new Set(
    corrections.filter(({ op }) => op === "set_color").map(({ hold_id }) => hold_id),
  );
  const nameOf = (id: number): number | string => {
    const place = added.findIndex((hold) => hold.id === id);
    return place < 0 ? id : `a${place}`;
  };
  return {
    holds: result.hold_data.flatMap((before) => {
      const change = difference(before, after.get(before.id), recoloured, result.problems);
      return change === null ? [] : [change];
    }),
    added: added.map(({ contour, color, kind, problemId }) => ({
      contour: contour.map(([x, y]): [number, number] => [x, y]),
      color,
      kind,
      problem: problemId,
    })),
    problems: wall.problems.flatMap((now) => {
      const before = result.problems.find(({ id }) => id === now.id);
      const start = said(now, "start", before?.start_ids, after);
      const top = said(now, "top", before?.top_ids, after);
      if (start === null && top === null) return [];
      return [{ id: now.id, start: start?.map(nameOf) ?? null, top: top?.map(nameOf) ?? null }];
    }),
    share,
  };
}

/**
 * Where a person said that a problem starts, or ends; null where nobody did. What the machine estimated is not sent
 * back as if a person had said it; and that a start was no hold at all is said by its deletion.
 */
function said(
  problem: SeenProblem,
  tag: Tag,
  before: readonly number[] = [],
  after: ReadonlyMap<number, SeenHold>,
): readonly number[] | null {
  const now = tag === "start" ? problem.start_ids : problem.top_ids;
  const left = before.filter((id) => after.has(id));
  return problem.said.includes(tag) || !same(now, left) ? now : null;
}

/** What to say of a hold; null where nothing was changed. */
function difference(
  before: Hold,
  now: SeenHold | undefined,
  recoloured: ReadonlySet<number>,
  problems: readonly Problem[],
): SentCorrections["holds"][number] | null {
  if (now === undefined) return { id: before.id, deleted: true };
  const change = {
    ...(recoloured.has(before.id) && { color: now.individual_color }),
    ...(now.kind !== before.kind && { kind: now.kind }),
    ...(now.problemId !== problemOf(problems, before.id) && { problem: now.problemId ?? 0 }),
  };
  return Object.keys(change).length === 0 ? null : { id: before.id, deleted: false, ...change };
}
