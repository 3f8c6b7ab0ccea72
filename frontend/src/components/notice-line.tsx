import type { JSX } from "preact";
import { Icon } from "./icon";

/** A sentence that must not be missed, such as what a result is worth. */
export function NoticeLine({ children }: { children: string }): JSX.Element {
  return (
    <p class="notice-line">
      <Icon name="warning" size={18} />
      <span>{children}</span>
    </p>
  );
}
