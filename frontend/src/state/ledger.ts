import { type AppStore, entryOf } from "./app";
import { type Entry, NOTHING_FOUND } from "./entry";
import type { Keep } from "./keep";

/** Other tabs: each is told the id of what was changed, and reads it. */
export type Others = Pick<BroadcastChannel, "postMessage"> & {
  onmessage: ((message: MessageEvent<unknown>) => void) | null;
};

/** Keeps what is shown and what is kept the same, whoever changes it. */
export interface Ledger {
  /** Photos of entries that are only shown yet. */
  readonly unstored: Map<string, Blob>;
  replace: (id: string, change: (entry: Entry) => Entry) => void;
  hide: (id: string) => void;
  /** Keeps changes that are shown. What fails is kept with the next that does not. */
  write: (id: string, changes: Partial<Entry>) => Promise<void>;
  tellOthers: (id: string) => void;
  flush: () => void;
}

export function createLedger(store: AppStore, keep: Keep, others: Others | null): Ledger {
  /** Photos of entries that are only shown yet. */
  const unstored = new Map<string, Blob>();
  /** Changes that are shown and could not be kept. */
  const unkept = new Map<string, Partial<Entry>>();
  /** Changes that are being kept. */
  const writing = new Map<string, number>();

  function replace(id: string, change: (entry: Entry) => Entry): void {
    store.set(({ entries }) => ({
      entries: (entries ?? []).map((entry) => (entry.id === id ? change(entry) : entry)),
    }));
  }

  function hide(id: string): void {
    store.set(({ entries, opened }) => ({
      entries: (entries ?? []).filter((entry) => entry.id !== id),
      opened: opened?.id === id ? null : opened,
    }));
  }

  /** As it is kept now; what this tab is still writing will come after it. */
  function show(kept: Entry): void {
    if (unstored.has(kept.id) || (writing.get(kept.id) ?? 0) > 0) return;
    if (entryOf(store.get(), kept.id) === null) {
      store.set(({ entries }) => ({ entries: newestFirst([kept, ...(entries ?? [])]) }));
    }
    replace(kept.id, (shown) => ({
      ...kept,
      ...unkept.get(kept.id),
      // Not each step of the bar is kept, and it never goes back.
      progress:
        shown.key === kept.key && shown.progress.percent > kept.progress.percent
          ? shown.progress
          : kept.progress,
    }));
  }

  function markUnkept(): void {
    store.set({ unkept: [...unkept.keys()] });
  }

  async function write(id: string, changes: Partial<Entry>): Promise<void> {
    const all = { ...unkept.get(id), ...changes };
    writing.set(id, (writing.get(id) ?? 0) + 1);
    let kept: Entry | null;
    try {
      kept = await keep.change(id, all);
    } catch (error) {
      unkept.set(id, { ...all, ...unkept.get(id), ...changes });
      markUnkept();
      throw error;
    } finally {
      writing.set(id, (writing.get(id) ?? 1) - 1);
    }
    if (unkept.delete(id)) markUnkept();
    if (kept === null) hide(id);
    else show(kept);
    others?.postMessage(id);
  }

  /** Another tab has changed it. */
  async function reread(id: string): Promise<void> {
    if (unstored.has(id) || store.get().entries === null) return;
    const kept = await keep.get("entries", id);
    if (kept === undefined) {
      hide(id);
      return;
    }
    show(kept);
    if (store.get().opened?.id !== id) return;
    const [photo, findings] = await Promise.all([keep.get("photos", id), keep.get("findings", id)]);
    store.set(({ opened }) =>
      opened?.id === id
        ? { opened: { ...opened, photo: opened.photo ?? photo ?? null, findings: findings ?? NOTHING_FOUND } }
        : {},
    );
  }

  if (others !== null) {
    others.onmessage = ({ data }) => {
      if (typeof data === "string") reread(data).catch(() => undefined);
    };
  }

  return {
    unstored,
    replace,
    hide: (id) => {
      hide(id);
      if (unkept.delete(id)) markUnkept();
    },
    write,
    tellOthers: (id) => others?.postMessage(id),
    flush: () => {
      for (const id of unkept.keys()) write(id, {}).catch(() => undefined);
    },
  };
}

export function newestFirst(entries: readonly Entry[]): readonly Entry[] {
  return [...entries].sort((one, other) => other.createdAt - one.createdAt);
}
