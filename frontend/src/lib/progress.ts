import type { StreamEvent } from "../api/types";

/** What a person watches, in order. */
export const STAGES = ["prepare", "send", "wait", "find", "name", "grade"] as const;
export type Stage = (typeof STAGES)[number];

/** How far an analysis is. A plain value: it is kept with the entry, so that a reload goes on from it. */
export interface Progress {
  readonly stage: Stage;
  /** 0..100, and never less than before. */
  readonly percent: number;
  /** Analyses ahead of ours; null when we are not waiting. */
  readonly position: number | null;
  readonly found: number | null;
  readonly kept: number | null;
  readonly truncated: boolean;
  readonly named: number | null;
  readonly problems: number | null;
}

export const NOT_BEGUN: Progress = {
  stage: "prepare",
  percent: 0,
  position: null,
  found: null,
  kept: null,
  truncated: false,
  named: null,
  problems: null,
};

/** The photo's way to the service is this part of the bar; the service's own progress is the rest. */
const SENDING = 20;

export function preparing(): Progress {
  return { ...NOT_BEGUN, percent: 1 };
}

export function sending(before: Progress, fraction: number): Progress {
  return forward(before, { stage: "send" }, 2 + fraction * (SENDING - 2));
}

export function advance(before: Progress, event: StreamEvent): Progress {
  const percent = SENDING + (event.progress * (100 - SENDING)) / 100;
  return forward(before, news(before, event), percent);
}

/** Stage and counts follow what is told, since a service that was restarted tells it again; the bar only grows. */
function forward(before: Progress, changes: Partial<Progress>, percent: number): Progress {
  return { ...before, ...changes, percent: Math.min(100, Math.max(before.percent, percent)) };
}

function news(before: Progress, event: StreamEvent): Partial<Progress> {
  switch (event.step) {
    case "queued":
      return { stage: "wait", position: event.position };
    case "upload":
    case "detection":
      return { stage: "find", position: null };
    case "detection_complete":
      return { stage: "name", found: event.holds_count, kept: event.holds_kept, truncated: event.truncated };
    case "clustering":
      return { stage: "name", named: event.done, kept: event.total };
    case "clustering_complete":
      return { stage: "grade", named: before.kept, problems: event.problems_count };
    case "analysis":
    case "analysis_complete":
      return { stage: "grade" };
    default:
      return {};
  }
}

/** Where a stage stands beside the one that runs. */
export function standing(stage: Stage, progress: Progress): "done" | "now" | "next" {
  if (progress.percent >= 100) return "done";
  const difference = STAGES.indexOf(stage) - STAGES.indexOf(progress.stage);
  return difference < 0 ? "done" : difference === 0 ? "now" : "next";
}
