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
  const shelves = createShelves(store, keep);
  const wake = new EventTarget();
  const tools: Tools = { store, shelves, wake };
  const analyses = createAnalyses(tools, keep);
  const corrector = createCorrector(tools);
  const takeUpdate = registerWorker(() => store.set({ updateReady: true }));

  const wakeUp = (): void => {
    wake.dispatchEvent(new Event("wake"));
  };
  addEventListener("hashchange", () => store.set({ route: parseRoute(location.hash) }));
  addEventListener("offline", () => store.set({ online: false }));
  addEventListener("online", () => {
    store.set({ online: true });
    wakeUp();
    analyses.resume();
    corrector.flush();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") wakeUp();
  });

  void shelves.load().then(() => {
    analyses.resume();
    corrector.flush();
  });
  return {
    store,
    shelves,
    analyses,
    corrector,
    wakeUp,
    change: (changes) => {
      const settings = { ...store.get().settings, ...changes };
      keepSettings(settings);
      store.set({ settings });
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
