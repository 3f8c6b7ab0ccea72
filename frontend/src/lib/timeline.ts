/** What was done, and what was undone: plain lists, so that they can be kept. */
export interface Timeline<T> {
  readonly done: readonly T[];
  readonly undone: readonly T[];
}

export function begin<T>(done: readonly T[] = []): Timeline<T> {
  return { done, undone: [] };
}

/** Does something new; what was undone before cannot come back. */
export function act<T>(timeline: Timeline<T>, action: T): Timeline<T> {
  return { done: [...timeline.done, action], undone: [] };
}

export function undo<T>(timeline: Timeline<T>): Timeline<T> {
  const last = timeline.done[timeline.done.length - 1];
  if (last === undefined) return timeline;
  return { done: timeline.done.slice(0, -1), undone: [...timeline.undone, last] };
}

export function redo<T>(timeline: Timeline<T>): Timeline<T> {
  const last = timeline.undone[timeline.undone.length - 1];
  if (last === undefined) return timeline;
  return { done: [...timeline.done, last], undone: timeline.undone.slice(0, -1) };
}
