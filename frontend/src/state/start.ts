import { createAnalyses } from "./analyses";
import type { Tools } from "./analysis";
import { createAppStore } from "./app";
import type { App } from "./context";
import { createCorrector } from "./corrector";
import { openKeep } from "./keep";
import { parseRoute } from "./route";
import { keepSettings, loadSettings } from "./settings";
import { createShelves } from "./shelves";
import { registerWorker } from "./worker";

const NOTICE_MS = 3500;

/** Puts the app together, and takes up what a closed page left. */
export async function startApp(): Promise<App> {
  const store = createAppStore(parseRoute(location.hash), loadSettings());
  const keep = await openKeep();
  store.set({ lasting: keep.lasting });
  const shelves = createShelves(store, keep, otherTabs());
  const wake = new EventTarget();
  const tools: Tools = { store, shelves, wake };
  const analyses = createAnalyses(tools, keep);
  const corrector = createCorrector(tools);
  const takeUpdate = registerWorker(() => store.set({ updateReady: true }));

  const wakeUp = (): void => {
    wake.dispatchEvent(new Event("wake"));
  };
  /** Whatever stopped takes up its work; what goes on by itself is left alone. */
  const takeUp = (): void => {
    shelves.flush();
    analyses.resume();
    corrector.flush();
  };
  addEventListener("hashchange", () => store.set({ route: parseRoute(location.hash) }));
  addEventListener("storage", () => {
    const { apiKey } = store.get().settings;
    const settings = loadSettings();
    store.set({ settings });
    if (settings.apiKey !== apiKey) takeUp();
  });
  addEventListener("offline", () => store.set({ online: false }));
  addEventListener("online", () => {
    store.set({ online: true });
    wakeUp();
    takeUp();
  });
  // The network may have gone while the database was opened.
  store.set({ online: navigator.onLine });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "visible") return;
    wakeUp();
    takeUp();
  });

  void shelves.load().then(takeUp);
  return {
    store,
    shelves,
    analyses,
    corrector,
    wakeUp,
    change: (changes) => {
      // What another tab has changed meanwhile stays changed.
      const settings = { ...store.get().settings, ...loadSettings(), ...changes };
      keepSettings(settings);
      store.set({ settings });
      if (changes.apiKey !== undefined) takeUp();
    },
    notify: (text) => {
      const notice = { text, at: Date.now() };
      store.set({ notice });
      setTimeout(() => {
        if (store.get().notice === notice) store.set({ notice: null });
      }, NOTICE_MS);
    },
    update: takeUpdate,
    later: () => store.set({ updateReady: false }),
  };
}

/** null: this browser cannot speak to them. */
function otherTabs(): BroadcastChannel | null {
  return typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("holdcheck");
}
