import { describe, expect, it } from "vitest";
import type { Point } from "../api/types";
import { area, bounds, centroid, distanceTo, hitTest, isInside, pathData, simplify } from "./geometry";

const SQUARE: Point[] = [
  [0, 0],
  [10, 0],
  [10, 10],
  [0, 10],
];
/** A C that opens to the right. */
const HORSESHOE: Point[] = [
  [0, 0],
  [9, 0],
  [9, 3],
  [3, 3],
  [3, 6],
  [9, 6],
  [9, 9],
  [0, 9],
];

describe("an outline", () => {
  it("has the area of what it encloses, whichever way round it is drawn", () => {
    expect(area(SQUARE)).toBe(100);
    expect(area([...SQUARE].reverse())).toBe(100);
    expect(area(HORSESHOE)).toBe(63);
  });

  it("has its centre where its weight is", () => {
    expect(centroid(SQUARE)).toEqual([5, 5]);
    expect(centroid([...SQUARE].reverse())).toEqual([5, 5]);
    expect(centroid([[4, 4]])).toEqual([4, 4]);
  });

  it("has a box", () => {
    expect(bounds(HORSESHOE)).toEqual({ left: 0, top: 0, right: 9, bottom: 9 });
  });

  it("knows inside from outside, in a bay too", () => {
    expect(isInside([1, 5], HORSESHOE)).toBe(true);
    expect(isInside([6, 4.5], HORSESHOE)).toBe(false);
    expect(isInside([20, 5], HORSESHOE)).toBe(false);
  });

  it("is as far away as its nearest edge", () => {
    expect(distanceTo([5, 5], SQUARE)).toBe(0);
    expect(distanceTo([13, 5], SQUARE)).toBe(3);
    expect(distanceTo([13, 14], SQUARE)).toBe(5);
  });

  it("becomes path data", () => {
    expect(
      pathData([
        [1.26, 2],
        [3, 4.04],
      ]),
    ).toBe("M1.3 2L3 4Z");
    expect(pathData([])).toBe("");
  });
});

describe("a tap", () => {
  const hold = (
    left: number,
    top: number,
    side: number,
  ): { contour: Point[]; bbox: [number, number, number, number] } => ({
    contour: SQUARE.map(([x, y]): Point => [left + (x * side) / 10, top + (y * side) / 10]),
    bbox: [left, top, left + side, top + side],
  });
  const volume = hold(0, 0, 100);
  const onVolume = hold(40, 40, 20);
  const beside = hold(110, 40, 20);
  const holds = [volume, onVolume, beside];

  it("means the hold under it, not the volume that carries it", () => {
    expect(hitTest(holds, [50, 50], 5)).toBe(onVolume);
    expect(hitTest(holds, [10, 10], 5)).toBe(volume);
  });

  it("that just misses a hold means the nearest", () => {
    expect(hitTest([onVolume, beside], [107, 50], 5)).toBe(beside);
  });

  it("far from everything means nothing", () => {
    expect(hitTest(holds, [200, 200], 5)).toBeNull();
  });
});

describe("simplification", () => {
  it("keeps corners and drops what lies on the line between them", () => {
    const line: Point[] = [
      [0, 0],
      [1, 0.1],
      [2, -0.1],
      [3, 0],
      [3, 5],
    ];
    expect(simplify(line, 0.5)).toEqual([
      [0, 0],
      [3, 0],
      [3, 5],
    ]);
  });

  it("stays within its tolerance of every point", () => {
    const wave = Array.from({ length: 400 }, (_unused, index): Point => [index, 40 * Math.sin(index / 25)]);
    const simple = simplify(wave, 2);
    expect(simple.length).toBeLessThan(60);
    for (const point of wave) {
      const nearest = simple
        .slice(1)
        .map((corner, index) => distanceTo(point, [simple[index] ?? corner, corner]));
      expect(Math.min(...nearest)).toBeLessThanOrEqual(2);
    }
  });

  it("leaves a line of two points alone", () => {
    expect(simplify(SQUARE.slice(0, 2), 100)).toHaveLength(2);
  });
});
