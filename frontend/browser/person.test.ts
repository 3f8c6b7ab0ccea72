import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterEach, describe, expect, it } from "vitest";
import { en } from "../src/i18n/en";
import { choose, SAMPLES, scan, takePhone } from "./phone";
import { serve } from "./service";

const { network } = await serve();

afterEach(() => {
  network.instead = () => null;
});
const PLACES = { body: () => document.activeElement === document.body };

async function nowhere(page: Page): Promise<boolean> {
  await page.waitForTimeout(100);
  return await page.evaluate(PLACES.body);
}

describe("before a photo is sent, a person is told what becomes of it", () => {
  it.each([
    [true, en.capture.afterwards.copied],
    [false, en.capture.afterwards.forgotten],
    [null, en.capture.afterwards.unknown],
  ])("where the server says keeps_corrections: %s", async (keeps, words) => {
    const health = (await (await fetch(`${network.url}/api/health`)).json()) as object;
    network.instead = ({ path }) =>
      path !== "/api/health"
        ? null
        : keeps === null
          ? { status: 503, body: "" }
          : {
              status: 200,
              headers: { "content-type": "application/json" },
              body: JSON.stringify({ ...health, keeps_corrections: keeps }),
            };
    const phone = await takePhone(network.url);
    const answered = phone.page.waitForResponse((answer) => answer.url().endsWith("/api/health"));
    await phone.page.goto("/");
    await answered;
    await phone.page.getByText(words).waitFor();
    const others = Object.values(en.capture.afterwards).filter((other) => other !== words);
    for (const other of others) expect(await phone.page.getByText(other).count()).toBe(0);
    await phone.close();
  });
});

describe("without sight, and without a keyboard", () => {
  it("every hold can be reached, and is said, while one looks and while one corrects", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    await scan(page);
    const said = page.locator(".wall-screen > [role=status]");
    expect(await said.innerText()).toBe("");
    const next = page.getByRole("button", { name: en.hold.next });
    await next.tap();
    await expect.poll(() => said.innerText()).toMatch(/^Hold \d+ of \d+, /);
    const first = await said.innerText();
    await next.tap();
    await expect.poll(() => said.innerText()).not.toBe(first);
    expect(await nowhere(page)).toBe(false);
    await page.getByRole("button", { name: en.hold.close }).tap();
    await page.getByRole("button", { name: en.wall.correct }).tap();
    await next.tap();
    await page.locator(".hold-editor").waitFor();
    await next.tap();
    expect(await said.innerText()).toMatch(/^Hold \d+ of \d+, /);
    expect(await page.getByRole("button", { name: en.wall.zoomIn }).count()).toBe(1);
    await phone.accessible("a hold by the buttons");
    await phone.close();
  });

  it("the focus stays where one was when what had it goes", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    await scan(page);
    const press = async (name: string): Promise<void> => {
      await page.locator(".panel").getByRole("button", { name }).focus();
      await page.keyboard.press("Enter");
    };
    await press(en.hold.next);
    await page.locator(".hold-card").waitFor();
    expect(await nowhere(page), "after the next hold").toBe(false);
    await press(en.hold.close);
    expect(await nowhere(page), "after a hold's card").toBe(false);
    await page.getByRole("button", { name: en.wall.correct }).click();
    await press(en.hold.next);
    await press(en.correct.remove);
    await page.locator(".hold-editor").waitFor({ state: "detached" });
    expect(await nowhere(page), "after a hold was deleted").toBe(false);
    await press(en.common.done);
    expect(await nowhere(page), "after Done").toBe(false);
    await page.goto("/#/history");
    await page.locator(".tile .icon-button").focus();
    await page.keyboard.press("Enter");
    await page.locator("dialog").getByRole("button", { name: en.common.delete }).focus();
    await page.keyboard.press("Enter");
    await page.locator(".tile").waitFor({ state: "detached" });
    expect(await nowhere(page), "after a wall was deleted").toBe(false);
    await phone.close();
  });

  it("that there is no network is said on every screen, also on a wall", async () => {
    const phone = await takePhone(network.url);
    const { page, context } = phone;
    await scan(page);
    await context.setOffline(true);
    const line = page.getByRole("status").filter({ hasText: en.offline });
    await line.first().waitFor();
    await phone.accessible("a wall without a network");
    await phone.picture("offline-wall");
    await page.goto("/#/history");
    await line.first().waitFor();
    await context.setOffline(false);
    await phone.close();
  });
});

describe("on a short screen", () => {
  it.each([
    [320, 480],
    [640, 320],
    [480, 320],
  ])(
    "of %i x %i the camera is above the tabs, and the photo is seen beside what is told",
    async (width, height) => {
      const phone = await takePhone(network.url, { locale: "ko-KR", width, height });
      const { page } = phone;
      await page.goto("/");
      const camera = await page.locator("label.primary").boundingBox();
      const tabs = await page.locator(".tab-bar").boundingBox();
      expect((camera?.y ?? 0) + (camera?.height ?? 0)).toBeLessThanOrEqual(tabs?.y ?? 0);
      await scan(page);
      await page.locator(".panel .stepper button").last().click();
      await page.locator(".hold-card").waitFor();
      await page.waitForTimeout(600);
      const photo = await page.locator(".stage-photo").boundingBox();
      expect(photo?.height).toBeGreaterThan(150);
      await phone.close();
    },
  );
});

describe("the browser's Back", () => {
  it("leads out of correcting, and after Done not into it again", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    await scan(page);
    const wall = page.url();
    await page.getByRole("button", { name: en.wall.correct }).click();
    await page.getByRole("button", { name: en.common.done }).click();
    await expect.poll(() => page.url()).toBe(wall);
    await page.goBack();
    await page.getByRole("heading", { name: en.capture.title }).waitFor();
    await phone.close();
  });
});

describe("a photo is never thrown away unasked", () => {
  it("neither by Cancel nor by Another photo", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    network.instead = ({ path, method }) =>
      path === "/api/jobs" && method === "POST"
        ? {
            status: 415,
            headers: { "content-type": "application/problem+json" },
            body: JSON.stringify({ code: "photo_type_unsupported", detail: "no" }),
          }
        : null;
    await page.goto("/");
    await choose(page, join(SAMPLES, "slab.jpg"));
    await page.getByRole("button", { name: en.common.newPhoto }).click();
    await page.getByRole("heading", { name: en.capture.title }).waitFor();
    await page.getByRole("link", { name: new RegExp(en.history.failed) }).waitFor();
    network.instead = () => null;
    network.slow = 300;
    await choose(page, join(SAMPLES, "slab.jpg"));
    await page.getByRole("button", { name: en.progress.cancel }).click();
    await page.locator("dialog").getByRole("button", { name: en.remove.keep }).click();
    await page.getByRole("button", { name: en.progress.cancel }).click();
    await phone.accessible("a question before Cancel");
    network.slow = 0;
    await page.locator("dialog").getByRole("button", { name: en.common.delete }).click();
    await page.getByRole("heading", { name: en.capture.title }).waitFor();
    await expect.poll(() => page.locator(".strip li").count()).toBe(1);
    await phone.close();
  });
});
