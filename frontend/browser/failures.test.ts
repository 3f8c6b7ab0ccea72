import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ERROR_CODES } from "../src/api/codes";
import { catalogue, sentenceOf } from "../src/i18n";
import type { Network } from "./network";
import { choose, explored, type Phone, SAMPLES, takePhone } from "./phone";
import { serve } from "./service";

const PHOTO = join(SAMPLES, "plywood.jpg");
const { network } = await serve();

function refusing(code: string, status: number, headers: Record<string, string> = {}): Network["instead"] {
  const body = JSON.stringify({ type: "about:blank", title: "", status, detail: "", code, instance: "" });
  return ({ method }) =>
    method === "POST"
      ? { status, headers: { "content-type": "application/problem+json", ...headers }, body }
      : null;
}

async function refused(phone: Phone, code: string, locale: "en" | "ko"): Promise<void> {
  const { page } = phone;
  const { what, next } = sentenceOf(catalogue(locale), code, "");
  await page.goto("/#/");
  await choose(page, PHOTO);
  await page.locator(".failure-panel h2").waitFor();
  expect(await page.locator(".failure-panel h2").innerText(), code).toBe(what);
  expect(await page.locator(".failure-panel p").first().innerText(), code).toBe(next);
  expect(await page.locator(".failure-panel .button-row button").count(), code).toBeGreaterThan(0);
}

describe("each failure", () => {
  it.each(["en", "ko"] as const)("has its sentence, its next step and a way on, in %s", async (language) => {
    const phone = await takePhone(network.url, { locale: language, dark: language === "ko" });
    await phone.page.goto("/");
    for (const code of ERROR_CODES) {
      network.instead = refusing(code, 400);
      await refused(phone, code, language);
    }
    await phone.accessible("a failure");
    await phone.picture("failure");
    network.instead = () => null;
    expect(phone.complaints).toEqual([]);
    await phone.close();
  });

  it("that the server really makes is shown too: what is no photo, and one too small", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    await page.goto("/");
    await choose(page, { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no photo") });
    await page.getByRole("heading", { name: "That file is not a photo" }).waitFor();
    await page.getByRole("button", { name: "Another photo" }).click();
    const buffer = Buffer.from(
      await page.evaluate(async () => {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [40, 30];
        canvas.getContext("2d")?.fillRect(0, 0, 20, 20);
        const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
        return [...new Uint8Array((await blob?.arrayBuffer()) ?? new ArrayBuffer())];
      }),
    );
    await choose(page, { name: "small.png", mimeType: "image/png", buffer });
    await page.getByRole("heading", { name: "The photo is too small" }).waitFor();
    await phone.close();
  });

  it("that passes is waited out, as long as the server asks, and the photo arrives once", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    let refusals = 0;
    const full = refusing("queue_full", 503, { "retry-after": "2" });
    network.instead = (seen) => (seen.method === "POST" && (refusals += 1) <= 2 ? full(seen) : null);
    await page.goto("/");
    await choose(page, PHOTO);
    await page.getByText("Many climbers are waiting", { exact: true }).waitFor();
    await phone.accessible("a full queue");
    await phone.picture("queue-full");
    const asked = Date.now();
    await explored(page);
    expect(Date.now() - asked).toBeGreaterThan(1500);
    expect(refusals).toBe(3);
    network.instead = () => null;
    await phone.close();
  });

  it("for want of a key asks for the key, and goes on with it", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    const locked = refusing("api_key_missing", 401);
    network.instead = (seen) => (seen.headers["x-api-key"] === "open-sesame-123" ? null : locked(seen));
    await page.goto("/");
    await choose(page, PHOTO);
    await page.getByRole("heading", { name: "This server asks for a key" }).waitFor();
    await phone.accessible("a locked server");
    await phone.picture("key");
    await page.getByLabel("Key of this server").fill(" open-sesame-123\n");
    await page.getByRole("button", { name: "Save" }).click();
    await explored(page);
    network.instead = () => null;
    await phone.close();
  });
});
