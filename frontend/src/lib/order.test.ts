import { describe, expect, it } from "vitest";
import type { SeenHold, Wall } from "./corrections";
import { inOrder, places } from "./order";

function wall(...holds: [id: number, problemId: number | null, y: number][]): Wall {
  const seen = holds.map(([id, problemId, y]) => ({ id, problemId, center: [0, y] }) as unknown as SeenHold);
  const problems = [{ id: 8 }, { id: 5 }] as unknown as Wall["problems"];
  return { width: 100, height: 100, holds: seen, problems };
}

const WALL = wall([1, 5, 10], [2, 8, 20], [3, null, 99], [4, 8, 70], [5, 5, 50], [6, 77, 3]);

describe("the order of holds", () => {
  it("goes problem after problem as they are shown, each from the ground up, and ends with those in none", () => {
    expect(inOrder(WALL).map(({ id }) => id)).toEqual([4, 2, 5, 1, 3, 6]);
  });

  it("counts a hold among those of its problem", () => {
    expect(Object.fromEntries(places(wall([1, 5, 10], [2, 5, 90], [3, null, 4])))).toEqual({
      1: { number: 2, of: 2 },
      2: { number: 1, of: 2 },
      3: { number: 1, of: 1 },
    });
  });
});
