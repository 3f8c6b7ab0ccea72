import type { JSX } from "preact";
import { HoldShapes } from "./hold-shapes";

interface Properties {
  title: string;
  hint: string;
  action: string;
  href: string;
}

export function EmptyState({ title, hint, action, href }: Properties): JSX.Element {
  return (
    <div class="empty-state">
      <HoldShapes />
      <h2>{title}</h2>
      <p class="dim">{hint}</p>
      <a class="button primary" href={href}>
        {action}
      </a>
    </div>
  );
}
