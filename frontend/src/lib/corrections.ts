import type { Colour, Hold, Kind, Point, Problem, Result, Tag } from "../api/types";
import { area, bounds, centroid } from "./geometry";

/** One thing that a person put right. A list of them, applied in order, is what the service is sent. */
export type Correction =
  | { readonly op: "set_color"; readonly hold_id: number; readonly color: Colour }
  | { readonly op: "set_kind"; readonly hold_id: number; readonly kind: Kind }
  | { readonly op: "set_problem"; readonly hold_id: number; readonly problem_id: number | null }
  | { readonly op: "set_tag"; readonly hold_id: number; readonly tag: Tag | null }
  | { readonly op: "delete"; readonly hold_id: number }
  | {
      readonly op: "add";
      readonly hold_id: number;
      readonly contour: readonly Point[];
      readonly color: Colour;
      readonly kind: Kind;
      readonly problem_id: number | null;
    };

/** A hold with its problem, whether a person drew it, and the colour that a person said it has. */
type PlacedHold = Hold & {
  readonly problemId: number | null;
  readonly drawn: boolean;
  readonly said: Colour | null;
};

/** A hold as a person sees it: besides, whether its START or TOP is the machine's guess. */
export type SeenHold = PlacedHold & { readonly estimated: boolean };

/**
 * A problem as a person sees it: how many holds are left, whether its figures are still the machine's, whether a
 * person made it, and of which of its ends a person said where they are.
 */
export type SeenProblem = Problem & {
  readonly changed: boolean;
  readonly made: boolean;
  readonly said: readonly Tag[];
};

/** The wall after corrections. */
export interface Wall {
  readonly width: number;
  readonly height: number;
  readonly holds: readonly SeenHold[];
  readonly problems: readonly SeenProblem[];
}

/** The part of a result that corrections change. */
export type Found = Pick<Result, "image_width" | "image_height" | "hold_data" | "problems">;

/** An id that no hold has or ever had: a deleted one may come back by undoing. */
export function nextId(result: Pick<Result, "hold_data">, corrections: readonly Correction[]): number {
  const ids = [...result.hold_data.map(({ id }) => id), ...corrections.map(({ hold_id }) => hold_id)];
  return 1 + ids.reduce((most, id) => Math.max(most, id), 0);
}

/** An id that no problem has or was given by these corrections. */
export function nextProblemId(problems: readonly Problem[], corrections: readonly Correction[]): number {
  const given = corrections.map(
    (correction) => ("problem_id" in correction ? correction.problem_id : null) ?? 0,
  );
  return 1 + [...problems.map(({ id }) => id), ...given].reduce((most, id) => Math.max(most, id), 0);
}

/** The wall as a person left it. A correction of a hold that is not there changes nothing. */
export function correct(result: Found, corrections: readonly Correction[]): Wall {
  const problems: Problem[] = [...result.problems];
  const holds = new Map<number, PlacedHold>();
  for (const hold of result.hold_data) {
    const problemId = problemOf(result.problems, hold.id);
    holds.set(hold.id, { ...hold, problemId, drawn: false, said: null });
  }
  const touched = new Set<number>();
  const ends: End[] = [];
  for (const correction of corrections) {
    const before = holds.get(correction.hold_id);
    if ("problem_id" in correction) make(problems, correction.problem_id);
    const after = applied(correction, before, result.problems);
    // A colour weighs nothing in a grade.
    if (correction.op !== "set_color") touch(touched, before?.problemId, after?.problemId);
    if (correction.op === "set_tag" && before !== undefined) ends.push(...endsSaid(before, correction.tag));
    if (after === null) holds.delete(correction.hold_id);
    else holds.set(correction.hold_id, after);
  }
  const left = [...holds.values()];
  const found = result.problems.length;
  const seen = problems
    .map((problem, index) => {
      const said = (["start", "top"] as const).filter((tag) =>
        ends.some((end) => end.problemId === problem.id && end.tag === tag),
      );
      return recount(problem, left, { changed: touched.has(problem.id), made: index >= found, said });
    })
    // The machine's stay, for what was taken out to find back; a person's own goes with its last hold.
    .filter(({ made, hold_count }) => !made || hold_count > 0);
  return {
    width: result.image_width,
    height: result.image_height,
    holds: left.map((hold) => ({ ...hold, estimated: isEstimated(hold, seen) })),
    problems: seen,
  };
}

/** One end of a problem, of which a person spoke. */
interface End {
  readonly problemId: number;
  readonly tag: Tag;
}

/** What a mark says of a problem's ends: of that which the hold was, and of that which it is. */
function endsSaid({ problemId, tag: before }: PlacedHold, now: Tag | null): End[] {
  if (problemId === null) return [];
  return [before, now].flatMap((tag) => (tag === null ? [] : [{ problemId, tag }]));
}

function isEstimated({ problemId, tag }: PlacedHold, problems: readonly SeenProblem[]): boolean {
  const problem = problems.find(({ id }) => id === problemId);
  if (problem === undefined || tag === null) return false;
  return tag === "start" ? problem.start_estimated : problem.top_estimated;
}

/** A person makes a problem by putting a hold into one that is not there. */
function make(problems: Problem[], made: number | null): void {
  if (made === null || problems.some(({ id }) => id === made)) return;
  problems.push({
    id: made,
    color_name: "unknown",
    color_rgb: [0, 0, 0],
    hold_count: 0,
    holds: [],
    difficulty: null,
    climb_type: null,
    start_ids: [],
    top_ids: [],
    start_estimated: false,
    top_estimated: false,
  });
}

/** The problem that the machine found a hold in. */
export function problemOf(problems: readonly Problem[], holdId: number): number | null {
  return problems.find((problem) => problem.holds.includes(holdId))?.id ?? null;
}

function touch(touched: Set<number>, ...ids: (number | null | undefined)[]): void {
  for (const id of ids) if (id !== null && id !== undefined) touched.add(id);
}

/** The hold after one correction; null where it is gone, or never was. */
function applied(
  correction: Correction,
  hold: PlacedHold | undefined,
  found: readonly Problem[],
): PlacedHold | null {
  if (correction.op === "add") return drawn(correction, found);
  if (hold === undefined) return null;
  switch (correction.op) {
    case "set_color":
      return {
        ...hold,
        individual_color: correction.color,
        color: correction.color,
        said: correction.color,
      };
    case "set_kind":
      return { ...hold, kind: correction.kind };
    case "set_tag":
      return { ...hold, tag: correction.tag };
    case "set_problem":
      return inProblem(hold, found, correction.problem_id);
    case "delete":
      return null;
  }
}

/** As the service has it: what a person said, else the colour of a problem that the machine found, else its own. */
function inProblem(hold: PlacedHold, found: readonly Problem[], problemId: number | null): PlacedHold {
  return {
    ...hold,
    problemId,
    color: hold.said ?? colourOf(found, problemId) ?? hold.individual_color,
    tag: hold.problemId === problemId ? hold.tag : null,
  };
}

function colourOf(found: readonly Problem[], problemId: number | null): Colour | undefined {
  return found.find(({ id }) => id === problemId)?.color_name;
}

function drawn(added: Extract<Correction, { op: "add" }>, found: readonly Problem[]): PlacedHold {
  const box = bounds(added.contour);
  return {
    id: added.hold_id,
    center: [...centroid(added.contour)],
    area: area(added.contour),
    bbox: [box.left, box.top, box.right, box.bottom],
    contour: added.contour.map(([x, y]) => [x, y]),
    score: 1,
    kind: added.kind,
    color: colourOf(found, added.problem_id) ?? added.color,
    individual_color: added.color,
    color_scores: { [added.color]: 1 },
    rgb: [0, 0, 0],
    hsv: [0, 0, 0],
    lab: [0, 0, 0],
    tag: null,
    problemId: added.problem_id,
    drawn: true,
    said: null,
  };
}

function recount(
  problem: Problem,
  holds: readonly PlacedHold[],
  whose: Pick<SeenProblem, "changed" | "made" | "said">,
): SeenProblem {
  const members = holds.filter((hold) => hold.problemId === problem.id);
  const tagged = (tag: Tag): number[] => members.filter((hold) => hold.tag === tag).map(({ id }) => id);
  const [starts, tops] = [tagged("start"), tagged("top")];
  const guessed = (tag: Tag, now: number[], before: readonly number[]): boolean =>
    !whose.said.includes(tag) && same(now, before);
  return {
    ...problem,
    ...(whose.made && commonColour(members)),
    holds: members.map(({ id }) => id),
    hold_count: members.length,
    start_ids: starts,
    top_ids: tops,
    start_estimated: problem.start_estimated && guessed("start", starts, problem.start_ids),
    top_estimated: problem.top_estimated && guessed("top", tops, problem.top_ids),
    ...whose,
  };
}

/** What most of the holds are, the first of several; those of unknown colour have no say. */
function commonColour(holds: readonly PlacedHold[]): Pick<Problem, "color_name" | "color_rgb"> {
  const known = holds.filter(({ color }) => color !== "unknown");
  const votes = (hold: PlacedHold): number => known.filter(({ color }) => color === hold.color).length;
  const first = known.reduce<PlacedHold | null>(
    (best, hold) => (best === null || votes(hold) > votes(best) ? hold : best),
    null,
  );
  return { color_name: first?.color ?? "unknown", color_rgb: first?.rgb ?? [0, 0, 0] };
}

export function same(some: readonly number[], others: readonly number[]): boolean {
  return some.length === others.length && some.every((id) => others.includes(id));
}
