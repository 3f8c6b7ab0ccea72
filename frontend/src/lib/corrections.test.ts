import { describe, expect, it } from "vitest";
import type { Hold, Point, Problem } from "../api/types";
import { correct, type Correction, type Found, nextId, nextProblemId } from "./corrections";
import { asSent } from "./sent-corrections";

function hold(id: number, more: Partial<Hold> = {}): Hold {
  return {
    id,
    center: [id * 10, 10],
    area: 100,
    bbox: [id * 10 - 5, 5, id * 10 + 5, 15],
    contour: [
      [id * 10 - 5, 5],
      [id * 10 + 5, 5],
      [id * 10, 15],
    ],
    score: 0.9,
    kind: "hold",
    color: "red",
    individual_color: "red",
    color_scores: { red: 0.9 },
    rgb: [200, 0, 0],
    hsv: [0, 100, 78],
    lab: [40, 60, 50],
    tag: null,
    ...more,
  };
}

function problem(id: number, holds: number[], more: Partial<Problem> = {}): Problem {
  return {
    id,
    color_name: "red",
    color_rgb: [200, 0, 0],
    hold_count: holds.length,
    holds,
    difficulty: null,
    climb_type: null,
    start_ids: [],
    top_ids: [],
    start_estimated: true,
    top_estimated: true,
    ...more,
  };
}

const FOUND: Found = {
  image_width: 100,
  image_height: 50,
  hold_data: [hold(1, { tag: "start" }), hold(2), hold(3, { tag: "top" }), hold(4, { color: "blue" })],
  problems: [
    problem(1, [1, 2, 3], { start_ids: [1], top_ids: [3] }),
    problem(2, [4], { color_name: "blue" }),
  ],
};
const DRAWN: Point[] = [
  [0, 0],
  [20, 0],
  [20, 20],
  [0, 20],
];

function after(...corrections: Correction[]): ReturnType<typeof correct> {
  return correct(FOUND, corrections);
}

describe("corrections", () => {
  it("of nothing leave everything as it was found", () => {
    const wall = after();
    expect(wall.holds.map(({ id, problemId }) => [id, problemId])).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
      [4, 2],
    ]);
    expect(wall.problems.map(({ changed, start_estimated }) => [changed, start_estimated])).toEqual([
      [false, true],
      [false, true],
    ]);
  });

  it("delete a hold from the wall and from its problem", () => {
    const wall = after({ op: "delete", hold_id: 2 });
    expect(wall.holds.map(({ id }) => id)).toEqual([1, 3, 4]);
    expect(wall.problems[0]).toMatchObject({ holds: [1, 3], hold_count: 2, changed: true });
    expect(wall.problems[1]?.changed).toBe(false);
  });

  it("move a hold to another problem, whose colour it takes, and lose its mark", () => {
    const wall = after({ op: "set_problem", hold_id: 1, problem_id: 2 });
    expect(wall.holds[0]).toMatchObject({ problemId: 2, color: "blue", individual_color: "red", tag: null });
    expect(wall.problems.map(({ hold_count }) => hold_count)).toEqual([2, 2]);
  });

  it("make a problem of a person's own: of its holds' colour, without a grade, gone with its last hold", () => {
    expect(nextProblemId(FOUND.problems, [])).toBe(3);
    const made: Correction = { op: "set_problem", hold_id: 2, problem_id: 3 };
    const recoloured: Correction = { op: "set_color", hold_id: 2, color: "mint" };
    const wall = after(recoloured, made, { op: "set_problem", hold_id: 4, problem_id: 3 });
    expect(wall.problems[2]).toMatchObject({
      id: 3,
      color_name: "mint",
      holds: [2, 4],
      made: true,
      difficulty: null,
    });
    expect(wall.holds.map(({ color }) => color)).toEqual(["red", "mint", "red", "red"]);
    // Found ones stay, also without a hold.
    expect(wall.problems.map(({ hold_count, made }) => [hold_count, made])).toEqual([
      [2, false],
      [0, false],
      [2, true],
    ]);
    expect(nextProblemId(FOUND.problems, [made])).toBe(4);
    const emptied = after(made, { op: "delete", hold_id: 2 });
    expect(emptied.problems.map(({ id }) => id)).toEqual([1, 2]);
    expect(asSent(FOUND, [made], false)).toMatchObject({ holds: [{ id: 2, problem: 3 }], problems: [] });
  });

  it("make a problem with a drawn hold, and mark its start", () => {
    const drawn: Correction = {
      op: "add",
      hold_id: 9,
      contour: DRAWN,
      color: "lime",
      kind: "hold",
      problem_id: 7,
    };
    const start: Correction = { op: "set_tag", hold_id: 9, tag: "start" };
    expect(after(drawn, start).problems[2]).toMatchObject({ color_name: "lime", start_ids: [9] });
    const sent = asSent(FOUND, [drawn, start], false);
    expect(sent.added).toMatchObject([{ problem: 7 }]);
    expect(sent.problems).toEqual([{ id: 7, start: ["a0"], top: null }]);
  });

  it("keep a colour that a person said through other problems; what nobody said is the new problem's", () => {
    const moved: Correction = { op: "set_problem", hold_id: 2, problem_id: 2 };
    expect(after({ op: "set_color", hold_id: 2, color: "lime" }, moved).holds[1]?.color).toBe("lime");
    expect(after(moved).holds[1]?.color).toBe("blue");
    const drawn: Correction = {
      op: "add",
      hold_id: 9,
      contour: DRAWN,
      color: "unknown",
      kind: "hold",
      problem_id: null,
    };
    const put: Correction = { op: "set_problem", hold_id: 9, problem_id: 2 };
    expect(asSent(FOUND, [drawn, put], false).added).toMatchObject([{ color: "blue", problem: 2 }]);
  });

  it("confirm a guess where a person says the same: it is sent, and is a guess no more", () => {
    const said: Correction[] = [null, "start" as const].map((tag) => ({ op: "set_tag", hold_id: 1, tag }));
    const wall = after(...said);
    expect(wall.problems[0]).toMatchObject({ start_ids: [1], start_estimated: false, top_estimated: true });
    expect(wall.holds.map(({ estimated }) => estimated)).toEqual([false, false, true, false]);
    expect(asSent(FOUND, said, false).problems).toEqual([{ id: 1, start: [1], top: null }]);
  });

  it("make a mark certain that was estimated, and leave the other end estimated", () => {
    const wall = after({ op: "set_tag", hold_id: 2, tag: "start" });
    expect(wall.problems[0]).toMatchObject({
      start_ids: [1, 2],
      start_estimated: false,
      top_estimated: true,
    });
  });

  it("add a drawn hold with a box, an area and a problem", () => {
    const wall = after({
      op: "add",
      hold_id: 9,
      contour: DRAWN,
      color: "blue",
      kind: "volume",
      problem_id: 2,
    });
    expect(wall.holds[4]).toMatchObject({
      id: 9,
      bbox: [0, 0, 20, 20],
      area: 400,
      center: [10, 10],
      kind: "volume",
      color: "blue",
      drawn: true,
    });
    expect(wall.problems[1]).toMatchObject({ holds: [4, 9], changed: true });
  });

  it("apply in order", () => {
    const wall = after(
      { op: "set_color", hold_id: 4, color: "mint" },
      { op: "set_color", hold_id: 4, color: "lime" },
      { op: "set_kind", hold_id: 4, kind: "volume" },
    );
    expect(wall.holds[3]).toMatchObject({ individual_color: "lime", kind: "volume" });
  });

  it("of a hold that is gone change nothing", () => {
    expect(
      after({ op: "delete", hold_id: 4 }, { op: "set_color", hold_id: 4, color: "red" }).holds,
    ).toHaveLength(3);
  });
});

describe("a new hold's id", () => {
  it("is one that no hold has or had", () => {
    expect(nextId(FOUND, [])).toBe(5);
    const drawn: Correction = {
      op: "add",
      hold_id: 7,
      contour: DRAWN,
      color: "red",
      kind: "hold",
      problem_id: null,
    };
    expect(nextId(FOUND, [drawn, { op: "delete", hold_id: 7 }])).toBe(8);
  });
});

describe("what the service is sent", () => {
  it("is the difference, not how it came about", () => {
    const sent = asSent(
      FOUND,
      [
        { op: "set_color", hold_id: 4, color: "mint" },
        { op: "set_color", hold_id: 4, color: "lime" },
        { op: "set_kind", hold_id: 2, kind: "volume" },
        { op: "set_kind", hold_id: 2, kind: "hold" },
        { op: "delete", hold_id: 3 },
        { op: "set_problem", hold_id: 1, problem_id: null },
      ],
      true,
    );
    expect(sent.holds).toEqual([
      { id: 1, deleted: false, problem: 0 },
      { id: 3, deleted: true },
      { id: 4, deleted: false, color: "lime" },
    ]);
    expect(sent.share).toBe(true);
  });

  it("names drawn holds by their place, and leaves out those that were deleted again", () => {
    const draw = (hold_id: number): Correction => ({
      op: "add",
      hold_id,
      contour: DRAWN,
      color: "red",
      kind: "hold",
      problem_id: 1,
    });
    const sent = asSent(
      FOUND,
      [
        draw(5),
        draw(6),
        { op: "delete", hold_id: 5 },
        { op: "set_tag", hold_id: 6, tag: "top" },
        { op: "set_tag", hold_id: 3, tag: null },
      ],
      false,
    );
    expect(sent.added).toHaveLength(1);
    expect(sent.problems).toEqual([{ id: 1, start: null, top: ["a0"] }]);
  });

  it("never is what the machine estimated: ends go out where a person moved them, not with other changes", () => {
    const sent = (...corrections: Correction[]): unknown => asSent(FOUND, corrections, false).problems;
    expect(sent({ op: "set_color", hold_id: 2, color: "mint" })).toEqual([]);
    expect(sent({ op: "set_kind", hold_id: 1, kind: "volume" })).toEqual([]);
    expect(sent({ op: "delete", hold_id: 2 })).toEqual([]);
    expect(sent({ op: "delete", hold_id: 1 })).toEqual([]);
    expect(sent({ op: "set_tag", hold_id: 1, tag: null })).toEqual([{ id: 1, start: [], top: null }]);
    expect(sent({ op: "set_problem", hold_id: 3, problem_id: 2 })).toEqual([{ id: 1, start: null, top: [] }]);
    expect(after({ op: "set_color", hold_id: 2, color: "mint" }).problems[0]?.changed).toBe(false);
  });

  it("is nothing where nothing was changed", () => {
    expect(asSent(FOUND, [], false)).toEqual({ holds: [], added: [], problems: [], share: false });
  });
});
