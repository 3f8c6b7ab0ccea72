import { Failure } from "../api/failure";
import { type AppStore, entryOf, type Waiting } from "./app";
import { type Entry, type Findings, NOTHING_FOUND } from "./entry";
import type { Erasure, Keep } from "./keep";
import { createLedger, newestFirst, type Others } from "./ledger";

/** Entries on the screen and on the phone, changed together, in this tab and in others. */
export interface Shelves {
  load: () => Promise<void>;
  /** Shows it; `stored` keeps it. */
  add: (entry: Entry, photo: Blob) => void;
  /** Keeps what is only shown yet. @throws QuotaExceededError: it is shown on, and can be tried again. */
  stored: (id: string) => Promise<void>;
  /** Shows at once; resolves when it is kept. `lasting: false` is only shown. */
  update: (id: string, changes: Partial<Entry>, lasting?: boolean) => Promise<void>;
  find: (id: string, changes: Partial<Findings>) => Promise<void>;
  keepPhoto: (id: string, photo: Blob, thumbnail: Blob | null) => Promise<void>;
  /** @throws Failure `photo_missing`: the browser has tidied it away. */
  photo: (id: string) => Promise<Blob>;
  thumbnail: (id: string) => Promise<Blob | null>;
  findings: (id: string) => Promise<Findings>;
  open: (id: string) => Promise<void>;
  close: () => void;
  /** What the service must be told, which is kept until it was. */
  drop: (id: string) => Promise<Erasure | null>;
  wait: (id: string, waiting: Waiting | null) => void;
  /** Keeps what could not be kept before. */
  flush: () => void;
}

export function createShelves(store: AppStore, keep: Keep, others: Others | null = null): Shelves {
  const ledger = createLedger(store, keep, others);
  const { unstored, write, replace, hide } = ledger;

  function isOpen(id: string): boolean {
    return store.get().opened?.id === id;
  }

  return {
    load: async () => {
      const kept = await keep.all("entries");
      const known = new Set(kept.map(({ id }) => id));
      // A quick person has chosen a photo meanwhile.
      const newer = (store.get().entries ?? []).filter(({ id }) => !known.has(id));
      store.set({ entries: newestFirst([...newer, ...kept]) });
    },
    add: (entry, photo) => {
      unstored.set(entry.id, photo);
      store.set(({ entries }) => ({
        entries: [entry, ...(entries ?? [])],
        opened: { id: entry.id, photo, findings: NOTHING_FOUND },
      }));
    },
    stored: async (id) => {
      const photo = unstored.get(id);
      const entry = entryOf(store.get(), id);
      if (photo === undefined || entry === null) return;
      await keep.add(entry, photo);
      unstored.delete(id);
      const now = entryOf(store.get(), id);
      if (now === null) await keep.forget(id, () => null);
      else if (now !== entry) await write(id, now);
      else ledger.tellOthers(id);
    },
    update: async (id, changes, lasting = true) => {
      if (entryOf(store.get(), id) === null) return;
      replace(id, (entry) => ({ ...entry, ...changes }));
      if (lasting && !unstored.has(id)) await write(id, changes);
    },
    find: async (id, changes) => {
      if (entryOf(store.get(), id) === null) return;
      const before = isOpen(id) ? store.get().opened?.findings : await keep.get("findings", id);
      const findings = { ...NOTHING_FOUND, ...before, ...changes };
      store.set(({ opened }) => (opened?.id === id ? { opened: { ...opened, findings } } : {}));
      await keep.attach(id, { findings });
    },
    keepPhoto: async (id, photo, thumbnail) => {
      store.set(({ opened }) => (opened?.id === id ? { opened: { ...opened, photo } } : {}));
      await keep.attach(id, { photos: photo, ...(thumbnail !== null && { thumbnails: thumbnail }) });
    },
    photo: async (id) => {
      const photo = unstored.get(id) ?? (await keep.get("photos", id));
      if (photo === undefined) throw new Failure("photo_missing");
      return photo;
    },
    thumbnail: async (id) => (await keep.get("thumbnails", id)) ?? null,
    findings: async (id) => (await keep.get("findings", id)) ?? NOTHING_FOUND,
    open: async (id) => {
      if (isOpen(id)) return;
      const [photo, findings] = await Promise.all([keep.get("photos", id), keep.get("findings", id)]);
      if (isOpen(id)) return;
      const shown = unstored.get(id) ?? photo ?? null;
      store.set({ opened: { id, photo: shown, findings: findings ?? NOTHING_FOUND } });
    },
    close: () => store.set({ opened: null }),
    drop: async (id) => {
      const shown = entryOf(store.get(), id);
      const owed = (kept: Entry | undefined, photo: Blob | undefined): Erasure | null =>
        owedFor(shown ?? kept, kept, unstored.get(id) ?? photo);
      let erasure: Erasure | null = null;
      try {
        erasure = await keep.forget(id, (kept, photo) => (erasure = owed(kept, photo)));
      } catch {
        // A full phone has no room for what is owed either: then it is paid by this page, or not at all.
        await keep.forget(id, () => null);
      }
      hide(id);
      unstored.delete(id);
      ledger.tellOthers(id);
      return erasure;
    },
    wait: (id, waiting) => {
      store.set(({ waiting: before }) => {
        const rest = Object.entries(before).filter(([other]) => other !== id);
        return { waiting: { ...Object.fromEntries(rest), ...(waiting !== null && { [id]: waiting }) } };
      });
    },
    flush: ledger.flush,
  };
}

/** Its job; or its photo under its key, where all of it went out and no answer came. */
function owedFor(shown: Entry | undefined, kept: Entry | undefined, photo: Blob | undefined): Erasure | null {
  const jobId = shown?.jobId ?? kept?.jobId ?? null;
  if (jobId !== null || shown === undefined) return jobId;
  if (shown.reached !== true || photo === undefined) return null;
  return { key: shown.key, wallAngle: shown.wallAngle, photo };
}
