import { type Failure, isAbort, toFailure, wantsKey } from "../api/failure";
import type { WallAngle } from "../api/types";
import { NOT_BEGUN, preparing } from "../lib/progress";
import { analyse, type Tools } from "./analysis";
import { entryOf } from "./app";
import { type Entry, newId, NOTHING_FOUND } from "./entry";
import { createEraser, type Erased } from "./eraser";
import type { Keep } from "./keep";

/** The analyses under way, each apart from any screen. */
export interface Analyses {
  /** The new entry's id; it has a photo from the first moment. */
  begin: (file: File, wallAngle: WallAngle | null) => string;
  /** Goes on where it stopped, or begins again where the service has ended it. */
  retry: (id: string) => void;
  /** Ends whatever is under way; erases it here and on the service. */
  erase: (id: string) => Promise<Erased>;
  /** Takes up what a closed page left. */
  resume: () => void;
}

/** After these the service still has the job: the same one goes on, unless it was the job that ended so. */
function livesOn({ jobId, failure }: Entry): boolean {
  if (jobId === null || failure?.ended === true) return false;
  const code = failure?.code ?? "";
  return wantsKey(code) || ["rate_limited", "internal_error", "unexpected", "device_full"].includes(code);
}

export function createAnalyses(tools: Tools, keep: Keep): Analyses {
  const { store, shelves } = tools;
  const running = new Map<string, AbortController>();
  const eraser = createEraser(tools, keep);

  // Deleted in another tab: what this one does for it has nobody left.
  store.subscribe(() => {
    for (const [id, control] of running) if (entryOf(store.get(), id) === null) control.abort();
  });

  function run(id: string, file: File | null): void {
    if (running.has(id)) return;
    const control = new AbortController();
    running.set(id, control);
    void analyse(control.signal, tools, id, file)
      .catch((error: unknown) => {
        if (!isAbort(error)) fail(id, toFailure(error));
      })
      .finally(() => {
        if (running.get(id) === control) running.delete(id);
        shelves.wait(id, null);
      });
  }

  function fail(id: string, { code, detail }: Failure): void {
    shelves.update(id, { status: "failed", failure: { code, detail } }).catch(() => undefined);
  }

  /** Its old job is nobody's any more. */
  async function beginAgain(entry: Entry): Promise<void> {
    const { id, jobId } = entry;
    if (jobId !== null) {
      await keep.owe(jobId).catch(() => undefined);
      void eraser.erase(jobId);
    }
    await shelves.find(id, NOTHING_FOUND).catch(() => undefined);
  }

  return {
    begin: (file, wallAngle) => {
      const entry = newEntry(wallAngle);
      shelves.add(entry, file);
      askToStay();
      run(entry.id, file);
      return entry.id;
    },
    retry: (id) => {
      const entry = entryOf(store.get(), id);
      if (entry === null) return;
      const goesOn = livesOn(entry);
      if (!goesOn) void beginAgain(entry);
      const changes: Partial<Entry> = goesOn ? { failure: null, status: "running" } : afresh(entry);
      shelves.update(id, changes).catch(() => undefined);
      run(id, null);
    },
    erase: async (id) => {
      running.get(id)?.abort();
      running.delete(id);
      try {
        const owed = await shelves.drop(id);
        return owed === null ? "erased" : await eraser.erase(owed);
      } catch {
        return "stuck";
      }
    },
    resume: () => {
      for (const { id, status } of store.get().entries ?? []) {
        if (status === "sending" || status === "running") run(id, null);
      }
      eraser.flush();
    },
  };
}

/** The same photo under a new key: the service shall look again. One that may have arrived keeps its key. */
function afresh({ jobId, reached, key }: Entry): Partial<Entry> {
  const unheard = jobId === null && reached === true;
  return {
    failure: null,
    status: "sending",
    key: unheard ? key : newId(),
    reached: unheard,
    jobId: null,
    lastEventId: "",
    progress: NOT_BEGUN,
    corrections: [],
    delivery: "sent",
    share: false,
    shared: false,
  };
}

/** Browsers tidy away what they were not asked to keep, Safari after a week. */
function askToStay(): void {
  // Missing on a plain-http address of the local network.
  const storage = (navigator as { storage?: StorageManager }).storage;
  storage?.persist().catch(() => undefined);
}

function newEntry(wallAngle: WallAngle | null): Entry {
  return {
    id: newId(),
    createdAt: Date.now(),
    status: "sending",
    key: newId(),
    jobId: null,
    lastEventId: "",
    wallAngle,
    prepared: false,
    progress: preparing(),
    failure: null,
    size: null,
    counts: null,
    corrections: [],
    delivery: "sent",
    share: false,
  };
}
