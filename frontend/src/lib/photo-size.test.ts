import { describe, expect, it } from "vitest";
import { MOST_PIXELS, sizeWithin } from "./photo-size";

describe("a photo's size on the way out", () => {
  it.each([
    [
      { width: 4032, height: 3024 },
      { width: 2560, height: 1920 },
    ],
    [
      { width: 3024, height: 4032 },
      { width: 1920, height: 2560 },
    ],
    [
      { width: 800, height: 600 },
      { width: 800, height: 600 },
    ],
    [
      { width: 20_000, height: 3 },
      { width: 2560, height: 1 },
    ],
  ])("of %o is %o", (photo, size) => {
    expect(sizeWithin(photo)).toEqual(size);
  });

  it("is never larger than Safari's canvas, whatever side is asked for", () => {
    const { width, height } = sizeWithin({ width: 12_000, height: 9000 }, 12_000);
    expect(width * height).toBeLessThanOrEqual(MOST_PIXELS);
    expect(width / height).toBeCloseTo(4 / 3, 2);
  });
});
