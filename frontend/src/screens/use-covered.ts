import type { RefObject } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

/** How much of the stage's height the panel lies over; nothing where it stands beside it. */
export function useCovered(): { panel: RefObject<HTMLDivElement | null>; covered: number } {
  const panel = useRef<HTMLDivElement>(null);
  const [covered, setCovered] = useState(0);
  useLayoutEffect(() => {
    const element = panel.current;
    if (element === null) return;
    const measure = (): void => {
      const beside = getComputedStyle(element).position !== "absolute";
      setCovered(beside ? 0 : element.offsetHeight);
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    addEventListener("resize", measure);
    return () => {
      observer.disconnect();
      removeEventListener("resize", measure);
    };
  }, []);
  return { panel, covered };
}
