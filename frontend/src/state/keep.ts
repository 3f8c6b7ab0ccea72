import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { WallAngle } from "../api/types";
import type { Entry, Findings } from "./entry";

/** An upload that may have arrived, though no answer did: sent again under its key it tells its job's id. */
export interface LostUpload {
  readonly key: string;
  readonly wallAngle: WallAngle | null;
  readonly photo: Blob;
}
/** What the service has yet to be told to erase: a job by its id, or what may have become one. */
export type Erasure = string | LostUpload;

interface Schema extends DBSchema {
  entries: { key: string; value: Entry };
  photos: { key: string; value: Blob };
  thumbnails: { key: string; value: Blob };
  findings: { key: string; value: Findings };
  /** By job id, or by the key of the upload. */
  erasures: { key: string; value: Erasure };
}
type Shelf = "entries" | "photos" | "thumbnails" | "findings" | "erasures";
const SHELVES: readonly Shelf[] = ["entries", "photos", "thumbnails", "findings", "erasures"];

/** What belongs to an entry, and goes with it. */
export interface Belongings {
  readonly photos?: Blob;
  readonly thumbnails?: Blob;
  readonly findings?: Findings;
}
const BELONGINGS = ["photos", "thumbnails", "findings"] as const;

/**
 * What the phone keeps. Each change of an entry is one transaction that looks whether the entry is still there:
 * another tab may have changed or deleted it, and what was deleted must not come back.
 */
export interface Keep {
  /** false: until the page is closed. */
  readonly lasting: boolean;
  get: <S extends Shelf>(shelf: S, key: string) => Promise<Schema[S]["value"] | undefined>;
  all: <S extends Shelf>(shelf: S) => Promise<Schema[S]["value"][]>;
  add: (entry: Entry, photo: Blob) => Promise<void>;
  /** The entry as it is now; null where there is none. */
  change: (id: string, changes: Partial<Entry>) => Promise<Entry | null>;
  /** Does nothing where there is no entry. */
  attach: (id: string, belongings: Belongings) => Promise<void>;
  /** An entry with all that belongs to it; what is owed for it is kept in its place. */
  forget: (id: string, owed: Owed) => Promise<Erasure | null>;
  owe: (erasure: Erasure) => Promise<void>;
  paid: (erasure: Erasure) => Promise<void>;
}

/** What the service must be told when this entry goes. */
export type Owed = (entry: Entry | undefined, photo: Blob | undefined) => Erasure | null;

export function nameOf(erasure: Erasure): string {
  return typeof erasure === "string" ? erasure : erasure.key;
}

/** IndexedDB; where a browser refuses it, as some do in private windows, memory until the page is closed. */
export async function openKeep(): Promise<Keep> {
  try {
    const within = reopening();
    await within(() => Promise.resolve());
    return inDatabase(within);
  } catch {
    return inMemory();
  }
}

type Within = <T>(work: (database: IDBPDatabase<Schema>) => Promise<T>) => Promise<T>;

/** Browsers close a database under a page, iOS as soon as the page was away: it is opened again when it is needed. */
function reopening(): Within {
  let opened: Promise<IDBPDatabase<Schema>> | null = null;
  const close = (): void => {
    opened = null;
  };
  const open = (): Promise<IDBPDatabase<Schema>> => {
    opened ??= openDB<Schema>("holdcheck", 1, {
      upgrade: (database) => {
        for (const shelf of SHELVES) database.createObjectStore(shelf);
      },
      blocking: (_now, _wanted, event) => {
        close();
        (event.target as IDBDatabase).close();
      },
      terminated: close,
    });
    opened.catch(close);
    return opened;
  };
  return async (work) => {
    const database = await open();
    try {
      return await work(database);
    } catch (error) {
      if (!isLost(error)) throw error;
      close();
      return await work(await open());
    }
  };
}

/** Safari says UnknownError where the connection to its database process is gone. */
function isLost(error: unknown): boolean {
  return error instanceof DOMException && ["InvalidStateError", "UnknownError"].includes(error.name);
}

function inDatabase(within: Within): Keep {
  return {
    lasting: true,
    get: (shelf, key) => within((database) => database.get(shelf, key)),
    all: (shelf) => within((database) => database.getAll(shelf)),
    add: (entry, photo) =>
      within((database) => {
        const transaction = database.transaction(["entries", "photos"], "readwrite");
        const work = Promise.all([
          transaction.objectStore("entries").put(entry, entry.id),
          transaction.objectStore("photos").put(photo, entry.id),
        ]);
        return committed(transaction, work).then(() => undefined);
      }),
    change: (id, changes) =>
      within((database) => {
        const transaction = database.transaction("entries", "readwrite");
        const work = async (): Promise<Entry | null> => {
          const before = await transaction.store.get(id);
          if (before === undefined) return null;
          const after = { ...before, ...changes };
          await transaction.store.put(after, id);
          return after;
        };
        return committed(transaction, work());
      }),
    attach: (id, belongings) =>
      within((database) => {
        const transaction = database.transaction(["entries", ...BELONGINGS], "readwrite");
        const work = async (): Promise<void> => {
          if ((await transaction.objectStore("entries").getKey(id)) === undefined) return;
          const { photos, thumbnails, findings } = belongings;
          if (photos !== undefined) await transaction.objectStore("photos").put(photos, id);
          if (thumbnails !== undefined) await transaction.objectStore("thumbnails").put(thumbnails, id);
          if (findings !== undefined) await transaction.objectStore("findings").put(findings, id);
        };
        return committed(transaction, work());
      }),
    forget: (id, owed) =>
      within((database) => {
        const transaction = database.transaction(SHELVES, "readwrite");
        const work = async (): Promise<Erasure | null> => {
          const entry = await transaction.objectStore("entries").get(id);
          const erasure = owed(entry, await transaction.objectStore("photos").get(id));
          for (const shelf of ["entries", ...BELONGINGS] as const) {
            await transaction.objectStore(shelf).delete(id);
          }
          if (erasure !== null) await transaction.objectStore("erasures").put(erasure, nameOf(erasure));
          return erasure;
        };
        return committed(transaction, work());
      }),
    owe: (erasure) =>
      within(async (database) => {
        await database.put("erasures", erasure, nameOf(erasure));
      }),
    paid: (erasure) => within((database) => database.delete("erasures", nameOf(erasure))),
  };
}

/** The transaction's own error says why, such as a full disk; those of its requests only that it was given up. */
async function committed<T>(
  transaction: { readonly done: Promise<void>; readonly error: DOMException | null },
  work: Promise<T>,
): Promise<T> {
  const [done, result] = await Promise.allSettled([transaction.done, work]);
  if (done.status === "rejected") throw transaction.error ?? (done.reason as Error);
  if (result.status === "rejected") throw result.reason as Error;
  return result.value;
}

export function inMemory(): Keep {
  const shelves = new Map<Shelf, Map<string, unknown>>(SHELVES.map((shelf) => [shelf, new Map()]));
  const on = <S extends Shelf>(shelf: S): Map<string, Schema[S]["value"]> =>
    shelves.get(shelf) as Map<string, Schema[S]["value"]>;
  return {
    lasting: false,
    get: (shelf, key) => Promise.resolve(on(shelf).get(key)),
    all: (shelf) => Promise.resolve([...on(shelf).values()]),
    add: (entry, photo) => {
      on("entries").set(entry.id, entry);
      on("photos").set(entry.id, photo);
      return Promise.resolve();
    },
    change: (id, changes) => {
      const before = on("entries").get(id);
      if (before === undefined) return Promise.resolve(null);
      const after = { ...before, ...changes };
      on("entries").set(id, after);
      return Promise.resolve(after);
    },
    attach: (id, { photos, thumbnails, findings }) => {
      if (!on("entries").has(id)) return Promise.resolve();
      if (photos !== undefined) on("photos").set(id, photos);
      if (thumbnails !== undefined) on("thumbnails").set(id, thumbnails);
      if (findings !== undefined) on("findings").set(id, findings);
      return Promise.resolve();
    },
    forget: (id, owed) => {
      const erasure = owed(on("entries").get(id), on("photos").get(id));
      for (const shelf of ["entries", ...BELONGINGS] as const) on(shelf).delete(id);
      if (erasure !== null) on("erasures").set(nameOf(erasure), erasure);
      return Promise.resolve(erasure);
    },
    owe: (erasure) => {
      on("erasures").set(nameOf(erasure), erasure);
      return Promise.resolve();
    },
    paid: (erasure) => {
      on("erasures").delete(nameOf(erasure));
      return Promise.resolve();
    },
  };
}
