import { isLanguage, type Language, preferredLanguage } from "../i18n";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

export interface Settings {
  readonly language: Language;
  readonly theme: Theme;
  readonly apiKey: string;
}

const NAME = "holdcheck-settings";

export function loadSettings(): Settings {
  const kept = read();
  const { language, theme, apiKey } = kept;
  return {
    language: isLanguage(language) ? language : preferredLanguage(navigator.languages),
    theme: THEMES.find((known) => known === theme) ?? "system",
    apiKey: typeof apiKey === "string" ? apiKey : "",
  };
}

export function keepSettings(settings: Settings): void {
  try {
    localStorage.setItem(NAME, JSON.stringify(settings));
  } catch {
    // A private window may refuse: the choice then holds until the page is closed.
  }
}

function read(): Record<string, unknown> {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(NAME) ?? "{}");
    return typeof kept === "object" && kept !== null ? (kept as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
