import type { JSX } from "preact";
import type { Catalogue } from "../i18n";
import { Icon } from "./icon";

const TABS = [
  { at: "capture", href: "#/", icon: "camera" },
  { at: "history", href: "#/history", icon: "history" },
  { at: "settings", href: "#/settings", icon: "gear" },
] as const;

export function TabBar({ at, text }: { at: string; text: Catalogue }): JSX.Element {
  return (
    <nav class="tab-bar" aria-label={text.tabs.label}>
      {TABS.map((tab) => (
        <a key={tab.at} href={tab.href} aria-current={tab.at === at ? "page" : undefined}>
          <Icon name={tab.icon} />
          <span>{text.tabs[tab.at]}</span>
        </a>
      ))}
    </nav>
  );
}
