import type { JSX } from "preact";
import { HoldShapes } from "./hold-shapes";

interface Properties {
  title: string;
  hint: string;
  action: string;
  href: string;
  /** Nothing else heads the screen. */
  alone?: boolean;
}

export function EmptyState({ title, hint, action, href, alone }: Properties): JSX.Element {
  return (
    <div class="empty-state">
      <HoldShapes />
      {alone === true ? <h1>{title}</h1> : <h2>{title}</h2>}
      <p class="dim">{hint}</p>
      <a class="button primary" href={href}>
        {action}
      </a>
    </div>
  );
}
