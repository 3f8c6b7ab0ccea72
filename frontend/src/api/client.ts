import { Failure, failureOf, isAbort } from "./failure";
import type { Health, JobAnswer } from "./types";

/** What every request carries; the settings screen and the language decide it. */
export interface Identity {
  apiKey: string;
  language: string;
}

export type Fetch = typeof fetch;

export function headersOf(identity: Identity): Record<string, string> {
  const headers: Record<string, string> = { "Accept-Language": identity.language };
  if (identity.apiKey !== "") headers["X-API-Key"] = identity.apiKey;
  return headers;
}

/**
 * The answer to a request, whatever its status was among the good ones.
 *
 * @throws Failure for every other status, and where no answer came.
 */
export async function request(
  signal: AbortSignal,
  identity: Identity,
  path: string,
  init: RequestInit = {},
  fetchOnce: Fetch = fetch,
): Promise<Response> {
  const headers = { ...headersOf(identity), ...(init.headers as Record<string, string> | undefined) };
  let answer: Response;
  try {
    answer = await fetchOnce(path, { ...init, headers, signal, cache: "no-store" });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new Failure("unreachable");
  }
  if (answer.ok) return answer;
  const body = await answer.text().catch(() => "");
  throw failureOf(answer.status, body, answer.headers.get("Retry-After"), Date.now());
}

export async function getHealth(signal: AbortSignal, identity: Identity): Promise<Health> {
  return (await (await request(signal, identity, "api/health")).json()) as Health;
}

export async function getJob(signal: AbortSignal, identity: Identity, jobId: string): Promise<JobAnswer> {
  return (await (await request(signal, identity, `api/jobs/${jobId}`)).json()) as JobAnswer;
}

/** Cancels and erases; one that is already gone is what was wanted. */
export async function deleteJob(signal: AbortSignal, identity: Identity, jobId: string): Promise<void> {
  try {
    await request(signal, identity, `api/jobs/${jobId}`, { method: "DELETE" });
  } catch (error) {
    if (!(error instanceof Failure && [404, 410].includes(error.status))) throw error;
  }
}
