import type { Point } from "../api/types";
import {
  between,
  contain,
  fit,
  type Frame,
  limits,
  pan,
  pinch,
  type Size,
  toPhoto,
  type View,
  zoomAt,
  zoomTo,
} from "./viewport";

const FLIGHT_MS = 280;
/** Of a fling's speed, what is left after a millisecond; as in the scrolling of phones. */
const GLIDE = 0.9955;
const SLOWEST = 0.02;

export interface CameraOptions {
  /** Draws; called at most once a frame. */
  draw: (view: View) => void;
  /** The view has come to rest: time for what is too slow for every frame. */
  settle: (view: View) => void;
  /** Nothing moves by itself. */
  calm: () => boolean;
}

/** Looks at a photo through a frame. Knows nothing of fingers or of the page. */
export class Camera {
  view: View = { scale: 1, x: 0, y: 0 };
  private frame: Frame = { width: 0, height: 0, top: 0 };
  private motion = 0;
  private drawing = 0;
  private settling: ReturnType<typeof setTimeout> | undefined;
  private placed = false;
  /** Where the view is going; itself when at rest. */
  private goal: View = this.view;

  constructor(
    private photo: Size,
    private readonly options: CameraOptions,
  ) {}

  stop(): void {
    cancelAnimationFrame(this.motion);
    cancelAnimationFrame(this.drawing);
    clearTimeout(this.settling);
    this.drawing = 0;
  }

  /** The first frame, and a whole photo in a new one, show all of it; a closer look stays where it is. */
  setFrame(frame: Frame): void {
    const { width, height, top } = this.frame;
    if (frame.width === width && frame.height === height && frame.top === top) return;
    const whole = !this.placed || this.isWhole();
    this.frame = frame;
    if (frame.width <= 0 || frame.height <= 0) return;
    const next = whole ? fit(this.photo, frame) : contain(this.goal, this.photo, frame);
    if (this.placed) this.flyTo(next);
    else this.show(next);
    this.placed = true;
  }

  setPhoto(photo: Size): void {
    if (photo.width === this.photo.width && photo.height === this.photo.height) return;
    this.photo = photo;
    this.hold();
    if (this.placed) this.show(fit(photo, this.frame));
  }

  isWhole(): boolean {
    return this.goal.scale <= limits(this.photo, this.frame).least * 1.01;
  }

  toPhoto(point: Point): Point {
    return toPhoto(this.view, point);
  }

  panBy(dx: number, dy: number): void {
    this.moveTo(pan(this.view, dx, dy));
  }

  /** A step by key: from where the view is going, so that quick presses add up. */
  step(dx: number, dy: number): void {
    this.flyTo(contain(pan(this.goal, dx, dy), this.photo, this.frame));
  }

  pinch(from: readonly [Point, Point], to: readonly [Point, Point]): void {
    this.moveTo(pinch(this.view, from, to));
  }

  zoomAt(point: Point, factor: number): void {
    this.moveTo(zoomAt(this.view, point, factor));
  }

  /** The middle of the frame, for keys and buttons. */
  centre(): Point {
    return [this.frame.width / 2, this.frame.top + this.frame.height / 2];
  }

  zoomBy(factor: number): void {
    this.flyTo(contain(zoomAt(this.goal, this.centre(), factor), this.photo, this.frame));
  }

  /** A double tap: closer, or back to the whole. */
  toggleZoom(point: Point): void {
    if (!this.isWhole()) this.flyTo(fit(this.photo, this.frame));
    else this.flyTo(contain(zoomAt(this.view, point, 2.5), this.photo, this.frame));
  }

  showAll(): void {
    this.flyTo(fit(this.photo, this.frame));
  }

  showBox(box: { left: number; top: number; right: number; bottom: number }, share?: number): void {
    this.flyTo(zoomTo(box, this.photo, this.frame, share));
  }

  /** Moves no more than it takes for a box to be seen. */
  reveal(box: { left: number; top: number; right: number; bottom: number }): void {
    const { scale, x, y } = this.goal;
    const { width, height, top } = this.frame;
    const margin = 24;
    const dx =
      Math.max(0, margin - (box.left * scale + x)) - Math.max(0, box.right * scale + x - width + margin);
    const dy =
      Math.max(0, top + margin - (box.top * scale + y)) -
      Math.max(0, box.bottom * scale + y - top - height + margin);
    if (dx !== 0 || dy !== 0) this.flyTo(contain(pan(this.goal, dx, dy), this.photo, this.frame));
  }

  flyTo(target: View): void {
    cancelAnimationFrame(this.motion);
    if (this.options.calm()) {
      this.show(target);
      return;
    }
    const from = this.view;
    const begin = performance.now();
    this.goal = target;
    const step = (now: number): void => {
      const t = Math.min(1, Math.max(0, (now - begin) / FLIGHT_MS));
      this.show(between(from, target, 1 - (1 - t) ** 3), target);
      if (t < 1) this.motion = requestAnimationFrame(step);
    };
    this.motion = requestAnimationFrame(step);
  }

  /** Goes on by itself for a while, after a finger that let go in motion. Speeds in px/ms. */
  fling(speedX: number, speedY: number): void {
    if (this.options.calm()) return;
    let [vx, vy, before] = [speedX, speedY, performance.now()];
    const step = (now: number): void => {
      const elapsed = Math.min(50, Math.max(0, now - before));
      before = now;
      this.show(contain(pan(this.view, vx * elapsed, vy * elapsed), this.photo, this.frame));
      const left = GLIDE ** elapsed;
      [vx, vy] = [vx * left, vy * left];
      if (Math.hypot(vx, vy) > SLOWEST) this.motion = requestAnimationFrame(step);
    };
    this.motion = requestAnimationFrame(step);
  }

  /** A finger is down: what moves by itself stops under it. */
  hold(): void {
    cancelAnimationFrame(this.motion);
  }

  private moveTo(view: View): void {
    this.hold();
    this.show(contain(view, this.photo, this.frame));
  }

  private show(view: View, goal = view): void {
    this.view = view;
    this.goal = goal;
    if (this.drawing === 0) {
      this.drawing = requestAnimationFrame(() => {
        this.drawing = 0;
        this.options.draw(this.view);
      });
    }
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.options.settle(this.view), 120);
  }
}
