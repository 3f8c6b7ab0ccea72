import type { Hold, Problem, Result, WallAngle } from "../api/types";
import type { Correction } from "../lib/corrections";
import type { Progress } from "../lib/progress";

export type Status = "sending" | "running" | "done" | "failed";

/** One photo and what became of it, small enough for a list. Photo and result are kept apart from it. */
export interface Entry {
  readonly id: string;
  readonly createdAt: number;
  readonly status: Status;
  /** Idempotency-Key of the upload: a new one only where the service shall look again. */
  readonly key: string;
  readonly jobId: string | null;
  /** All of the photo went out under this key: the service may have a job of it whose id was never heard. */
  readonly reached?: boolean;
  readonly lastEventId: string;
  readonly wallAngle: WallAngle | null;
  /** The kept photo is the one to send: smaller, and without its EXIF. */
  readonly prepared: boolean;
  readonly progress: Progress;
  readonly failure: EntryFailure | null;
  readonly size: { readonly width: number; readonly height: number } | null;
  readonly counts: { readonly holds: number; readonly problems: number } | null;
  readonly corrections: readonly Correction[];
  /**
   * Whether the service knows of the corrections. One that refuses them is not asked again; one that is `locked` is,
   * with the next key.
   */
  readonly delivery: "due" | "locked" | "sent" | "refused";
  /** The person allows that the corrected photo is kept for training, where the owner of the server does. */
  readonly share: boolean;
  /** The service may hold a copy by that permission, also after the job has expired. */
  readonly shared?: boolean;
}

export interface EntryFailure {
  readonly code: string;
  readonly detail: string;
  /** The job itself ended so: asking for it again tells the same. */
  readonly ended?: boolean;
}

/** What is known of the wall so far; `result` once it is all there. */
export interface Findings {
  readonly holds: readonly Hold[];
  readonly problems: readonly Problem[];
  readonly result: Result | null;
}

export const NOTHING_FOUND: Findings = { holds: [], problems: [], result: null };

export function findingsOf(result: Result): Findings {
  return { holds: result.hold_data, problems: result.problems, result };
}

/** A random UUID (RFC 9562, version 4). crypto.randomUUID is missing on a plain-http address of the local network. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
