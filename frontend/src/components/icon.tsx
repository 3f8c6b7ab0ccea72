import type { JSX } from "preact";

/** Strokes of a 24 by 24 field, drawn for this app. */
const PATHS = {
  back: "M15 5l-7 7 7 7",
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 10a3.5 3.5 0 100 7 3.5 3.5 0 000-7z",
  check: "M5 12.5l4.5 4.5L19 7.5",
  chevron: "M9 5l7 7-7 7",
  close: "M6 6l12 12M18 6L6 18",
  cloud: "M7 18a4 4 0 01-.5-8 6 6 0 0111.4 1.6A3.3 3.3 0 0117.5 18zM4 4l16 16",
  draw: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  gear: "M12 9a3 3 0 100 6 3 3 0 000-6zM12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.600l2.1 2.100M16.3 16.300l2.1 2.100M5.6 18.400l2.1-2.100M16.3 7.700l2.1-2.1",
  history: "M4 12a8 8 0 108-8 8 8 0 00-6.5 3.300M4 4v4h4M12 8v4.500l3 1.8",
  key: "M14.5 4a5.5 5.5 0 11-4.2 9.100L4 19.500V21h4v-2.500h2.500V16M16 8.500h.01",
  lasso: "M12 5c5 0 8 2 8 5s-3 5-8 5-8-2-8-5 3-5 8-5zM8 14.500c-1.5 1-1.5 3 .5 3.500s1.5 2 0 2.5",
  minus: "M5 12h14",
  photo: "M4 5h16v14H4zM4 16l5-5 4 4 2.5-2.500L20 17M15.5 8.500h.01",
  plus: "M12 5v14M5 12h14",
  pulse: "M3 12h4l2.5-6 5 12 2.5-6h4",
  redo: "M19 10h-9a5 5 0 000 10h2M15 6l4 4-4 4",
  share: "M12 14V4M8 7.500L12 4l4 3.500M6 11H5v9h14v-9h-1",
  trash: "M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13M10.5 11v5M13.5 11v5",
  undo: "M5 10h9a5 5 0 010 10h-2M9 6l-4 4 4 4",
  warning: "M12 4l9 16H3zM12 10v4.500M12 17.400h.01",
} as const;
export type IconName = keyof typeof PATHS;

/** Says nothing to a screen reader: what it stands beside does. */
export function Icon({ name, size = 24 }: { name: IconName; size?: number }): JSX.Element {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
