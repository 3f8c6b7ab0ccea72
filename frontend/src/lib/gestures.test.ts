import { beforeEach, describe, expect, it } from "vitest";
import type { Point } from "../api/types";
import { Gestures } from "./gestures";

let told: string[] = [];
let drawing = false;

function gestures(): Gestures {
  return new Gestures({
    press: () => undefined,
    drag: (dx, dy) => told.push(`drag ${dx} ${dy}`),
    pinch: () => told.push("pinch"),
    release: (x, y) => told.push(`release ${x.toFixed(1)} ${y.toFixed(1)}`),
    tap: () => told.push("tap"),
    doubleTap: () => told.push("double tap"),
    stroke: (_point, phase) => {
      if (drawing) told.push(phase);
      return drawing;
    },
  });
}

function tap(fingers: Gestures, point: Point, at: number): void {
  fingers.down(1, point, at);
  fingers.up(1, point, at + 60);
}

beforeEach(() => {
  told = [];
  drawing = false;
});

describe("fingers", () => {
  it("that touch and leave tap", () => {
    tap(gestures(), [10, 10], 0);
    expect(told).toEqual(["tap"]);
  });

  it("that tremble still tap", () => {
    const fingers = gestures();
    fingers.down(1, [10, 10], 0);
    fingers.move(1, [14, 13], 30);
    fingers.up(1, [14, 13], 60);
    expect(told).toEqual(["tap"]);
  });

  it("that tap twice in one place double-tap, in two places do not", () => {
    const fingers = gestures();
    tap(fingers, [10, 10], 0);
    tap(fingers, [15, 12], 150);
    expect(told).toEqual(["tap", "double tap"]);
    tap(fingers, [10, 10], 2000);
    tap(fingers, [200, 10], 2150);
    expect(told.slice(2)).toEqual(["tap", "tap"]);
  });

  it("that move drag, and throw when they let go in motion", () => {
    const fingers = gestures();
    fingers.down(1, [0, 0], 0);
    fingers.move(1, [20, 0], 20);
    fingers.move(1, [40, 0], 40);
    fingers.up(1, [40, 0], 45);
    expect(told).toEqual(["drag 20 0", "drag 20 0", "release 1.0 0.0"]);
  });

  it("that rest before they let go do not throw", () => {
    const fingers = gestures();
    fingers.down(1, [0, 0], 0);
    fingers.move(1, [40, 0], 20);
    fingers.up(1, [40, 0], 400);
    expect(told).toEqual(["drag 40 0"]);
  });

  it("that are two pinch, and tap nothing when they leave", () => {
    const fingers = gestures();
    fingers.down(1, [0, 0], 0);
    fingers.down(2, [100, 0], 10);
    fingers.move(2, [150, 0], 20);
    fingers.up(2, [150, 0], 30);
    fingers.up(1, [0, 0], 40);
    expect(told).toEqual(["pinch"]);
  });

  it("that draw draw, and stop drawing when a second one comes", () => {
    drawing = true;
    const fingers = gestures();
    fingers.down(1, [0, 0], 0);
    fingers.move(1, [20, 0], 20);
    fingers.up(1, [20, 20], 40);
    expect(told).toEqual(["begin", "on", "end"]);
    told = [];
    fingers.down(1, [0, 0], 1000);
    fingers.down(2, [100, 0], 1010);
    expect(told).toEqual(["begin", "cancel"]);
  });
});
