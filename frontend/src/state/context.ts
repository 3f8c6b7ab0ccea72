import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import { type Catalogue, catalogue } from "../i18n";
import type { Analyses } from "./analyses";
import type { AppState, AppStore } from "./app";
import type { Corrector } from "./corrector";
import type { Settings } from "./settings";
import type { Shelves } from "./shelves";

/** What screens use; leaves get plain values. */
export interface App {
  readonly store: AppStore;
  readonly shelves: Shelves;
  readonly analyses: Analyses;
  readonly corrector: Corrector;
  /** Whatever waits for its next attempt makes it now. */
  readonly wakeUp: () => void;
  readonly change: (settings: Partial<Settings>) => void;
  /** A short sentence that passes. */
  readonly notify: (text: string) => void;
  /** Takes the new version of the app, or leaves it for later. */
  readonly update: () => void;
  readonly later: () => void;
}

export const AppContext = createContext<App | null>(null);

export function useApp(): App {
  const app = useContext(AppContext);
  if (app === null) throw new Error("no app around this component");
  return app;
}

/** A part of the state; the component renders again when that part becomes another. */
export function useSelect<T>(select: (state: AppState) => T): T {
  const { store } = useApp();
  const [, render] = useState(0);
  const selected = select(store.get());
  useEffect(() => {
    let shown = selected;
    const look = (): void => {
      const next = select(store.get());
      if (Object.is(next, shown)) return;
      shown = next;
      render((count) => count + 1);
    };
    look();
    return store.subscribe(look);
  });
  return selected;
}

/** The texts in the person's language. */
export function useText(): Catalogue {
  return catalogue(useSelect((state) => state.settings.language));
}
