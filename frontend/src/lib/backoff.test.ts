import { describe, expect, it } from "vitest";
import { backoff, pause } from "./backoff";

describe("a pause before the next attempt", () => {
  it("grows, and stops growing at half a minute", () => {
    const longest = [0, 1, 2, 3, 20].map((attempt) => backoff(attempt, null, () => 1));
    expect(longest).toEqual([800, 1600, 3200, 6400, 30_000]);
  });

  it("differs from phone to phone", () => {
    expect(backoff(3, null, () => 0)).toBeLessThan(backoff(3, null, () => 1));
  });

  it("is never shorter than the service asked", () => {
    expect(backoff(0, 20, () => 0)).toBe(20_000);
  });

  it("is cut short by somebody who looks, and by nobody before the service wants to be asked again", async () => {
    const wake = new EventTarget();
    const { signal } = new AbortController();
    const began = Date.now();
    const free = pause(signal, 60_000, wake);
    const asked = pause(signal, 60_000, wake, 120);
    const waking = setInterval(() => wake.dispatchEvent(new Event("wake")), 10);
    await free;
    expect(Date.now() - began).toBeLessThan(100);
    await asked;
    clearInterval(waking);
    expect(Date.now() - began).toBeGreaterThanOrEqual(119);
  });

  it("ends with an abort", async () => {
    const control = new AbortController();
    const waiting = pause(control.signal, 60_000);
    control.abort();
    await expect(waiting).rejects.toMatchObject({ name: "AbortError" });
  });
});
