import { describe, expect, it } from "vitest";
import { Failure, failureOf, retryAfterSeconds, toFailure } from "./failure";

const NOW = Date.parse("2026-11-21T12:00:00Z");

describe("a failure", () => {
  it("has the code and the detail of problem details", () => {
    const body = JSON.stringify({ code: "queue_full", detail: "8 photos are waiting" });
    expect(failureOf(503, body, "30", NOW)).toMatchObject({
      code: "queue_full",
      detail: "8 photos are waiting",
      retryAfter: 30,
      passing: true,
    });
  });

  it.each([
    [401, "unauthorized"],
    [413, "photo_too_many_bytes"],
    [502, "unreachable"],
    [500, "internal_error"],
  ])("of a proxy that knows no codes is told by its status %i", (status, code) => {
    expect(failureOf(status, "<html>Bad Gateway</html>", null, NOW).code).toBe(code);
  });

  it("of the photo does not pass", () => {
    expect(new Failure("photo_corrupt", "", null, 400).passing).toBe(false);
  });

  it("is made of whatever was thrown", () => {
    expect(toFailure(new DOMException("full", "QuotaExceededError")).code).toBe("device_full");
    expect(toFailure(new TypeError("x is undefined")).code).toBe("unexpected");
    expect(toFailure("words").detail).toBe("words");
  });
});

describe("Retry-After", () => {
  it.each([
    ["12", 12],
    ["Sat, 21 Nov 2026 12:00:09 GMT", 9],
    ["Sat, 21 Nov 2026 11:00:00 GMT", 0],
    ["soon", null],
    ["", null],
    [null, null],
  ])("%s is %s seconds", (header, seconds) => {
    expect(retryAfterSeconds(header, NOW)).toBe(seconds);
  });
});
