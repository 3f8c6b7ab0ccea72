import { request } from "../api/client";
import { Failure, isAbort } from "../api/failure";
import { pause } from "../lib/backoff";
import { asSent, type Correction } from "../lib/corrections";
import type { Tools } from "./analysis";
import { entryOf, identityOf } from "./app";

/** Keeps what a person put right, and tells the service of it. */
export interface Corrector {
  /** Kept at once, sent when nothing has changed for a moment. */
  change: (id: string, corrections: readonly Correction[]) => void;
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
    if (entry?.jobId == null || !entry.unsent || result === null) return;
    const { share } = store.get().settings;
    const body = JSON.stringify(asSent(result, entry.corrections, share));
    const headers = { "Content-Type": "application/json" };
    const path = `api/jobs/${entry.jobId}/corrections`;
    try {
      await request(signal, identityOf(store.get()), path, { method: "POST", headers, body });
    } catch (error) {
      // Refused for good, as where the job has expired: they stay on this phone.
      if (isAbort(error) || (error instanceof Failure && (error.passing || error.status === 401))) return;
    }
    await shelves.update(id, { unsent: false });
  }

  function schedule(id: string, after: number): void {
    sendings.get(id)?.abort();
    const control = new AbortController();
    sendings.set(id, control);
    send(control.signal, id, after).catch(() => undefined);
  }

  return {
    change: (id, corrections) => {
      void shelves.update(id, { corrections, unsent: true });
      schedule(id, QUIET_MS);
    },
    flush: () => {
      for (const entry of store.get().entries ?? []) if (entry.unsent) schedule(entry.id, 0);
    },
  };
}
