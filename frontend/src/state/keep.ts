import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { Entry, Findings } from "./entry";

interface Schema extends DBSchema {
  entries: { key: string; value: Entry };
  photos: { key: string; value: Blob };
  thumbnails: { key: string; value: Blob };
  findings: { key: string; value: Findings };
  /** Jobs that the service has yet to be told to erase. */
  erasures: { key: string; value: string };
}
type Shelf = "entries" | "photos" | "thumbnails" | "findings" | "erasures";
const SHELVES: readonly Shelf[] = ["entries", "photos", "thumbnails", "findings", "erasures"];

/** What the phone keeps. */
export interface Keep {
  put: <S extends Shelf>(shelf: S, key: string, value: Schema[S]["value"]) => Promise<void>;
  get: <S extends Shelf>(shelf: S, key: string) => Promise<Schema[S]["value"] | undefined>;
  all: <S extends Shelf>(shelf: S) => Promise<Schema[S]["value"][]>;
  remove: (shelf: Shelf, key: string) => Promise<void>;
  /** An entry with all that belongs to it. */
  forget: (id: string) => Promise<void>;
}

/** IndexedDB; where a browser refuses it, as some do in private windows, memory until the page is closed. */
export async function openKeep(): Promise<Keep> {
  try {
    const database = await openDB<Schema>("holdcheck", 1, {
      upgrade: (opened) => {
        for (const shelf of SHELVES) opened.createObjectStore(shelf);
      },
    });
    return inDatabase(database);
  } catch {
    return inMemory();
  }
}

function inDatabase(database: IDBPDatabase<Schema>): Keep {
  return {
    put: async (shelf, key, value) => {
      await database.put(shelf, value, key);
    },
    get: (shelf, key) => database.get(shelf, key),
    all: (shelf) => database.getAll(shelf),
    remove: (shelf, key) => database.delete(shelf, key),
    forget: async (id) => {
      const shelves = ["entries", "photos", "thumbnails", "findings"] as const;
      const transaction = database.transaction(shelves, "readwrite");
      await Promise.all(shelves.map((shelf) => transaction.objectStore(shelf).delete(id)));
      await transaction.done;
    },
  };
}

function inMemory(): Keep {
  const shelves = new Map<Shelf, Map<string, unknown>>(SHELVES.map((shelf) => [shelf, new Map()]));
  const on = <S extends Shelf>(shelf: S): Map<string, Schema[S]["value"]> =>
    shelves.get(shelf) as Map<string, Schema[S]["value"]>;
  return {
    put: (shelf, key, value) => {
      on(shelf).set(key, value);
      return Promise.resolve();
    },
    get: (shelf, key) => Promise.resolve(on(shelf).get(key)),
    all: (shelf) => Promise.resolve([...on(shelf).values()]),
    remove: (shelf, key) => {
      on(shelf).delete(key);
      return Promise.resolve();
    },
    forget: (id) => {
      for (const shelf of SHELVES) if (shelf !== "erasures") on(shelf).delete(id);
      return Promise.resolve();
    },
  };
}
