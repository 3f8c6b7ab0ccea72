import type { JSX } from "preact";
import { Icon } from "./icon";

interface Properties {
  name: string;
  detail: string | null;
  standing: "done" | "now" | "next";
}

export function StageRow({ name, detail, standing }: Properties): JSX.Element {
  return (
    <li class={`stage-row ${standing}`} aria-current={standing === "now" ? "step" : undefined}>
      <span class="stage-light">{standing === "done" && <Icon name="check" size={14} />}</span>
      <span>{name}</span>
      {detail !== null && <span class="stage-detail number">{detail}</span>}
    </li>
  );
}
