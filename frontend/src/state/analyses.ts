import { deleteJob } from "../api/client";
import { type Failure, isAbort, toFailure, wantsKey } from "../api/failure";
import type { WallAngle } from "../api/types";
import { NOT_BEGUN, preparing } from "../lib/progress";
import { analyse, type Tools } from "./analysis";
import { entryOf, identityOf } from "./app";
import { type Entry, newId, NOTHING_FOUND } from "./entry";
import type { Keep } from "./keep";

/** The analyses under way, each apart from any screen. */
export interface Analyses {
  /** The new entry's id; it has a photo from the first moment. */
  begin: (file: File, wallAngle: WallAngle | null) => string;
  /** Goes on where it stopped, or begins again where the service has ended it. */
  retry: (id: string) => void;
  /** Ends whatever is under way; erases it here and on the service. */
  erase: (id: string) => Promise<void>;
  /** Takes up what a closed page left. */
  resume: () => void;
}

/** After these the service still has the job: the same one goes on. */
function livesOn(code: string): boolean {
  return wantsKey(code) || ["rate_limited", "internal_error", "unexpected", "device_full"].includes(code);
}

export function createAnalyses(tools: Tools, keep: Keep): Analyses {
  const { store, shelves } = tools;
  const running = new Map<string, AbortController>();
  const erasing = new Set<string>();

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
    void shelves.update(id, { status: "failed", failure: { code, detail } });
  }

  /** Remembered until it is done: a phone without a network erases when it is back. */
  async function eraseOnService(jobId: string): Promise<void> {
    if (erasing.has(jobId)) return;
    erasing.add(jobId);
    try {
      await keep.put("erasures", jobId, jobId);
      await deleteJob(new AbortController().signal, identityOf(store.get()), jobId);
      await keep.remove("erasures", jobId);
    } finally {
      erasing.delete(jobId);
    }
  }

  return {
    begin: (file, wallAngle) => {
      const entry = newEntry(wallAngle);
      void shelves.add(entry, file);
      run(entry.id, file);
      return entry.id;
    },
    retry: (id) => {
      const entry = entryOf(store.get(), id);
      if (entry === null) return;
      const goOn = entry.jobId !== null && livesOn(entry.failure?.code ?? "");
      if (!goOn) void shelves.find(id, NOTHING_FOUND);
      void shelves.update(id, goOn ? { failure: null, status: "running" } : afresh());
      run(id, null);
    },
    erase: async (id) => {
      running.get(id)?.abort();
      running.delete(id);
      const jobId = entryOf(store.get(), id)?.jobId ?? null;
      await shelves.drop(id);
      if (jobId !== null) await eraseOnService(jobId).catch(() => undefined);
    },
    resume: () => {
      for (const { id, status } of store.get().entries ?? []) {
        if (status === "sending" || status === "running") run(id, null);
      }
      void keep.all("erasures").then((jobs) => {
        for (const jobId of jobs) eraseOnService(jobId).catch(() => undefined);
      });
    },
  };
}

/** The same photo under a new key: the service shall look again. */
function afresh(): Partial<Entry> {
  return {
    failure: null,
    status: "sending",
    key: newId(),
    jobId: null,
    lastEventId: "",
    progress: NOT_BEGUN,
    corrections: [],
    delivery: "sent",
    share: false,
  };
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
