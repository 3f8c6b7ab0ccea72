import { describe, expect, it, vi } from "vitest";
import { createStore } from "./store";

describe("a store", () => {
  it("tells who listens of a change, and nobody else", () => {
    const store = createStore({ count: 0, name: "a" });
    const listener = vi.fn();
    const leave = store.subscribe(listener);
    store.set({ count: 1 });
    store.set(({ count }) => ({ count: count + 1 }));
    expect(listener).toHaveBeenCalledTimes(2);
    leave();
    store.set({ count: 9 });
    expect(listener).toHaveBeenCalledTimes(2);
    expect(store.get()).toEqual({ count: 9, name: "a" });
  });

  it("keeps still when nothing changes", () => {
    const store = createStore({ count: 0 });
    const [before, listener] = [store.get(), vi.fn()];
    store.subscribe(listener);
    store.set({ count: 0 });
    expect(listener).not.toHaveBeenCalled();
    expect(store.get()).toBe(before);
  });
});
