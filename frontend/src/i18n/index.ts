import { type Catalogue, en } from "./en";
import type { Sentence } from "./failures.en";
import { ko } from "./ko";

export type { Catalogue } from "./en";
export type { Sentence } from "./failures.en";
export const LANGUAGES = ["en", "ko"] as const;
export type Language = (typeof LANGUAGES)[number];
export const LANGUAGE_NAMES: Record<Language, string> = { en: "English", ko: "한국어" };

const CATALOGUES: Record<Language, Catalogue> = { en, ko };

export function catalogue(language: Language): Catalogue {
  return CATALOGUES[language];
}

export function isLanguage(value: unknown): value is Language {
  return LANGUAGES.some((known) => known === value);
}

/** The first of the browser's languages that we speak, else English. */
export function preferredLanguage(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const primary = tag.toLowerCase().split("-")[0];
    if (isLanguage(primary)) return primary;
  }
  return "en";
}

/** The sentence of a failure; of a code that this version does not know, what the service said of it. */
export function sentenceOf(text: Catalogue, code: string, detail: string): Sentence {
  const known: Readonly<Record<string, Sentence>> = text.failures;
  return known[code] ?? text.unknownFailure(detail);
}
