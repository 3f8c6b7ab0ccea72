import { describe, expect, it } from "vitest";
import type { Point } from "../api/types";
import { unfit } from "./outline";

const PHOTO = { width: 640, height: 480 };

function square(side: number): Point[] {
  return [
    [0, 0],
    [side, 0],
    [side, side],
    [0, side],
  ];
}

describe("what is drawn", () => {
  it.each([
    ["16 CSS pixels at the closest zoom, less than the service takes", square(2.7), 6, "small"],
    ["just what the service takes, at the closest zoom", square(4), 6, null],
    ["a touch that was not meant", square(10), 1, "small"],
    ["a hold", square(20), 1, null],
    ["more than half of the photo", square(400), 1, "large"],
    ["a line", square(90).slice(0, 2), 1, "small"],
  ] as const)("%s", (_name, contour, scale, how) => {
    expect(unfit(contour, scale, PHOTO)).toBe(how);
  });
});
