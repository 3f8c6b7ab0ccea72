import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { choose, explored, type Phone, reaches, SAMPLES, scan, takePhone } from "./phone";
import { ROOT } from "./server";
import { serve } from "./service";

const { network } = await serve();

interface Exported {
  readonly holds: unknown[];
  readonly problems: unknown[];
  readonly annotations: unknown[];
}

async function download(phone: Phone, label: RegExp): Promise<Buffer> {
  const [file] = await Promise.all([
    phone.page.waitForEvent("download"),
    phone.page.getByRole("button", { name: label }).click(),
  ]);
  return readFileSync(await file.path());
}

describe("from a photo to a shared wall", () => {
  it("shows the photo at once, every stage, a bar that never goes back, and the result", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    await page.goto("/");
    await phone.accessible("capture");
    network.slow = 60;
    await page.evaluate(() => {
      const record = { percents: [] as number[], stages: [] as string[] };
      Object.assign(window, { record });
      new MutationObserver(() => {
        const bar = document.querySelector("progress");
        const stage = document.querySelector(".stage-row.now span:nth-child(2)")?.textContent;
        if (bar !== null) record.percents.push(bar.value);
        if (stage != null && record.stages.at(-1) !== stage) record.stages.push(stage);
      }).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
    });
    await choose(page, join(SAMPLES, "overhang.jpg"));
    await page.locator(".stage-photo").waitFor({ timeout: 2000 });
    await page.getByText("Name the colours").waitFor();
    await phone.accessible("progress");
    await explored(page);
    network.slow = 0;
    const { percents, stages } = await page.evaluate(
      () => (window as unknown as { record: { percents: number[]; stages: string[] } }).record,
    );
    expect(percents.length).toBeGreaterThan(5);
    expect(percents).toEqual([...percents].sort((one, other) => one - other));
    expect(stages).toEqual(expect.arrayContaining(["Find the holds", "Name the colours"]));
    expect(await page.locator(".outline").count()).toBe(40);
    expect(await page.locator(".panel h2").innerText()).toMatch(/^40 holds · \d problems$/);
    await phone.accessible("explore");
    expect(phone.complaints).toEqual([]);
    await phone.close();
  });

  it("sends a photo that is smaller than Safari's canvas and has no EXIF", async () => {
    const phone = await takePhone(network.url);
    await phone.page.goto("/");
    const before = network.seen.length;
    await choose(phone.page, {
      name: "IMG_0001.jpg",
      mimeType: "image/jpeg",
      buffer: withExif(readFileSync(join(SAMPLES, "slab.jpg"))),
    });
    await explored(phone.page);
    const upload = network.seen
      .slice(before)
      .find(({ method, path }) => method === "POST" && path === "/api/jobs");
    expect(upload?.body.includes("Exif")).toBe(false);
    expect(upload?.body.includes("GPS-SECRET")).toBe(false);
    expect(upload?.headers["idempotency-key"]).toMatch(/^[0-9a-f-]{36}$/);
    await phone.close();
  });

  it("dims the rest for a problem, and tells of a hold", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    await scan(page);
    await page.locator(".chip").first().click();
    expect(await page.locator(".outline.dimmed").count()).toBeGreaterThan(0);
    expect(await page.locator(".outline.chosen").count()).toBe(11);
    await phone.accessible("problem");
    await page.waitForTimeout(400);
    const box = await page.locator(".outline.chosen").nth(2).boundingBox();
    await page.touchscreen.tap((box?.x ?? 0) + (box?.width ?? 0) / 2, (box?.y ?? 0) + (box?.height ?? 0) / 2);
    await page.locator(".hold-card").waitFor();
    expect(await page.locator(".colour-bars li").count()).toBe(3);
    for (const fact of ["Kind", "Size", "Confidence"]) await page.locator("dt", { hasText: fact }).waitFor();
    await page.locator(".hold-crop image").waitFor({ state: "attached" });
    await phone.accessible("hold");
    await page.getByRole("button", { name: "Let go of this hold" }).click();
    await page.locator(".mark.start").first().waitFor({ state: "attached" });
    await page.locator(".mark.top").first().waitFor({ state: "attached" });
    expect(phone.complaints).toEqual([]);
    await phone.close();
  });

  it("exports a picture, all data and COCO", async () => {
    const phone = await takePhone(network.url);
    await scan(phone.page);
    await phone.page.getByRole("button", { name: "Share and export" }).click();
    await phone.accessible("share");
    const png = await download(phone, /Save: Picture/);
    expect(png.subarray(1, 4).toString()).toBe("PNG");
    expect(png.length).toBeGreaterThan(100_000);
    const json = JSON.parse((await download(phone, /Save: All data/)).toString()) as Exported;
    expect(json.holds).toHaveLength(34);
    expect(json.problems).toHaveLength(4);
    const jpeg = await download(phone, /Save: Photo alone/);
    expect([...jpeg.subarray(0, 2)]).toEqual([0xff, 0xd8]);
    const coco = JSON.parse((await download(phone, /Save: Annotations/)).toString()) as Exported;
    expect(coco.annotations).toHaveLength(34);
    expect(phone.complaints).toEqual([]);
    await phone.close();
  });

  it("deletes here and on the server", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    await scan(page, "twins.jpg");
    const stream = network.seen.findLast(({ path }) => path.endsWith("/events"));
    const job = `${network.url}${(stream?.path ?? "").replace("/events", "")}`;
    expect((await fetch(job)).status).toBe(200);
    await page.getByRole("button", { name: "Delete" }).click();
    await phone.accessible("delete");
    await page.locator("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByText("Deleted here and on the server").waitFor();
    expect((await fetch(job)).status).toBe(404);
    await page.getByText("No walls yet").waitFor();
    await phone.close();
  });

  it("takes what is pasted or dropped", async () => {
    const phone = await takePhone(network.url, { desktop: true, width: 1280, height: 800 });
    const { page } = phone;
    await page.goto("/");
    const bytes = [...readFileSync(join(SAMPLES, "navy.jpg"))];
    await page.evaluate((photo) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(photo)], "wall.jpg", { type: "image/jpeg" }));
      document.body.dispatchEvent(
        new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }),
      );
    }, bytes);
    await explored(page);
    expect(await page.locator(".outline").count()).toBeGreaterThan(10);
    await phone.close();
  });

  it("sends a HEIC as it is where the browser cannot read it, and says what it finds", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    await page.goto("/");
    const before = network.seen.length;
    await choose(page, join(ROOT, "tests/data/quarters.heic"));
    await page.getByText("This browser cannot show the photo").waitFor();
    await page.getByText("No two holds make a problem here.").waitFor();
    const upload = network.seen.slice(before).find(({ method }) => method === "POST");
    expect(upload?.body.includes("ftypheic")).toBe(true);
    await phone.accessible("a photo that cannot be shown");
    await phone.picture("not-shown");
    expect(phone.complaints).toEqual([]);
    await phone.close();
  });

  it("cancels, and the server forgets", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    await page.goto("/");
    network.slow = 300;
    await choose(page, join(SAMPLES, "painted.jpg"));
    await reaches(page, "Find the holds");
    const erased = page.waitForResponse((answer) => answer.request().method() === "DELETE");
    await page.getByRole("button", { name: "Cancel the analysis" }).click();
    await page.locator("dialog").getByRole("button", { name: "Delete" }).click();
    network.slow = 0;
    expect((await erased).status()).toBe(204);
    await page.getByRole("heading", { name: "What is on the wall?" }).waitFor();
    expect(await page.locator(".strip").count()).toBe(0);
    await phone.close();
  });
});

/** The JPEG with an APP1 segment as cameras write it (Exif 2.32, section 4.7.2). */
function withExif(jpeg: Buffer): Buffer {
  const content = Buffer.from("Exif\0\0II*\0\x08\0\0\0\0\0GPS-SECRET 37.5N 127.0E");
  const length = Buffer.alloc(2);
  length.writeUInt16BE(content.length + 2);
  return Buffer.concat([jpeg.subarray(0, 2), Buffer.from([0xff, 0xe1]), length, content, jpeg.subarray(2)]);
}
