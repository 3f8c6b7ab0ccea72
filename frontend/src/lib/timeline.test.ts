import { describe, expect, it } from "vitest";
import { act, begin, redo, undo } from "./timeline";

describe("a timeline", () => {
  it("goes back and forth", () => {
    const both = act(act(begin<string>(), "one"), "two");
    expect(undo(both)).toEqual({ done: ["one"], undone: ["two"] });
    expect(redo(undo(both))).toEqual(both);
    expect(redo(redo(undo(undo(both))))).toEqual(both);
  });

  it("forgets what was undone when something new is done", () => {
    expect(act(undo(act(begin<string>(), "one")), "other")).toEqual({ done: ["other"], undone: [] });
  });

  it("has a beginning and an end", () => {
    const nothing = begin<string>();
    expect(undo(nothing)).toBe(nothing);
    expect(redo(nothing)).toBe(nothing);
  });
});
