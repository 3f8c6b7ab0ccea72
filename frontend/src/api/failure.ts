import type { ServerCode } from "./types";

/** What can go wrong before the service is asked, or on the way to it. */
export const OWN_CODES = [
  "offline",
  "offline_sent",
  "unreachable",
  "unauthorized",
  "api_key_missing",
  "api_key_invalid",
  "forbidden",
  "rate_limited",
  "host_not_trusted",
  "not_an_image",
  "photo_unreadable",
  "device_full",
  "unexpected",
] as const;
export type OwnCode = (typeof OWN_CODES)[number];
export type Code = ServerCode | OwnCode;

/** A failure with the code that chooses its sentence. */
export class Failure extends Error {
  constructor(
    readonly code: string,
    readonly detail = "",
    /** Seconds the service asked us to wait; null where it said nothing. */
    readonly retryAfter: number | null = null,
    /** HTTP status; 0 where no answer came. */
    readonly status = 0,
    /** The service itself said so; else it may have been a network in between. */
    readonly told = false,
  ) {
    super(detail === "" ? code : `${code}: ${detail}`);
  }

  /** Whether the same request may succeed later. */
  get passing(): boolean {
    return [408, 429, 502, 503, 504, 511].includes(this.status) || this.code === "unreachable";
  }
}

export const NO_ANSWER_OF_OURS = "something between phone and server answered";

/** Failures that a key solves. */
export function wantsKey(code: string): boolean {
  return ["unauthorized", "api_key_missing", "api_key_invalid", "forbidden"].includes(code);
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

export function toFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof DOMException && error.name === "QuotaExceededError") return new Failure("device_full");
  return new Failure("unexpected", error instanceof Error ? error.message : String(error));
}

/** Seconds of a Retry-After header, which holds a number or a date; null where there is none. */
export function retryAfterSeconds(header: string | null, now: number): number | null {
  if (header === null || header.trim() === "") return null;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds);
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, (date - now) / 1000);
}

/** The failure that an answer carries: problem details (RFC 9457), or at least its status. */
export function failureOf(status: number, body: string, retryAfter: string | null, now: number): Failure {
  const { code, detail } = problemDetails(body);
  const wait = retryAfterSeconds(retryAfter, now);
  // The service names each of its refusals: a bare "not found" is somebody else's, and says nothing of the job.
  if (code === null && status >= 400 && status < 500 && !SAID_BY_PROXIES.includes(status)) {
    return new Failure("unreachable", NO_ANSWER_OF_OURS, wait, status);
  }
  return new Failure(code ?? codeOfStatus(status), detail, wait, status, code !== null);
}

function problemDetails(body: string): { code: string | null; detail: string } {
  try {
    const problem: unknown = JSON.parse(body);
    if (typeof problem !== "object" || problem === null) return { code: null, detail: "" };
    const { code, detail } = problem as Record<string, unknown>;
    return { code: typeof code === "string" ? code : null, detail: typeof detail === "string" ? detail : "" };
  } catch {
    return { code: null, detail: "" };
  }
}

/** What a proxy of the owner's may say in the service's name: a password, a rate, a size, a time. */
const SAID_BY_PROXIES = [401, 408, 413, 429];

function codeOfStatus(status: number): Code {
  if (status === 401) return "unauthorized";
  if (status === 429) return "rate_limited";
  if (status === 413) return "photo_too_many_bytes";
  return [502, 503, 504, 511].includes(status) ? "unreachable" : "internal_error";
}
