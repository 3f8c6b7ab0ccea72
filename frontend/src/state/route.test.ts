import { describe, expect, it } from "vitest";
import { hashOf, parseRoute, type Route } from "./route";

const ROUTES: Route[] = [
  { at: "capture" },
  { at: "wall", id: "6f0e3a52-3b0e", mode: "explore" },
  { at: "wall", id: "6f0e3a52-3b0e", mode: "correct" },
  { at: "history" },
  { at: "settings" },
  { at: "status" },
];

describe("a route", () => {
  it.each(ROUTES)("%o is what its address says", (route) => {
    expect(parseRoute(hashOf(route))).toEqual(route);
  });

  it.each(["", "#", "#/nowhere", "#/wall/", "#/wall/../etc"])("%s leads to the beginning", (hash) => {
    expect(parseRoute(hash)).toEqual({ at: "capture" });
  });
});
