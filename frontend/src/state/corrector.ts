import { request } from "../api/client";
import { Failure, isAbort, wantsKey } from "../api/failure";
import { pause } from "../lib/backoff";
import { asSent } from "../lib/corrections";
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
  const { store, shelves } = tools;
  const sendings = new Map<string, AbortController>();

  async function send(signal: AbortSignal, id: string, after: number): Promise<void> {
    await pause(signal, after);
    const entry = entryOf(store.get(), id);
    const { result } = await shelves.findings(id);
    if (entry?.jobId == null || entry.delivery !== "due" || result === null) return;
    const body = JSON.stringify(asSent(result, entry.corrections, entry.share));
    const headers = { "Content-Type": "application/json" };
    const path = `api/jobs/${entry.jobId}/corrections`;
    try {
      await request(signal, identityOf(store.get()), path, { method: "POST", headers, body });
      await shelves.update(id, { delivery: "sent" });
    } catch (error) {
      if (isAbort(error) || !(error instanceof Failure) || error.passing || wantsKey(error.code)) return;
      // For good, as where the job has expired: they stay on this phone.
      await shelves.update(id, { delivery: "refused" });
    }
  }

  function schedule(id: string, after: number): void {
    sendings.get(id)?.abort();
    const control = new AbortController();
    sendings.set(id, control);
    send(control.signal, id, after).catch(() => undefined);
  }

  return {
    change: (id, changes) => {
      void shelves.update(id, { ...changes, delivery: "due" });
      schedule(id, QUIET_MS);
    },
    flush: () => {
      for (const entry of store.get().entries ?? []) if (entry.delivery === "due") schedule(entry.id, 0);
    },
  };
}
