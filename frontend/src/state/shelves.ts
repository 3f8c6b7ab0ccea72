import { Failure } from "../api/failure";
import { type AppStore, entryOf, type Waiting } from "./app";
import { type Entry, type Findings, NOTHING_FOUND } from "./entry";
import type { Keep } from "./keep";

/** Entries on the screen and on the phone, changed together. */
export interface Shelves {
  load: () => Promise<void>;
  add: (entry: Entry, photo: Blob) => Promise<void>;
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
  drop: (id: string) => Promise<void>;
  wait: (id: string, waiting: Waiting | null) => void;
}

export function createShelves(store: AppStore, keep: Keep): Shelves {
  function replace(id: string, change: (entry: Entry) => Entry): void {
    store.set(({ entries }) => ({
      entries: (entries ?? []).map((entry) => (entry.id === id ? change(entry) : entry)),
    }));
  }

  function isOpen(id: string): boolean {
    return store.get().opened?.id === id;
  }

  return {
    load: async () => {
      const kept = await keep.all("entries");
      store.set({ entries: kept.sort((one, other) => other.createdAt - one.createdAt) });
    },
    add: async (entry, photo) => {
      store.set(({ entries }) => ({
        entries: [entry, ...(entries ?? [])],
        opened: { id: entry.id, photo, findings: NOTHING_FOUND },
      }));
      await keep.put("photos", entry.id, photo);
      // Last: an entry without its photo cannot be taken up again.
      const current = entryOf(store.get(), entry.id);
      if (current !== null) await keep.put("entries", entry.id, current);
    },
    update: async (id, changes, lasting = true) => {
      replace(id, (entry) => ({ ...entry, ...changes }));
      const entry = entryOf(store.get(), id);
      if (lasting && entry !== null) await keep.put("entries", id, entry);
    },
    find: async (id, changes) => {
      if (entryOf(store.get(), id) === null) return;
      const before = isOpen(id) ? store.get().opened?.findings : await keep.get("findings", id);
      const findings = { ...NOTHING_FOUND, ...before, ...changes };
      store.set(({ opened }) => (opened?.id === id ? { opened: { ...opened, findings } } : {}));
      await keep.put("findings", id, findings);
    },
    keepPhoto: async (id, photo, thumbnail) => {
      store.set(({ opened }) => (opened?.id === id ? { opened: { ...opened, photo } } : {}));
      await keep.put("photos", id, photo);
      if (thumbnail !== null) await keep.put("thumbnails", id, thumbnail);
    },
    photo: async (id) => {
      const photo = await keep.get("photos", id);
      if (photo === undefined) throw new Failure("photo_missing");
      return photo;
    },
    thumbnail: async (id) => (await keep.get("thumbnails", id)) ?? null,
    findings: async (id) => (await keep.get("findings", id)) ?? NOTHING_FOUND,
    open: async (id) => {
      if (isOpen(id)) return;
      const [photo, findings] = await Promise.all([keep.get("photos", id), keep.get("findings", id)]);
      if (isOpen(id)) return;
      store.set({ opened: { id, photo: photo ?? null, findings: findings ?? NOTHING_FOUND } });
    },
    close: () => store.set({ opened: null }),
    drop: async (id) => {
      store.set(({ entries, opened }) => ({
        entries: (entries ?? []).filter((entry) => entry.id !== id),
        opened: opened?.id === id ? null : opened,
      }));
      await keep.forget(id);
    },
    wait: (id, waiting) => {
      store.set(({ waiting: before }) => {
        const others = Object.entries(before).filter(([other]) => other !== id);
        return { waiting: { ...Object.fromEntries(others), ...(waiting !== null && { [id]: waiting }) } };
      });
    },
  };
}
