import type { Point } from "../api/types";
import { distance } from "./viewport";

const TAP_PX = 9;
const TAP_MS = 450;
const DOUBLE_TAP_MS = 280;
const DOUBLE_TAP_PX = 32;
const SPEED_OVER_MS = 90;

/** What fingers mean. Points are CSS pixels of the stage. */
export interface Meaning {
  press: () => void;
  drag: (dx: number, dy: number) => void;
  pinch: (from: readonly [Point, Point], to: readonly [Point, Point]) => void;
  /** Let go in motion; px/ms. */
  release: (speedX: number, speedY: number) => void;
  tap: (point: Point) => void;
  doubleTap: (point: Point) => void;
  /** While one finger draws: true takes the stroke, and `drag` is not told. */
  stroke?: (point: Point, phase: "begin" | "on" | "end" | "cancel") => boolean;
}

interface Sample {
  readonly at: number;
  readonly point: Point;
}

/** From pointers to what they mean. Plain values in, calls out: needs no page. */
export class Gestures {
  private readonly fingers = new Map<number, Point>();
  private begin: Sample | null = null;
  private trail: Sample[] = [];
  private moved = false;
  private stroking = false;
  private lastTap: Sample | null = null;

  constructor(private readonly meaning: Meaning) {}

  down(finger: number, point: Point, at: number): void {
    this.meaning.press();
    this.fingers.set(finger, point);
    if (this.fingers.size === 1) {
      this.begin = { at, point };
      this.trail = [{ at, point }];
      this.moved = false;
      this.stroking = this.meaning.stroke?.(point, "begin") ?? false;
    } else {
      this.endStroke(point, "cancel");
      this.moved = true;
    }
  }

  move(finger: number, point: Point, at: number): void {
    const before = this.fingers.get(finger);
    if (before === undefined) return;
    if (this.fingers.size > 1) {
      this.pinchBy(finger, point);
      return;
    }
    if (this.begin !== null && distance(this.begin.point, point) > TAP_PX) this.moved = true;
    this.fingers.set(finger, point);
    this.trail = [...this.trail.filter((sample) => at - sample.at < SPEED_OVER_MS), { at, point }];
    if (this.stroking) this.meaning.stroke?.(point, "on");
    else if (this.moved) this.meaning.drag(point[0] - before[0], point[1] - before[1]);
  }

  up(finger: number, point: Point, at: number): void {
    if (!this.fingers.delete(finger)) return;
    if (this.fingers.size > 0) {
      this.trail = [];
      return;
    }
    const wasStroke = this.stroking;
    this.endStroke(point, this.moved ? "end" : "cancel");
    if (!this.moved && this.begin !== null && at - this.begin.at < TAP_MS) this.tapped(point, at);
    else if (!wasStroke) this.letGo(at);
  }

  cancel(finger: number): void {
    this.fingers.delete(finger);
    this.moved = true;
    this.endStroke([0, 0], "cancel");
  }

  private pinchBy(finger: number, point: Point): void {
    const [one, other] = [...this.fingers.keys()];
    if (one === undefined || other === undefined || (finger !== one && finger !== other)) return;
    const from = this.pair(one, other);
    this.fingers.set(finger, point);
    this.meaning.pinch(from, this.pair(one, other));
  }

  private pair(one: number, other: number): readonly [Point, Point] {
    return [this.fingers.get(one) ?? [0, 0], this.fingers.get(other) ?? [0, 0]];
  }

  private tapped(point: Point, at: number): void {
    const before = this.lastTap;
    if (before !== null && at - before.at < DOUBLE_TAP_MS && distance(before.point, point) < DOUBLE_TAP_PX) {
      this.lastTap = null;
      this.meaning.doubleTap(point);
      return;
    }
    this.lastTap = { at, point };
    this.meaning.tap(point);
  }

  private letGo(at: number): void {
    const recent = this.trail.filter((sample) => at - sample.at < SPEED_OVER_MS);
    const [first, last] = [recent[0], recent[recent.length - 1]];
    if (first === undefined || last === undefined || last.at - first.at < 8) return;
    const elapsed = last.at - first.at;
    this.meaning.release(
      (last.point[0] - first.point[0]) / elapsed,
      (last.point[1] - first.point[1]) / elapsed,
    );
  }

  private endStroke(point: Point, phase: "end" | "cancel"): void {
    if (this.stroking) this.meaning.stroke?.(point, phase);
    this.stroking = false;
  }
}
