import { describe, expect, it } from "vitest";
import { COLOURS, contrast, inkOn, PAINT } from "./colours";
import { dashOf, PATTERNS, patternOf, TILES } from "./patterns";

describe("a colour", () => {
  it.each(COLOURS)("%s carries text that can be read (WCAG AA)", (colour) => {
    expect(contrast(PAINT[colour], inkOn(PAINT[colour]))).toBeGreaterThanOrEqual(4.5);
  });

  it("is in the picker, each once", () => {
    expect([...COLOURS].sort()).toEqual(Object.keys(PAINT).sort());
  });
});

describe("a problem's pattern", () => {
  it("differs from its neighbours', and so does its line", () => {
    const places = Array.from({ length: PATTERNS.length }, (_unused, index) => index);
    expect(new Set(places.map(patternOf)).size).toBe(PATTERNS.length);
    for (const index of places) {
      expect(dashOf(index, 2)).not.toBe(dashOf(index + 1, 2));
      expect(TILES[patternOf(index)]).toBeDefined();
    }
  });
});
