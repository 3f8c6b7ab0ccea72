import { headersOf, type Identity } from "./client";
import { Failure, failureOf, NO_ANSWER_OF_OURS } from "./failure";
import type { Accepted, WallAngle } from "./types";

export interface Upload {
  photo: Blob;
  /** The same photo sent again with the same key is the same job. */
  key: string;
  wallAngle: WallAngle | null;
  /** 0..1 of the bytes. */
  onProgress: (fraction: number) => void;
  /** Every byte has left: from here on the service may have a job of it, even if no answer comes. */
  onReached?: () => void;
}

/** The service gives up a silent upload after 20 s; a dead line would let us wait for minutes. */
const SILENCE_MS = 25_000;
/** The service gives up what is slower. */
const SLOWEST_BYTES_PER_S = 8 * 1024;

/** Sends a photo as a job. XMLHttpRequest, because fetch cannot tell how much has left the phone. */
export function sendPhoto(signal: AbortSignal, identity: Identity, upload: Upload): Promise<Accepted> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(abortError());
      return;
    }
    const sending = new XMLHttpRequest();
    sending.open("POST", "api/jobs");
    for (const [name, value] of Object.entries(headersOf(identity))) sending.setRequestHeader(name, value);
    sending.setRequestHeader("Idempotency-Key", upload.key);
    const silence = watchdog(SILENCE_MS, () => {
      sending.onabort = null;
      sending.abort();
      reject(new Failure("unreachable", "the upload fell silent"));
    });
    sending.onloadend = silence.end;
    sending.upload.onprogress = (event) => {
      silence.reset();
      if (!event.lengthComputable) return;
      upload.onProgress(event.loaded / event.total);
      if (event.loaded < event.total) return;
      // All of it lies in buffers on the way, of which nothing is heard until the last of them is empty.
      silence.reset(SILENCE_MS + (event.total / SLOWEST_BYTES_PER_S) * 1000);
      upload.onReached?.();
    };
    sending.onload = () => settle(sending, resolve, reject);
    sending.onerror = () => reject(new Failure("unreachable"));
    sending.onabort = () => reject(abortError());
    signal.addEventListener("abort", () => sending.abort(), { once: true });
    sending.send(form(upload));
  });
}

function form({ photo, wallAngle }: Upload): FormData {
  const data = new FormData();
  if (wallAngle !== null) data.append("wall_angle", wallAngle);
  data.append("image", photo, "photo");
  return data;
}

function settle(
  sending: XMLHttpRequest,
  resolve: (job: Accepted) => void,
  reject: (error: Error) => void,
): void {
  if (sending.status >= 200 && sending.status < 300) {
    const job = accepted(sending.responseText);
    if (job === null) reject(new Failure("unreachable", NO_ANSWER_OF_OURS));
    else resolve(job);
    return;
  }
  const retryAfter = sending.getResponseHeader("Retry-After");
  reject(failureOf(sending.status, sending.responseText, retryAfter, Date.now()));
}

/** null: not what the service says. A hotel's network answers everything, with a page of its own. */
function accepted(body: string): Accepted | null {
  try {
    const job = JSON.parse(body) as Partial<Accepted> | null;
    return typeof job?.job_id === "string" ? (job as Accepted) : null;
  } catch {
    return null;
  }
}

function abortError(): DOMException {
  return new DOMException("the upload was cancelled", "AbortError");
}

/** Calls `bark` when `reset` was not called for so long. */
function watchdog(ms: number, bark: () => void): { reset: (ms?: number) => void; end: () => void } {
  let timer = setTimeout(bark, ms);
  const end = (): void => clearTimeout(timer);
  return {
    end,
    reset: (next = ms) => {
      end();
      timer = setTimeout(bark, next);
    },
  };
}
