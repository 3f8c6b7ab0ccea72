import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Locator, Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { en } from "../src/i18n/en";
import { explored, SAMPLES, scan, takePhone } from "./phone";
import { serve } from "./service";

const { network } = await serve();

describe("a hold of a chosen problem", () => {
  it("has the number on the photo that the panel calls it by, counted from the ground", async () => {
    const phone = await takePhone(network.url, { desktop: true, width: 1280, height: 900 });
    const { page } = phone;
    await scan(page);
    await page.locator(".chip").first().click();
    await page.waitForTimeout(700);
    const holds = await page.locator(".outline.chosen").count();
    const labels = page.locator(".badge:not(.faint) circle + text");
    const numbers = (await labels.allTextContents()).map(Number);
    // Holds too small for a number have none until one zooms.
    expect(numbers.length).toBeGreaterThan(3);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(Math.max(...numbers)).toBeLessThanOrEqual(holds);
    const heights = await labels.evaluateAll((badges) =>
      badges.map((badge) => [Number(badge.textContent), badge.getBoundingClientRect().y]),
    );
    const fromTheGround = heights.sort(([one = 0], [other = 0]) => one - other).map(([, y = 0]) => y);
    expect(fromTheGround).toEqual([...fromTheGround].sort((one, other) => other - one));
    await page.locator(".stage").focus();
    const number = Math.min(...numbers);
    for (let presses = 0; presses < number; presses += 1) await page.keyboard.press("n");
    await page.getByRole("heading", { name: `Hold ${number} of ${holds}` }).waitFor();
    const hold = await boxOf(page.locator(".outline.selected"));
    const label = await boxOf(labels.filter({ hasText: new RegExp(`^${number}$`) }));
    expect(Math.abs(hold.middle[0] - label.middle[0])).toBeLessThan(hold.width / 2);
    expect(Math.abs(hold.middle[1] - label.middle[1])).toBeLessThan(hold.height / 2);
    await phone.picture("numbered");
    await phone.close();
  });

  it("is not chosen by a double tap, which zooms, also where nothing was chosen before", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    await scan(page);
    const outline = page.locator(".outline").nth(3);
    const width = async (): Promise<number> => (await boxOf(outline)).width;
    const before = await width();
    const {
      middle: [x, y],
    } = await boxOf(outline);
    await page.touchscreen.tap(x, y);
    await page.touchscreen.tap(x, y);
    await expect.poll(width).toBeGreaterThan(before * 1.5);
    expect(await page.locator(".hold-card").count()).toBe(0);
    expect(await page.locator(".outline.selected").count()).toBe(0);
    await phone.close();
  });
});

describe("a problem of one's own", () => {
  it("is made from holds, gets a start, and reaches the server", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    await scan(page);
    const problems = await page.locator(".chip").count();
    await page.getByRole("button", { name: en.wall.correct }).tap();
    await page.getByRole("button", { name: en.hold.next }).tap();
    await page.locator(".hold-editor").waitFor();
    const fresh = page.locator(".problem-picker label").filter({ hasText: en.correct.newProblem });
    await fresh.tap();
    // Alone in a new one already: another would be the same.
    await fresh.waitFor({ state: "detached" });
    await page.locator(".segmented label, .segmented button").filter({ hasText: en.hold.tags.start }).tap();
    await page.getByText(`2 changes · ${en.correct.delivery.sent}`).waitFor();
    await phone.accessible("a new problem");
    await page.getByRole("button", { name: en.common.done }).tap();
    await page.getByRole("button", { name: en.hold.close }).tap();
    await expect.poll(() => page.locator(".chip").count()).toBe(problems + 1);
    await page.locator(".chip").last().tap();
    await page.locator(".problem-card").getByText(en.problem.made).waitFor();
    const posted = network.seen.findLast(({ path }) => path.endsWith("/corrections"));
    const said = JSON.parse(String(posted?.body)) as {
      holds: { id: number; problem: number }[];
      problems: { id: number; start: number[]; top: unknown }[];
    };
    const [hold] = said.holds;
    const mine = said.problems.find(({ id }) => id === hold?.problem);
    expect(mine).toMatchObject({ start: [hold?.id], top: null });
    expect(phone.complaints).toEqual([]);
    await phone.close();
  });
});

describe("a problem that is gone", () => {
  it("is chosen no more: nothing is dimmed, and Next goes on", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    await scan(page);
    await page.getByRole("button", { name: en.wall.correct }).tap();
    await page.getByRole("button", { name: en.hold.next }).tap();
    await page.locator(".problem-picker label").filter({ hasText: en.correct.newProblem }).tap();
    await page.getByRole("button", { name: en.common.done }).tap();
    await page.getByRole("button", { name: en.hold.close }).tap();
    await page.locator(".chip").last().tap();
    await page.locator(".outline.dimmed").first().waitFor({ state: "attached" });
    await page.getByRole("button", { name: en.wall.correct }).tap();
    await page.getByRole("button", { name: en.correct.undo }).tap();
    await expect.poll(() => page.locator(".outline.dimmed").count()).toBe(0);
    await page.getByRole("button", { name: en.hold.next }).tap();
    await page.locator(".hold-editor").waitFor();
    await phone.close();
  });
});

describe("on the smallest phone", () => {
  it("each problem has its number on the photo: colour is not the only sign", async () => {
    const phone = await takePhone(network.url, { width: 320, height: 568 });
    const { page } = phone;
    await scan(page);
    const numbers = await page.locator(".badge circle + text").allTextContents();
    const problems = await page.locator(".chip").count();
    expect([...new Set(numbers)].map(Number).sort()).toEqual(
      Array.from({ length: problems }, (_, index) => index + 1),
    );
    await phone.close();
  });
});

describe("a photo that is dropped", () => {
  it("on another screen is analysed, and never leads the browser away", async () => {
    const phone = await takePhone(network.url, { desktop: true, width: 1280, height: 800 });
    const { page } = phone;
    await page.goto("/#/settings");
    await page.getByRole("heading", { name: en.settings.title }).waitFor();
    await drop(page, "dragover");
    await page.getByText(en.capture.drop).waitFor();
    const kept = await drop(page, "drop");
    expect(kept).toBe(false);
    await explored(page);
    expect(await page.locator(".outline").count()).toBeGreaterThan(10);
    await phone.close();
  });
});

interface Box {
  readonly middle: readonly [number, number];
  readonly width: number;
  readonly height: number;
}

async function boxOf(element: Locator): Promise<Box> {
  const box = await element.boundingBox();
  if (box === null) throw new Error("it is not shown");
  const { x, y, width, height } = box;
  return { middle: [x + width / 2, y + height / 2], width, height };
}

/** Whether the browser would have done with the file what it does by itself. */
async function drop(page: Page, type: "dragover" | "drop"): Promise<boolean> {
  const bytes = [...readFileSync(join(SAMPLES, "navy.jpg"))];
  return await page.evaluate(
    ({ photo, kind }) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(photo)], "wall.jpg", { type: "image/jpeg" }));
      const event = new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true });
      return document.body.dispatchEvent(event);
    },
    { photo: bytes, kind: type },
  );
}

describe("the browser's Back", () => {
  it("closes what lies over the wall", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    await scan(page);
    await page.getByRole("button", { name: en.wall.correct }).click();
    await page.getByRole("button", { name: en.common.delete, exact: true }).click();
    await page.getByRole("dialog").waitFor();
    await page.goBack();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    expect(await page.locator(".outline").count()).toBeGreaterThan(10);
    await phone.close();
  });
});

// Headless Chromium on Linux has no share sheet: one that notes what it is given stands in its place.
describe("the share sheet", () => {
  it.each([
    ["takes the picture", null],
    ["closed by the person is no error", "AbortError"],
    ["that refuses is said, with another way", "NotAllowedError"],
  ])("%s", async (_name, refusal) => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    await page.addInitScript((error) => {
      const shared: string[] = [];
      Object.assign(window, { shared });
      Object.assign(navigator, {
        canShare: ({ files = [] }: ShareData) => files.every(({ type }) => type.startsWith("image/")),
        share: ({ files = [] }: ShareData) => {
          if (error !== null) return Promise.reject(new DOMException("no", error));
          for (const { name, type, size } of files) shared.push(`${name} ${type} ${size > 20_000}`);
          return Promise.resolve();
        },
      });
    }, refusal);
    await scan(page);
    await page.getByRole("button", { name: en.wall.share }).click();
    const sheet = page.getByRole("dialog");
    await expect.poll(() => sheet.getByRole("button", { name: /^Share: / }).count()).toBe(2);
    await sheet.getByRole("button", { name: `${en.share.share}: ${en.share.picture}` }).click();
    const shared = (): Promise<string[]> =>
      page.evaluate(() => (window as unknown as { shared: string[] }).shared);
    if (refusal === null) {
      await expect.poll(shared).toEqual([expect.stringMatching(/^wall-[\d-]+\.png image\/png true$/)]);
    }
    if (refusal === "NotAllowedError") await page.getByText(en.share.failed).waitFor();
    await sheet.getByText(en.share.pictureHint).waitFor();
    if (refusal === "AbortError") expect(await page.getByText(en.share.failed).count()).toBe(0);
    await phone.close();
  });
});
