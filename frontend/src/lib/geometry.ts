import type { Point } from "../api/types";

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** What can be hit: an outline in photo pixels. */
export interface Outlined {
  readonly contour: readonly Point[];
  readonly bbox: readonly [number, number, number, number];
}

/** The smallest box around points; an empty list has an empty box at the origin. */
export function bounds(points: readonly Point[]): Box {
  const first = points[0] ?? [0, 0];
  let [left, top] = first;
  let [right, bottom] = first;
  for (const [x, y] of points) {
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  return { left, top, right, bottom };
}

/** Signed by direction: positive for clockwise on a screen, where y falls. */
function signedArea(points: readonly Point[]): number {
  let sum = 0;
  for (const [index, [x, y]] of points.entries()) {
    const [nextX, nextY] = points[(index + 1) % points.length] ?? [x, y];
    sum += x * nextY - nextX * y;
  }
  return sum / 2;
}

/** Area of a closed polygon, px² (the shoelace formula). */
export function area(points: readonly Point[]): number {
  return Math.abs(signedArea(points));
}

/** Centre of a closed polygon's area; of its box where it has none. */
export function centroid(points: readonly Point[]): Point {
  const whole = signedArea(points);
  if (Math.abs(whole) < 1e-9) {
    const box = bounds(points);
    return [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
  }
  let [sumX, sumY] = [0, 0];
  for (const [index, [x, y]] of points.entries()) {
    const [nextX, nextY] = points[(index + 1) % points.length] ?? [x, y];
    const cross = x * nextY - nextX * y;
    sumX += (x + nextX) * cross;
    sumY += (y + nextY) * cross;
  }
  return [sumX / (6 * whole), sumY / (6 * whole)];
}

/** Even-odd rule: a ray to the right crosses the outline an odd number of times. */
export function isInside(point: Point, polygon: readonly Point[]): boolean {
  const [x, y] = point;
  let inside = false;
  let [previousX, previousY] = polygon[polygon.length - 1] ?? [0, 0];
  for (const [cornerX, cornerY] of polygon) {
    const crosses = cornerY > y !== previousY > y;
    if (crosses && x < ((previousX - cornerX) * (y - cornerY)) / (previousY - cornerY) + cornerX) {
      inside = !inside;
    }
    [previousX, previousY] = [cornerX, cornerY];
  }
  return inside;
}

/** Distance from a point to a segment. */
export function distanceToSegment([x, y]: Point, [ax, ay]: Point, [bx, by]: Point): number {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length));
  return Math.hypot(x - ax - along * dx, y - ay - along * dy);
}

/** Distance to an outline; 0 inside it. */
export function distanceTo(point: Point, polygon: readonly Point[]): number {
  if (isInside(point, polygon)) return 0;
  let nearest = Infinity;
  let previous = polygon[polygon.length - 1];
  for (const corner of polygon) {
    if (previous !== undefined) nearest = Math.min(nearest, distanceToSegment(point, previous, corner));
    previous = corner;
  }
  return nearest;
}

/**
 * What a finger at `point` means: the smallest outline around it, since a hold lies on a volume; else the nearest
 * within `slop` photo pixels.
 */
export function hitTest<T extends Outlined>(holds: readonly T[], point: Point, slop: number): T | null {
  let best: T | null = null;
  let bestRank = Infinity;
  for (const hold of holds) {
    const [left, top, right, bottom] = hold.bbox;
    const outside = Math.max(left - point[0], point[0] - right, top - point[1], point[1] - bottom);
    if (outside > slop) continue;
    const distance = distanceTo(point, hold.contour);
    if (distance > slop) continue;
    // Any outline around the point comes before any that is only near.
    const rank = distance === 0 ? -1 / (1 + (right - left) * (bottom - top)) : distance;
    if (rank < bestRank) [best, bestRank] = [hold, rank];
  }
  return best;
}

/** Fewer points, none of the dropped ones further than `tolerance` from the line (Ramer 1972; Douglas and Peucker 1973). */
export function simplify(points: readonly Point[], tolerance: number): Point[] {
  if (points.length < 3) return [...points];
  const kept = new Set([0, points.length - 1]);
  const open: [number, number][] = [[0, points.length - 1]];
  for (let span = open.pop(); span !== undefined; span = open.pop()) {
    const farthest = farthestBetween(points, span);
    if (farthest.distance <= tolerance) continue;
    kept.add(farthest.index);
    open.push([span[0], farthest.index], [farthest.index, span[1]]);
  }
  return points.filter((_point, index) => kept.has(index));
}

function farthestBetween(
  points: readonly Point[],
  [first, last]: [number, number],
): { index: number; distance: number } {
  const a: Point = points[first] ?? [0, 0];
  const b: Point = points[last] ?? [0, 0];
  let [index, distance] = [first, 0];
  for (let at = first + 1; at < last; at += 1) {
    const away = distanceToSegment(points[at] ?? a, a, b);
    if (away > distance) [index, distance] = [at, away];
  }
  return { index, distance };
}

const PATHS = new WeakMap<readonly Point[], string>();

/** An outline as SVG path data, one decimal. Made once for each list of points. */
export function pathData(points: readonly Point[]): string {
  const path = PATHS.get(points) ?? pathOf(points);
  PATHS.set(points, path);
  return path;
}

function pathOf(points: readonly Point[]): string {
  return points.length === 0 ? "" : `M${points.map(([x, y]) => `${round(x)} ${round(y)}`).join("L")}Z`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
