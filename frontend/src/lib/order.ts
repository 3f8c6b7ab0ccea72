import type { SeenHold, Wall } from "./corrections";

/** Which of its problem's holds a hold is, counted from the ground; or of those in no problem. */
export interface Place {
  readonly number: number;
  readonly of: number;
}

/** As somebody goes through them: problem after problem, those in none at the end, each from the ground up. */
export function inOrder(wall: Wall): readonly SeenHold[] {
  const order = new Map(wall.problems.map(({ id }, index) => [id, index]));
  const rank = ({ problemId }: SeenHold): number =>
    (problemId === null ? undefined : order.get(problemId)) ?? order.size;
  return [...wall.holds].sort((one, other) => rank(one) - rank(other) || other.center[1] - one.center[1]);
}

/** Of each hold, by its id. */
export function places(wall: Wall): ReadonlyMap<number, Place> {
  const groups = new Map<number | null, SeenHold[]>();
  for (const hold of inOrder(wall)) groups.set(hold.problemId, [...(groups.get(hold.problemId) ?? []), hold]);
  const found = [...groups.values()].flatMap((holds) =>
    holds.map(({ id }, index): [number, Place] => [id, { number: index + 1, of: holds.length }]),
  );
  return new Map(found);
}
