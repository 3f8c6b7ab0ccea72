import type { ERROR_CODES } from "./codes";
import type { components } from "./schema";

type Schemas = components["schemas"];
export type Hold = Required<Schemas["Hold"]>;
export type Problem = Schemas["Problem"];
export type Result = Omit<Schemas["Result"], "hold_data"> & { hold_data: Hold[] };
export type Statistics = Schemas["Statistics"];
export type Memory = Schemas["MemoryUsage"];
export type Health = Schemas["Health"];
export type JobAnswer = Omit<Schemas["JobAnswer"], "result"> & { result: Result | null };
export type Accepted = Schemas["AcceptedAnswer"];
export type SentCorrections = Schemas["Corrections"];
export type Colour = Hold["color"];
export type Kind = Hold["kind"];
export type Tag = "start" | "top";
export type WallAngle = "slab" | "face" | "overhang";
export type Point = readonly [number, number];
export type ServerCode = (typeof ERROR_CODES)[number];

interface EventBase {
  job_id: string;
  seq: number;
  progress: number;
  message: string;
  elapsed_ms: number;
  memory: Memory;
}

/** One event of the stream. OpenAPI has no word for server-sent events; their parts are its types. */
export type StreamEvent = EventBase &
  (
    | { step: "queued"; position: number }
    | { step: "upload" | "retry" | "detection" | "analysis" | "analysis_complete" }
    | { step: "detection_complete"; holds_count: number; holds_kept: number; truncated: boolean }
    | { step: "clustering"; done: number; total: number }
    | { step: "clustering_complete"; problems_count: number }
    | { step: "result_stats"; statistics: Statistics }
    | { step: "result_holds"; hold_data: Hold[] }
    | { step: "result_problems"; problems: Problem[] }
    | { step: "complete"; result: Result }
    | { step: "error"; code: string }
  );
