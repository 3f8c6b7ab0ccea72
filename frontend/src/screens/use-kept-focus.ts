import type { RefObject } from "preact";
import { useLayoutEffect } from "preact/hooks";

/**
 * Where what had the focus goes, the focus goes to the place around it: else keys and screen readers would begin at
 * the page's top. For the component whose rendering takes such things away.
 */
export function useKeptFocus(place: RefObject<HTMLElement | null>): void {
  const before = document.activeElement;
  const had = before !== null && place.current?.contains(before) === true;
  useLayoutEffect(() => {
    if (had && document.activeElement === document.body) place.current?.focus({ preventScroll: true });
  });
}
