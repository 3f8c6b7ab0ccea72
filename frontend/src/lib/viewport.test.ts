import { describe, expect, it } from "vitest";
import type { Point } from "../api/types";
import {
  between,
  contain,
  fit,
  type Frame,
  limits,
  pinch,
  toPhoto,
  toScreen,
  zoomAt,
  zoomTo,
} from "./viewport";

const PHOTO = { width: 3000, height: 4000 };
const FRAME: Frame = { width: 360, height: 500, top: 60 };

describe("a view", () => {
  it("begins with the whole photo in the middle of its frame", () => {
    const view = fit(PHOTO, FRAME);
    expect(view.scale).toBeCloseTo(0.12);
    expect(toScreen(view, [1500, 2000])).toEqual([180, 310]);
    expect(toScreen(view, [0, 0])[1]).toBeGreaterThanOrEqual(60);
  });

  it("goes from the screen to the photo and back", () => {
    const view = { scale: 0.37, x: -120, y: 44 };
    const [x, y] = toScreen(view, toPhoto(view, [200, 300]));
    expect(x).toBeCloseTo(200);
    expect(y).toBeCloseTo(300);
  });

  it("keeps under the finger what is under the finger", () => {
    const view = fit(PHOTO, FRAME);
    const point: Point = [100, 250];
    const [before, after] = [toPhoto(view, point), toPhoto(zoomAt(view, point, 3), point)];
    expect(after[0]).toBeCloseTo(before[0]);
    expect(after[1]).toBeCloseTo(before[1]);
  });

  it("keeps under each of two fingers what was under it", () => {
    const view = fit(PHOTO, FRAME);
    const from: [Point, Point] = [
      [100, 200],
      [200, 300],
    ];
    const to: [Point, Point] = [
      [60, 150],
      [260, 350],
    ];
    const next = pinch(view, from, to);
    for (const index of [0, 1] as const) {
      const [x, y] = toScreen(next, toPhoto(view, from[index]));
      expect(x).toBeCloseTo(to[index][0]);
      expect(y).toBeCloseTo(to[index][1]);
    }
  });

  it("survives two fingers in one place", () => {
    const from: [Point, Point] = [
      [100, 100],
      [100, 100],
    ];
    expect(Number.isFinite(pinch(fit(PHOTO, FRAME), from, from).scale)).toBe(true);
  });

  it("leaves no gap beside a photo that is larger than its frame", () => {
    const view = contain({ scale: 1, x: 500, y: -9000 }, PHOTO, FRAME);
    expect(view.x).toBe(0);
    expect(view.y + PHOTO.height).toBe(FRAME.top + FRAME.height);
  });

  it("is no smaller than the whole photo and no larger than its pixels allow", () => {
    const { least, most } = limits(PHOTO, FRAME);
    expect(contain({ scale: 0.001, x: 0, y: 0 }, PHOTO, FRAME).scale).toBe(least);
    expect(contain({ scale: 1000, x: 0, y: 0 }, PHOTO, FRAME).scale).toBe(most);
  });

  it("of a box shows the box in the middle", () => {
    const box = { left: 1400, top: 1900, right: 1600, bottom: 2100 };
    const view = zoomTo(box, PHOTO, FRAME);
    const [x, y] = toScreen(view, [1500, 2000]);
    expect(x).toBeCloseTo(180);
    expect(y).toBeCloseTo(310);
  });

  it("on its way begins at the one and ends at the other", () => {
    const [from, to] = [fit(PHOTO, FRAME), { scale: 2, x: -900, y: -700 }];
    expect(between(from, to, 0)).toEqual(from);
    const end = between(from, to, 1);
    expect(end.scale).toBeCloseTo(to.scale);
    expect(end.x).toBeCloseTo(to.x);
    expect(between(to, { ...to, x: 0 }, 0.5).x).toBe(-450);
  });
});
