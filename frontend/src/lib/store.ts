/** A value that many look at and few change. */
export interface Store<T> {
  get: () => T;
  set: (change: Partial<T> | ((state: T) => Partial<T>)) => void;
  /** Returns what ends the subscription. */
  subscribe: (listener: () => void) => () => void;
}

export function createStore<T extends object>(initial: T): Store<T> {
  let state = initial;
  const listeners = new Set<() => void>();
  return {
    get: () => state,
    set: (change) => {
      const changes = typeof change === "function" ? change(state) : change;
      const changed = Object.entries(changes).some(([key, value]) => state[key as keyof T] !== value);
      if (!changed) return;
      state = { ...state, ...changes };
      for (const listener of [...listeners]) listener();
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
  };
}
