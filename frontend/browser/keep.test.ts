import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { en } from "../src/i18n/en";
import { explored, scan, takePhone } from "./phone";
import { serve } from "./service";

const { network } = await serve();

describe("what the phone keeps", () => {
  it("opens without a network: the app, the history, and a wall with its photo", async () => {
    const phone = await takePhone(network.url);
    const { page, context } = phone;
    await page.goto("/");
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    await scan(page);
    network.down = true;
    await context.setOffline(true);
    await page.goto("/#/history");
    await page.reload();
    await page.getByText("Offline").first().waitFor();
    await page.getByRole("link", { name: /4 problems · 34 holds/ }).click();
    await explored(page);
    expect(await page.locator(".outline").count()).toBe(34);
    const width = await page
      .locator(".stage-photo")
      .evaluate((photo: HTMLImageElement) => photo.naturalWidth);
    expect(width).toBe(1350);
    await page.goto("/#/status");
    await page.getByText("The server does not answer").waitFor();
    network.down = false;
    await context.setOffline(false);
    expect(phone.complaints).toEqual([]);
    await phone.close();
  });

  it("is erased on the server later where it was deleted without a network", async () => {
    const phone = await takePhone(network.url);
    const { page, context } = phone;
    await scan(page, "navy.jpg");
    await context.setOffline(true);
    await page.goto("/#/history");
    await page.getByRole("button", { name: /Delete the wall/ }).click();
    await page.locator("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByText("No walls yet").waitFor();
    const erased = page.waitForResponse((answer) => answer.request().method() === "DELETE");
    await context.setOffline(false);
    expect((await erased).status()).toBe(204);
    await phone.close();
  });

  it("is a new version of the app only when the person takes it", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    await page.goto("/");
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    await page.reload();
    const worker = await (await fetch(`${network.url}/sw.js`)).text();
    const headers = { "content-type": "text/javascript" };
    network.instead = ({ path }) =>
      path === "/sw.js" ? { status: 200, headers, body: worker.replace(/shell-\w+/, "shell-next") } : null;
    await page.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.update());
    await page.getByText("A new version is here").waitFor();
    await phone.accessible("an update");
    const reloaded = page.waitForEvent("load");
    await page.getByRole("button", { name: "Update now" }).click();
    await reloaded;
    expect(await page.evaluate(() => caches.keys())).toEqual(["shell-next"]);
    network.instead = () => null;
    await phone.close();
  });

  it("is a new version in the very first session too, and in another tab, which stays as it is", async () => {
    const phone = await takePhone(network.url);
    const { page, context } = phone;
    await page.goto("/");
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    const other = await context.newPage();
    await other.goto("/#/settings");
    // What is lost when a page is loaded anew.
    for (const tab of [page, other]) await tab.evaluate(() => Object.assign(window, { untouched: true }));
    const untouched = (tab: Page): Promise<boolean> => tab.evaluate(() => "untouched" in window);
    const worker = await (await fetch(`${network.url}/sw.js`)).text();
    const headers = { "content-type": "text/javascript" };
    network.instead = ({ path }) =>
      path === "/sw.js" ? { status: 200, headers, body: worker.replace(/shell-\w+/, "shell-next") } : null;
    await page.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.update());
    await page.getByText(en.update.ready).waitFor();
    await other.getByText(en.update.ready).waitFor();
    const reloaded = page.waitForEvent("load");
    await page.getByRole("button", { name: en.update.reload }).click();
    await reloaded;
    await expect.poll(() => page.evaluate(() => caches.keys())).toEqual(["shell-next"]);
    expect(await untouched(other)).toBe(true);
    await other.getByRole("button", { name: en.update.reload }).click();
    await expect.poll(() => untouched(other).catch(() => true)).toBe(false);
    network.instead = () => null;
    await phone.close();
  });

  it("can be put on the home screen: a manifest whose icons are there and as large as it says", async () => {
    const manifest = (await (await fetch(`${network.url}/manifest.webmanifest`)).json()) as {
      icons: { src: string; sizes: string; type: string; purpose?: string }[];
    };
    for (const { src, sizes, type } of manifest.icons) {
      const answer = await fetch(`${network.url}/${src}`);
      expect(answer.headers.get("content-type")).toBe(type);
      const bytes = Buffer.from(await answer.arrayBuffer());
      if (type === "image/png") expect(`${bytes.readUInt32BE(16)}x${bytes.readUInt32BE(20)}`).toBe(sizes);
    }
    expect(manifest.icons.some(({ purpose }) => purpose === "maskable")).toBe(true);
  });
});
