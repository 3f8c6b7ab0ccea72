/** A problem's second sign beside its colour: each problem has one, by its place in the list. */
export const PATTERNS = [
  "stripes-up",
  "dots",
  "stripes-down",
  "grid",
  "bars",
  "rings",
  "columns",
  "checks",
  "crosses",
  "zigzag",
] as const;
export type PatternName = (typeof PATTERNS)[number];

/** Of a 12 by 12 tile: what is stroked and what is filled. */
export const TILES: Record<PatternName, { stroke?: string; fill?: string }> = {
  "stripes-up": { stroke: "M-3 3L3 -3M0 12L12 0M9 15L15 9" },
  dots: { fill: "M3 1a2 2 0 1 1 0 4a2 2 0 1 1 0 -4M9 7a2 2 0 1 1 0 4a2 2 0 1 1 0 -4" },
  "stripes-down": { stroke: "M-3 9L3 15M0 0L12 12M9 -3L15 3" },
  grid: { stroke: "M0 6H12M6 0V12" },
  bars: { stroke: "M0 3H12M0 9H12" },
  rings: { stroke: "M6 2.5a3.5 3.5 0 1 1 0 7a3.5 3.5 0 1 1 0 -7" },
  columns: { stroke: "M3 0V12M9 0V12" },
  checks: { fill: "M0 0H6V6H0ZM6 6H12V12H6Z" },
  crosses: { stroke: "M3 3L9 9M9 3L3 9" },
  zigzag: { stroke: "M0 9L6 3L12 9" },
};

/** Dashes of an outline, in units of its width; an empty list is a whole line. */
const DASHES = [[], [4, 2], [1, 1.6], [6, 2, 1, 2], [2.5, 2.5], [8, 2]] as const;

export function patternOf(index: number): PatternName {
  return PATTERNS[index % PATTERNS.length] ?? "dots";
}

export function dashOf(index: number, width: number): string | undefined {
  const dash = DASHES[index % DASHES.length] ?? [];
  return dash.length === 0 ? undefined : dash.map((part) => (part * width).toFixed(1)).join(" ");
}
