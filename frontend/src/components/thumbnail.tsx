import type { JSX } from "preact";
import { Icon } from "./icon";

interface Properties {
  href: string;
  url: string | null;
  title: string;
  state: string;
  status: "sending" | "running" | "done" | "failed";
  percent: number;
}

export function Thumbnail({ href, url, title, state, status, percent }: Properties): JSX.Element {
  return (
    <a class={`thumbnail ${status}`} href={href}>
      <span class="thumbnail-picture">
        {url === null ? <Icon name="photo" size={28} /> : <img src={url} alt="" loading="lazy" />}
        {(status === "sending" || status === "running") && (
          <span class="thumbnail-bar">
            <span style={{ width: `${percent}%` }} />
          </span>
        )}
      </span>
      <span class="thumbnail-title">{title}</span>
      <span class="thumbnail-state dim">
        {status === "failed" && <Icon name="warning" size={14} />}
        {state}
      </span>
    </a>
  );
}
