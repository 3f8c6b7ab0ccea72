import { describe, expect, it } from "vitest";
import type { StreamEvent } from "../api/types";
import { advance, NOT_BEGUN, type Progress, sending, standing } from "./progress";

const MEMORY = { rss_mb: 1, peak_mb: 1, percent: 1, limit_mb: 1, available_mb: 1 };
const BASE = { job_id: "j", seq: 1, message: "", elapsed_ms: 0, memory: MEMORY };

const RUN: StreamEvent[] = [
  { ...BASE, step: "queued", progress: 0, position: 2 },
  { ...BASE, step: "upload", progress: 5 },
  { ...BASE, step: "detection", progress: 10 },
  { ...BASE, step: "detection_complete", progress: 30, holds_count: 46, holds_kept: 40, truncated: true },
  { ...BASE, step: "clustering", progress: 50, done: 20, total: 40 },
  { ...BASE, step: "clustering_complete", progress: 80, problems_count: 5 },
  { ...BASE, step: "analysis_complete", progress: 90 },
];

function after(events: readonly StreamEvent[], from: Progress = NOT_BEGUN): Progress {
  return events.reduce(advance, from);
}

describe("progress", () => {
  it("counts what was found, kept, named and grouped", () => {
    expect(after(RUN)).toMatchObject({
      stage: "grade",
      found: 46,
      kept: 40,
      named: 40,
      problems: 5,
      position: null,
    });
  });

  it("knows how many are ahead only while it waits", () => {
    expect(after(RUN.slice(0, 1)).position).toBe(2);
    expect(after(RUN.slice(0, 2)).position).toBeNull();
  });

  it("never falls, though a service that was restarted begins again", () => {
    const before = after(RUN);
    const again = after(RUN.slice(0, 3), before);
    expect(again.stage).toBe("find");
    expect(again.percent).toBe(before.percent);
    expect(sending(again, 0.1).percent).toBe(before.percent);
  });

  it("reaches the end of the bar with the last event, and not before", () => {
    expect(after(RUN).percent).toBeLessThan(100);
    expect(sending(NOT_BEGUN, 1).percent).toBeLessThan(after(RUN.slice(0, 2)).percent);
  });

  it("lights the stages up one after the other", () => {
    const progress = after(RUN.slice(0, 5));
    expect(standing("find", progress)).toBe("done");
    expect(standing("name", progress)).toBe("now");
    expect(standing("grade", progress)).toBe("next");
  });
});
