import { deleteJob, postCorrections } from "../api/client";
import { Failure, wantsKey } from "../api/failure";
import type { Result } from "../api/types";
import { backoff, pause } from "../lib/backoff";
import { asSent } from "../lib/sent-corrections";
import type { Tools } from "./analysis";
import { entryOf, identityOf } from "./app";
import type { Entry } from "./entry";

/** Keeps what a person put right, and tells the service of it. */
export interface Corrector {
  /** Kept at once, sent when nothing has changed for a moment. */
  change: (id: string, changes: Partial<Pick<Entry, "corrections" | "share">>) => void;
  /** Sends what could not be sent before. */
  flush: () => void;
}

const QUIET_MS = 1200;

export function createCorrector(tools: Tools): Corrector {
  const { store, shelves, wake } = tools;
  const sendings = new Map<string, AbortController>();

  async function send(signal: AbortSignal, id: string, after: number): Promise<void> {
    await pause(signal, after);
    for (let attempt = 0; ; attempt += 1) {
      const entry = entryOf(store.get(), id);
      const { result } = await shelves.findings(id);
      if (entry?.jobId == null || !isOwed(entry) || result === null) return;
      try {
        await deliver(signal, entry, entry.jobId, result);
        return;
      } catch (error) {
        if (!(error instanceof Failure) || !mayPass(error)) throw error;
        const wait = backoff(attempt, error.retryAfter);
        await pause(signal, wait, wake, (error.retryAfter ?? 0) * 1000);
      }
    }
  }

  /** @throws Failure that may pass. What is refused for good, or wants a key, is settled here. */
  async function deliver(signal: AbortSignal, entry: Entry, jobId: string, result: Result): Promise<void> {
    const { id, share, shared = false } = entry;
    // Before it is sent: an answer that is lost must not lose that the photo may be kept there.
    if (share && !shared) await shelves.update(id, { shared: true });
    const identity = identityOf(store.get());
    try {
      await postCorrections(signal, identity, jobId, asSent(result, entry.corrections, share));
      signal.throwIfAborted();
      await shelves.update(id, { delivery: "sent", shared: share });
    } catch (error) {
      if (!(error instanceof Failure) || mayPass(error)) throw error;
      if (wantsKey(error.code)) {
        signal.throwIfAborted();
        await shelves.update(id, { delivery: "locked" });
        return;
      }
      // As where the job has expired. A withdrawal must reach the copy all the same: deletion does, at any time.
      if (shared && !share) await deleteJob(signal, identity, jobId);
      signal.throwIfAborted();
      const there = shared && share;
      await shelves.update(id, { delivery: "refused", share: there, shared: there });
    }
  }

  function schedule(id: string, after: number): void {
    sendings.get(id)?.abort();
    const control = new AbortController();
    sendings.set(id, control);
    send(control.signal, id, after)
      .catch(() => undefined)
      .finally(() => {
        if (sendings.get(id) === control) sendings.delete(id);
      });
  }

  return {
    change: (id, changes) => {
      // One that could not be kept is marked so, and sent all the same.
      shelves.update(id, { ...changes, delivery: "due" }).catch(() => undefined);
      schedule(id, QUIET_MS);
    },
    flush: () => {
      for (const entry of store.get().entries ?? []) {
        if (isOwed(entry) && !sendings.has(entry.id)) schedule(entry.id, 0);
      }
    },
  };
}

function isOwed({ delivery }: Entry): boolean {
  return delivery === "due" || delivery === "locked";
}

function mayPass(failure: Failure): boolean {
  return failure.passing || failure.status >= 500;
}
