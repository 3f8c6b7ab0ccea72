import { describe, expect, it } from "vitest";
import { pill } from "./picture";

describe("a label's ground", () => {
  it("is as wide and high as asked, of arcs that every browser can draw", () => {
    const arcs: { x: number; y: number; radius: number }[] = [];
    pill(
      {
        arc: (x, y, radius) => {
          arcs.push({ x, y, radius });
        },
        closePath: () => undefined,
      },
      100,
      50,
      80,
      20,
    );
    expect(Math.min(...arcs.map(({ x, radius }) => x - radius))).toBe(60);
    expect(Math.max(...arcs.map(({ x, radius }) => x + radius))).toBe(140);
    expect(arcs.map(({ y, radius }) => [y, radius])).toEqual([
      [50, 10],
      [50, 10],
    ]);
  });
});
