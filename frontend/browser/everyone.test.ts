import { join } from "node:path";
import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { catalogue } from "../src/i18n";
import { explored, type Habits, SAMPLES, scan, takePhone } from "./phone";
import { serve } from "./service";

const { network } = await serve();

const LOOKS: [string, Habits][] = [
  ["a phone, English, dark", { locale: "en-US", dark: true }],
  ["a phone, Korean, light", { locale: "ko-KR", dark: false }],
  ["the smallest phone, Korean, dark", { locale: "ko-KR", dark: true, width: 320, height: 568 }],
  ["a phone on its side, English, light", { locale: "en-US", dark: false, width: 740, height: 360 }],
  ["a desk, English, light", { locale: "en-US", dark: false, width: 1280, height: 800, desktop: true }],
];

describe("every screen", () => {
  it.each(LOOKS)("on %s is accessible, whole and in its language", async (_name, habits) => {
    const phone = await takePhone(network.url, habits);
    const { page } = phone;
    const text = catalogue(habits.locale === "ko-KR" ? "ko" : "en");
    const look = async (name: string): Promise<void> => {
      await fits(page, name, habits.desktop === true);
      await phone.accessible(name);
      await phone.picture(name);
    };
    await page.goto("/#/history");
    await page.getByRole("heading", { name: text.history.empty }).waitFor();
    expect(await page.locator("html").getAttribute("lang")).toBe(text.locale);
    await look("history-empty");
    await scan(page, "plywood.jpg");
    await look("explore");
    await page.locator(".chip").first().click();
    await look("problem");
    await page.getByRole("button", { name: text.hold.next }).click();
    await look("hold");
    await page.getByRole("button", { name: text.wall.correct }).click();
    await look("correct");
    await page.getByRole("button", { name: text.hold.close }).click();
    await page.getByRole("button", { name: text.correct.draw }).click();
    await look("draw");
    await page.getByRole("button", { name: text.common.done }).click();
    await page.getByRole("button", { name: text.wall.share }).click();
    await page.getByRole("dialog").waitFor();
    await look("share");
    await page.keyboard.press("Escape");
    for (const place of ["", "history", "settings", "status"]) {
      await page.goto(`/#/${place}`);
      if (place === "status") await page.getByText(text.status.queue).waitFor();
      await look(place === "" ? "capture" : place);
    }
    await page.goto("/#/wall/never-was");
    await page.getByText(text.wall.gone).waitFor();
    await look("gone");
    expect(phone.complaints).toEqual([]);
    await phone.close();
  });
});

describe("hands on a keyboard alone", () => {
  it("go from the photo to a corrected wall and back", async () => {
    const phone = await takePhone(network.url, { desktop: true, width: 1280, height: 800 });
    const { page } = phone;
    await page.goto("/");
    await tabTo(page, () => document.activeElement?.matches("input[type=file]:not([capture])") === true);
    const choosing = page.waitForEvent("filechooser");
    await page.waitForTimeout(300); // The browser must have heard that somebody waits.
    await page.keyboard.press("Enter");
    const chooser = await choosing;
    await chooser.setFiles(join(SAMPLES, "plywood.jpg"));
    await explored(page);
    await tabTo(page, () => document.activeElement?.matches(".stage") === true);
    const before = await page.locator(".stage-photo").evaluate((photo) => photo.style.transform);
    await page.keyboard.press("+");
    await page.keyboard.press("ArrowRight");
    await page.waitForTimeout(600);
    expect(await page.locator(".stage-photo").evaluate((photo) => photo.style.transform)).not.toBe(before);
    await page.keyboard.press("0");
    await page.keyboard.press("n");
    await page.getByRole("heading", { name: /^Hold \d+/ }).waitFor();
    await page.keyboard.press("Escape");
    await tabTo(page, () => document.activeElement?.matches(".chip") === true);
    await page.keyboard.press("Enter");
    await page.locator(".chip[aria-pressed=true]").waitFor();
    await tabTo(page, () => document.activeElement?.getAttribute("aria-label") === "Correct", "Shift+Tab");
    await page.keyboard.press("Enter");
    await tabTo(page, () => document.activeElement?.textContent.includes("Draw a missed hold") === true);
    await page.keyboard.press("Enter");
    await tabTo(
      page,
      () => document.activeElement?.textContent.includes("Put one in the middle") === true,
      "Shift+Tab",
    );
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: /^Hold \d+ of \d+$/ }).waitFor();
    await tabTo(
      page,
      () =>
        document.activeElement?.textContent === "Done" ||
        document.activeElement?.textContent.includes("Done") === true,
      "Shift+Tab",
    );
    await page.keyboard.press("Enter");
    await page
      .getByText("35 holds")
      .or(page.getByRole("heading", { name: /^Hold \d+ of \d+/ }))
      .first()
      .waitFor();
    expect(await page.locator(".outline").count()).toBe(35);
    expect(phone.complaints).toEqual([]);
    await phone.close();
  });
});

/** Presses Tab until the focus is where it is looked for. */
async function tabTo(page: Page, there: () => boolean, key = "Tab"): Promise<void> {
  for (let presses = 0; presses < 60; presses += 1) {
    if (await page.evaluate(there)) return;
    await page.keyboard.press(key);
  }
  throw new Error(`60 times ${key} did not lead there: ${there.toString()}`);
}

/** Nothing sticks out of the screen to the side, and what is touched is large enough for a finger. */
async function fits(page: Page, where: string, desktop: boolean): Promise<void> {
  const { wide, deep, small } = await page.evaluate(() => {
    const targets = [...document.querySelectorAll<HTMLElement>("a, button, label:has(input)")];
    return {
      wide: document.documentElement.scrollWidth - innerWidth,
      deep: (document.querySelector(".panel")?.getBoundingClientRect().bottom ?? 0) - innerHeight,
      small: targets
        .filter((target) => target.checkVisibility() && !target.classList.contains("skip-link"))
        .map((target) => ({ box: target.getBoundingClientRect(), words: target.outerHTML.slice(0, 120) }))
        // Boxes on the way to their place are measured with rounding.
        .filter(({ box }) => box.height < 43.99 || box.width < 43.99)
        .map(({ box, words }) => `${box.width} x ${box.height}: ${words}`),
    };
  });
  expect(wide, `${where} is wider than the screen`).toBeLessThanOrEqual(0);
  expect(deep, `${where}: a panel that cannot be scrolled to its end`).toBeLessThanOrEqual(1);
  if (!desktop) expect(small, `${where}: too small to touch`).toEqual([]);
}
