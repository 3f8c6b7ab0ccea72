import { beforeEach, describe, expect, it } from "vitest";
import { NOT_BEGUN } from "../lib/progress";
import { createStore } from "../lib/store";
import { type AppState, type AppStore, entryOf } from "./app";
import { type Entry, newId } from "./entry";
import { inMemory, type Keep } from "./keep";
import { createShelves, type Shelves } from "./shelves";

const PHOTO = new Blob(["photo"]);

function newStore(): AppStore {
  return createStore<AppState>({
    route: { at: "capture" },
    settings: { language: "en", theme: "system", apiKey: "" },
    online: true,
    entries: [],
    opened: null,
    unkept: [],
    lasting: true,
    waiting: {},
    notice: null,
    updateReady: false,
  });
}

function newEntry(): Entry {
  return {
    id: newId(),
    createdAt: 1,
    status: "sending",
    key: "key",
    jobId: null,
    lastEventId: "",
    wallAngle: null,
    prepared: false,
    progress: NOT_BEGUN,
    failure: null,
    size: null,
    counts: null,
    corrections: [],
    delivery: "sent",
    share: false,
  };
}

/** A phone that may be full, which is where this differs from memory. */
function fillable(keep: Keep): Keep & { full: boolean } {
  const full = (): Promise<never> => Promise.reject(new DOMException("full", "QuotaExceededError"));
  const phone = {
    ...keep,
    full: false,
    add: (...added: Parameters<Keep["add"]>) => (phone.full ? full() : keep.add(...added)),
    change: (...changed: Parameters<Keep["change"]>) => (phone.full ? full() : keep.change(...changed)),
  };
  return phone;
}

interface Tab {
  readonly store: AppStore;
  readonly shelves: Shelves;
}
let keep: Keep & { full: boolean };
let tabs: BroadcastChannel[] = [];

function openTab(): Tab {
  const store = newStore();
  const others = new BroadcastChannel("shelves");
  tabs.push(others);
  return { store, shelves: createShelves(store, keep, others) };
}

async function scanned(tab: Tab): Promise<string> {
  const entry = newEntry();
  tab.shelves.add(entry, PHOTO);
  await tab.shelves.stored(entry.id);
  return entry.id;
}

beforeEach(() => {
  keep = fillable(inMemory());
  return () => {
    for (const channel of tabs) channel.close();
    tabs = [];
  };
});

describe("two tabs", () => {
  it("lose nothing of each other's changes", async () => {
    const [one, other] = [openTab(), openTab()];
    const id = await scanned(one);
    await other.shelves.load();
    await Promise.all([one.shelves.update(id, { share: true }), other.shelves.update(id, { jobId: "job" })]);
    expect(await keep.get("entries", id)).toMatchObject({ share: true, jobId: "job" });
    await expect.poll(() => entryOf(one.store.get(), id)).toMatchObject({ share: true, jobId: "job" });
    await expect.poll(() => entryOf(other.store.get(), id)).toMatchObject({ share: true, jobId: "job" });
  });

  it("let what one deleted not come back from the other", async () => {
    const [one, other] = [openTab(), openTab()];
    const id = await scanned(one);
    await other.shelves.load();
    const late = [
      one.shelves.drop(id),
      other.shelves.update(id, { status: "done" }),
      other.shelves.keepPhoto(id, PHOTO, PHOTO),
      other.shelves.find(id, { holds: [] }),
    ];
    await Promise.all(late);
    for (const shelf of ["entries", "photos", "thumbnails", "findings"] as const) {
      expect(await keep.all(shelf), shelf).toEqual([]);
    }
    await expect.poll(() => other.store.get().entries).toEqual([]);
  });
});

describe("a full phone", () => {
  it("shows the photo, and keeps it once there is room", async () => {
    const tab = openTab();
    const entry = newEntry();
    keep.full = true;
    tab.shelves.add(entry, PHOTO);
    await expect(tab.shelves.stored(entry.id)).rejects.toMatchObject({ name: "QuotaExceededError" });
    expect(await tab.shelves.photo(entry.id)).toBe(PHOTO);
    await tab.shelves.update(entry.id, { status: "failed" });
    keep.full = false;
    await tab.shelves.stored(entry.id);
    expect(await keep.get("entries", entry.id)).toMatchObject({ status: "failed" });
    expect(await keep.get("photos", entry.id)).toBe(PHOTO);
  });

  it("says which changes it did not keep, and keeps them later", async () => {
    const tab = openTab();
    const id = await scanned(tab);
    keep.full = true;
    await expect(tab.shelves.update(id, { share: true })).rejects.toThrow();
    expect(tab.store.get().unkept).toEqual([id]);
    keep.full = false;
    tab.shelves.flush();
    await expect.poll(() => tab.store.get().unkept).toEqual([]);
    expect(await keep.get("entries", id)).toMatchObject({ share: true });
  });
});

describe("a deletion", () => {
  it("keeps what the service must be told, in the place of the entry", async () => {
    const tab = openTab();
    const id = await scanned(tab);
    await tab.shelves.update(id, { jobId: "job" });
    expect(await tab.shelves.drop(id)).toBe("job");
    expect(await keep.all("erasures")).toEqual(["job"]);
  });

  it("keeps the photo and its key where it may have arrived, and nothing where it never left", async () => {
    const tab = openTab();
    const [left, stayed] = [await scanned(tab), await scanned(tab)];
    await tab.shelves.update(left, { reached: true });
    await tab.shelves.drop(left);
    expect(await tab.shelves.drop(stayed)).toBeNull();
    expect(await keep.all("erasures")).toEqual([{ key: "key", wallAngle: null, photo: PHOTO }]);
  });
});
