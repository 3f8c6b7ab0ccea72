const FIRST_MS = 800;
const MOST_MS = 30_000;

/**
 * Milliseconds to wait before attempt `attempt` (0 is the first retry): exponential with full jitter, so that a
 * hundred phones that lost the same server do not come back together. Never sooner than the service asked.
 */
export function backoff(
  attempt: number,
  retryAfter: number | null,
  random: () => number = Math.random,
): number {
  const ceiling = Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  const jittered = ceiling / 4 + random() * ceiling * 0.75;
  return Math.max(jittered, (retryAfter ?? 0) * 1000);
}

/**
 * Waits, or less where `wake` fires: someone looks at the screen again, or the network is back. Never less than
 * `leastMs`, such as a Retry-After: that is what the service asked for, however often the phone is unlocked.
 */
export function pause(signal: AbortSignal, ms: number, wake?: EventTarget, leastMs = 0): Promise<void> {
  const began = Date.now();
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      clearTimeout(timer);
      wake?.removeEventListener("wake", hurry);
      signal.removeEventListener("abort", stop);
    };
    const finish = (): void => {
      leave();
      resolve();
    };
    const hurry = (): void => {
      clearTimeout(timer);
      timer = setTimeout(finish, Math.max(0, began + leastMs - Date.now()));
    };
    const stop = (): void => {
      leave();
      reject(new DOMException("aborted", "AbortError"));
    };
    let timer = setTimeout(finish, ms);
    wake?.addEventListener("wake", hurry);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop);
  });
}
