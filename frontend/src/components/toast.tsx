import type { JSX } from "preact";

/** The live region is always there: one that comes with its words is not read out. */
export function Toast({ words }: { words: string | null }): JSX.Element {
  return (
    <div class="toast-place" role="status">
      {words !== null && <p class="toast">{words}</p>}
    </div>
  );
}
