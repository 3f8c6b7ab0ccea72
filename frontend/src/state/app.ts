import type { Identity } from "../api/client";
import { createStore, type Store } from "../lib/store";
import type { Entry, Findings } from "./entry";
import type { Route } from "./route";
import type { Settings } from "./settings";

/** A pause before the next attempt, and why. */
export interface Waiting {
  readonly code: string;
  /** Date.now() of the next attempt. */
  readonly until: number;
  /** The service asked not to hear from us before. */
  readonly notBefore: number;
}

/** The wall on the screen. */
export interface Opened {
  readonly id: string;
  readonly photo: Blob | null;
  readonly findings: Findings;
}

export interface AppState {
  readonly route: Route;
  readonly settings: Settings;
  readonly online: boolean;
  /** Newest first; null until they are read. */
  readonly entries: readonly Entry[] | null;
  readonly opened: Opened | null;
  /** Entries with changes that the phone had no room for. */
  readonly unkept: readonly string[];
  /** false: this browser keeps nothing beyond this page. */
  readonly lasting: boolean;
  readonly waiting: Readonly<Record<string, Waiting>>;
  /** A short sentence that passes. */
  readonly notice: { readonly text: string; readonly at: number } | null;
  readonly updateReady: boolean;
}

export type AppStore = Store<AppState>;

export function createAppStore(route: Route, settings: Settings): AppStore {
  return createStore<AppState>({
    route,
    settings,
    online: navigator.onLine,
    entries: null,
    opened: null,
    unkept: [],
    lasting: true,
    waiting: {},
    notice: null,
    updateReady: false,
  });
}

export function identityOf({ settings }: AppState): Identity {
  return { apiKey: settings.apiKey, language: settings.language };
}

export function entryOf(state: AppState, id: string): Entry | null {
  return state.entries?.find((entry) => entry.id === id) ?? null;
}
