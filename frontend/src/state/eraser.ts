import { deleteJob } from "../api/client";
import { type Failure, toFailure, wantsKey } from "../api/failure";
import { sendPhoto } from "../api/upload";
import { backoff, pause } from "../lib/backoff";
import type { Tools } from "./analysis";
import { identityOf } from "./app";
import { type Erasure, type Keep, nameOf } from "./keep";

/** `erased`: the service has said so. `owed`: it will be told until it does. `stuck`: not even this device let it go. */
export type Erased = "erased" | "owed" | "stuck";

/** Tells the service what to erase, until it has done it: after a reload, a flight, a refused key. */
export interface Eraser {
  /** Resolves after the first attempt, whatever became of it. */
  erase: (erasure: Erasure) => Promise<Erased>;
  /** Takes up what is still owed. */
  flush: () => void;
}

export function createEraser(tools: Tools, keep: Keep): Eraser {
  const { store, wake } = tools;
  const under = new Set<string>();

  async function tell(signal: AbortSignal, erasure: Erasure): Promise<void> {
    const identity = identityOf(store.get());
    if (typeof erasure === "string") {
      await deleteJob(signal, identity, erasure);
      return;
    }
    // The same photo under the same key is the same job: its answer names what is to be deleted.
    const job = await sendPhoto(signal, identity, { ...erasure, onProgress: () => undefined });
    await deleteJob(signal, identity, job.job_id);
  }

  /** null: done; else what to do about it. */
  async function attempt(signal: AbortSignal, erasure: Erasure): Promise<Failure | null> {
    try {
      await tell(signal, erasure);
    } catch (error) {
      const failure = toFailure(error);
      // What the service refuses to take cannot have become a job under this key.
      const never = typeof erasure !== "string" && failure.told && failure.status < 500;
      if (!never || failure.passing || wantsKey(failure.code)) return failure;
    }
    await keep.paid(erasure);
    return null;
  }

  async function settle(erasure: Erasure, onFirst: (erased: Erased) => void): Promise<void> {
    const { signal } = new AbortController();
    for (let count = 0; ; count += 1) {
      const failure = await attempt(signal, erasure);
      onFirst(failure === null ? "erased" : "owed");
      if (failure === null || !(failure.passing || failure.status >= 500)) return;
      const wait = backoff(count, failure.retryAfter);
      await pause(signal, wait, wake, (failure.retryAfter ?? 0) * 1000);
    }
  }

  function erase(erasure: Erasure): Promise<Erased> {
    const name = nameOf(erasure);
    if (under.has(name)) return Promise.resolve("owed");
    under.add(name);
    return new Promise((resolve) => {
      settle(erasure, resolve)
        .catch(() => resolve("owed"))
        .finally(() => under.delete(name));
    });
  }

  return {
    erase,
    flush: () => {
      keep
        .all("erasures")
        .then((owed) => {
          for (const erasure of owed) void erase(erasure);
        })
        .catch(() => undefined);
    },
  };
}
