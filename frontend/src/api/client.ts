import { Failure, failureOf, isAbort, NO_ANSWER_OF_OURS } from "./failure";
import type { Health, JobAnswer, SentCorrections } from "./types";

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

/** @throws Failure `unreachable` where what answered was not the service. */
async function jsonOf(answer: Response): Promise<unknown> {
  const body: unknown = await answer.json().catch(() => null);
  if (typeof body !== "object" || body === null) throw new Failure("unreachable", NO_ANSWER_OF_OURS);
  return body;
}

export async function getHealth(signal: AbortSignal, identity: Identity): Promise<Health> {
  return (await jsonOf(await request(signal, identity, "api/health"))) as Health;
}

export async function getJob(signal: AbortSignal, identity: Identity, jobId: string): Promise<JobAnswer> {
  return (await jsonOf(await request(signal, identity, `api/jobs/${jobId}`))) as JobAnswer;
}

export async function postCorrections(
  signal: AbortSignal,
  identity: Identity,
  jobId: string,
  corrections: SentCorrections,
): Promise<void> {
  const headers = { "Content-Type": "application/json" };
  const init = { method: "POST", headers, body: JSON.stringify(corrections) };
  await jsonOf(await request(signal, identity, `api/jobs/${jobId}/corrections`, init));
}

/** Cancels and erases; one that is already gone is what was wanted, where the service itself says so. */
export async function deleteJob(signal: AbortSignal, identity: Identity, jobId: string): Promise<void> {
  let answer: Response;
  try {
    answer = await request(signal, identity, `api/jobs/${jobId}`, { method: "DELETE" });
  } catch (error) {
    if (error instanceof Failure && [404, 410].includes(error.status)) {
      if (error.told) return;
      throw new Failure("unreachable", NO_ANSWER_OF_OURS);
    }
    throw error;
  }
  if (answer.status !== 204) throw new Failure("unreachable", NO_ANSWER_OF_OURS);
}
