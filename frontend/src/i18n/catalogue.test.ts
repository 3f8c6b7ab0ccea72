import { describe, expect, it } from "vitest";
import { ERROR_CODES } from "../api/codes";
import { catalogue, LANGUAGES, preferredLanguage, sentenceOf } from ".";

describe("the language", () => {
  it.each([
    [["ko-KR", "en"], "ko"],
    [["fr", "KO"], "ko"],
    [["de", "fr"], "en"],
    [[], "en"],
  ])("of a browser that wants %o is %s", (wanted, language) => {
    expect(preferredLanguage(wanted)).toBe(language);
  });
});

describe.each(LANGUAGES)("in %s", (language) => {
  const text = catalogue(language);

  it.each(ERROR_CODES)("%s has a sentence and a next step", (code) => {
    const { what, next } = sentenceOf(text, code, "");
    expect(what.length).toBeGreaterThan(3);
    expect(next.length).toBeGreaterThan(3);
  });

  it("a code of a later service says what the service said", () => {
    expect(sentenceOf(text, "moon_in_the_way", "The moon is in the way.").next).toBe(
      "The moon is in the way.",
    );
  });

  it("one of a thing is not many", () => {
    expect(text.common.holds(1)).toBe(language === "en" ? "1 hold" : "홀드 1개");
    expect(text.common.holds(2)).toBe(language === "en" ? "2 holds" : "홀드 2개");
  });
});
