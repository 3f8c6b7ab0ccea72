// What goes wrong between a phone and a service where neither is at fault: portals, two tabs, a full phone.
import { join } from "node:path";
import type { Page } from "playwright-core";
import { beforeEach, describe, expect, it } from "vitest";
import type { Seen } from "./network";
import { choose, explored, SAMPLES, scan, takePhone } from "./phone";
import { serve } from "./service";

const { network } = await serve({ KEEP_CORRECTIONS: "1", JOB_TTL_S: "30" });

beforeEach(() => {
  network.instead = () => null;
  network.loses = () => false;
  network.slow = 0;
});

const isUpload = ({ method, path }: Seen): boolean => method === "POST" && path === "/api/jobs";
const isDeletion = ({ method }: Seen): boolean => method === "DELETE";
const PORTAL = { status: 200, headers: { "content-type": "text/html" }, body: "<h1>Hotel</h1>" };

function busy(retryAfter: string): { status: number; headers: Record<string, string>; body: string } {
  const headers = { "content-type": "application/problem+json", "retry-after": retryAfter };
  return { status: 503, headers, body: JSON.stringify({ code: "queue_full", detail: "" }) };
}

async function jobs(): Promise<string[]> {
  const paths = network.seen.map(({ path }) => /^\/api\/jobs\/([^/]+)/.exec(path)?.[1] ?? "");
  const known = [...new Set(paths)].filter((id) => id !== "");
  const there = await Promise.all(
    known.map(async (id) => ((await fetch(`${network.url}/api/jobs/${id}`)).ok ? id : "")),
  );
  return there.filter((id) => id !== "");
}

async function remove(page: Page): Promise<void> {
  await page
    .getByRole("button", { name: /^Delete/ })
    .first()
    .click();
  await page.locator("dialog").getByRole("button", { name: "Delete" }).click();
}

describe("a network that answers in the service's place", () => {
  it("takes no photo: it is sent again when the service answers", async () => {
    const { page, close } = await takePhone(network.url);
    await page.goto("/");
    let answered = 0;
    network.instead = (seen) => (isUpload(seen) && (answered += 1) <= 2 ? PORTAL : null);
    await choose(page, join(SAMPLES, "twins.jpg"));
    await explored(page);
    expect(answered).toBe(3);
    await close();
  });

  it("with a page that says not found has said nothing of the analysis, nor of corrections", async () => {
    const { page, close } = await takePhone(network.url);
    const missing = { status: 404, headers: { "content-type": "text/html" }, body: "<h1>Not found</h1>" };
    const strangers = { events: 0, corrections: 0 };
    network.instead = ({ path, method }) => {
      if (path.endsWith("/events")) return (strangers.events += 1) === 1 ? missing : null;
      if (path.endsWith("/corrections") && method === "POST")
        return (strangers.corrections += 1) === 1 ? missing : null;
      return null;
    };
    await scan(page, "twins.jpg");
    expect(strangers.events).toBe(2);
    await page.getByRole("button", { name: "Correct" }).click();
    await page.locator(".stage").focus();
    await page.keyboard.press("n");
    await page.getByRole("radio", { name: "Lime", exact: true }).first().check();
    await page.getByText("1 change · Kept, and sent to the server").waitFor();
    expect(strangers.corrections).toBe(2);
    await close();
  });

  it("has deleted nothing: the page says so, and asks on until the service has", async () => {
    const { page, close } = await takePhone(network.url);
    await scan(page, "twins.jpg");
    let answered = 0;
    network.instead = (seen) => (isDeletion(seen) && (answered += 1) <= 2 ? PORTAL : null);
    const erased = page.waitForResponse((answer) => answer.status() === 204);
    await remove(page);
    await page.getByText("Deleted here. The server is told as soon as it listens.").waitFor();
    await erased;
    expect(answered).toBe(3);
    await close();
  });
});

describe("a deletion", () => {
  it("finds the job of an upload whose answer was lost", async () => {
    const { page, close } = await takePhone(network.url);
    await page.goto("/");
    network.loses = isUpload;
    await choose(page, join(SAMPLES, "twins.jpg"));
    await page.getByText("No connection to the server", { exact: true }).waitFor();
    network.loses = () => false;
    network.instead = (seen) => (isUpload(seen) ? busy("1") : null);
    const erased = page.waitForResponse((answer) => answer.request().method() === "DELETE");
    await page.getByRole("button", { name: "Cancel the analysis" }).click();
    await page.locator("dialog").getByRole("button", { name: "Delete" }).click();
    network.instead = () => null;
    expect((await erased).status()).toBe(204);
    const keys = network.seen.filter(isUpload).map(({ headers }) => headers["idempotency-key"]);
    expect(keys.at(-1)).toBe(keys.at(-2));
    await close();
  });

  it("in one tab is one in the other, and stays one after a correction there", async () => {
    const { page, context, close } = await takePhone(network.url);
    await scan(page, "twins.jpg");
    const other = await context.newPage();
    await other.goto(page.url());
    await explored(other);
    await remove(page);
    await page.getByText("Deleted here and on the server").waitFor();
    await other.getByText("This wall is not on this phone").waitFor();
    await other.goto("/#/history");
    await other.reload();
    await other.getByText("No walls yet").waitFor();
    await close();
  });
});

describe("in two tabs", () => {
  it("a key that was saved in one is kept when the other changes a setting", async () => {
    const { page, context, close } = await takePhone(network.url);
    await page.goto("/#/settings");
    const other = await context.newPage();
    await other.goto("/#/settings");
    await page.getByLabel("Key of this server").fill("open-sesame-0123456789");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await other.getByRole("radio", { name: "Light" }).check();
    const kept = await page.evaluate(
      () => JSON.parse(String(localStorage.getItem("holdcheck-settings"))) as unknown,
    );
    expect(kept).toMatchObject({ apiKey: "open-sesame-0123456789", theme: "light" });
    await expect.poll(() => page.evaluate(() => document.documentElement.dataset["theme"])).toBe("light");
    await close();
  });

  it("what was undone in one is not done again over what was drawn in the other", async () => {
    const { page, context, close } = await takePhone(network.url);
    await scan(page, "twins.jpg");
    await page.getByRole("button", { name: "Correct" }).click();
    const draw = async (tab: Page): Promise<void> => {
      await tab.getByRole("button", { name: "Draw a missed hold" }).click();
      await tab.getByRole("button", { name: "Put one in the middle" }).click();
      await tab.getByText("Drawn by you").waitFor();
    };
    await draw(page);
    await page.getByRole("button", { name: "Undo" }).click();
    const holds = await page.locator(".outline").count();
    const other = await context.newPage();
    await other.goto(page.url());
    await other.locator(".outline").first().waitFor();
    await draw(other);
    await expect.poll(() => page.locator(".outline").count()).toBe(holds + 1);
    expect(await page.getByRole("button", { name: "Redo" }).isDisabled()).toBe(true);
    await close();
  });
});

describe("what was put right", () => {
  it("and may no longer be used is said to be owed until the server knows", async () => {
    const { page, close } = await takePhone(network.url);
    await scan(page, "twins.jpg");
    await page.getByRole("button", { name: "Correct" }).click();
    const box = page.getByRole("checkbox");
    const sent = page.getByText("Kept, and sent to the server");
    await page.locator(".stage").focus();
    await page.keyboard.press("n");
    await page.getByRole("radio", { name: "Lime", exact: true }).first().check();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Let go of this hold" }).click();
    await box.check();
    await sent.waitFor();
    const locked = {
      status: 401,
      headers: { "content-type": "application/problem+json" },
      body: JSON.stringify({ code: "api_key_missing", detail: "" }),
    };
    network.instead = ({ path }) => (path.endsWith("/corrections") ? locked : null);
    await box.uncheck();
    await page.getByText("may no longer be used").waitFor();
    await page.getByText("The server asks for its key").waitFor();
    network.instead = () => null;
    await page.evaluate(() => dispatchEvent(new Event("online")));
    await sent.waitFor();
    await close();
  });

  it("is sent again by itself while the phone is online", async () => {
    const { page, close } = await takePhone(network.url);
    await scan(page, "twins.jpg");
    await page.getByRole("button", { name: "Correct" }).click();
    let asked = 0;
    network.instead = ({ path }) => (path.endsWith("/corrections") && (asked += 1) <= 2 ? busy("1") : null);
    await page.locator(".stage").focus();
    await page.keyboard.press("n");
    await page.getByRole("radio", { name: "Lime", exact: true }).first().check();
    await page.getByText("1 change · Kept, and sent to the server").waitFor();
    expect(asked).toBe(3);
    await close();
  });

  it("can be withdrawn after the job has expired: the copy goes", async () => {
    const { page, close } = await takePhone(network.url);
    await scan(page, "twins.jpg");
    await page.getByRole("button", { name: "Correct" }).click();
    const taken = page.waitForResponse((answer) => answer.url().endsWith("/corrections"));
    await page.getByRole("checkbox").check();
    expect((await taken).status()).toBe(200);
    await expect.poll(jobs, { timeout: 60_000, interval: 2000 }).toEqual([]);
    const erased = page.waitForResponse((answer) => answer.request().method() === "DELETE");
    await page.getByRole("checkbox").uncheck();
    expect((await erased).status()).toBe(204);
    await close();
  });
});

describe("an analysis that failed", () => {
  it("on the service for good is begun anew, and its old job is erased", async () => {
    const { page, close } = await takePhone(network.url);
    await page.goto("/");
    const failed = { step: "error", code: "internal_error", message: "", job_id: "", seq: 1, progress: 0 };
    let streams = 0;
    network.instead = ({ path }) =>
      path.endsWith("/events") && (streams += 1) === 1
        ? {
            status: 200,
            headers: { "content-type": "text/event-stream" },
            body: `id: 1\ndata: ${JSON.stringify(failed)}\n\n`,
          }
        : null;
    await choose(page, join(SAMPLES, "twins.jpg"));
    const erased = page.waitForResponse((answer) => answer.request().method() === "DELETE");
    await page.getByRole("button", { name: "Try again" }).click();
    await explored(page);
    expect((await erased).status()).toBe(204);
    await close();
  });

  it("for want of room on the phone goes on when there is room", async () => {
    const { page, context, close } = await takePhone(network.url);
    await page.goto("/");
    await page.getByRole("button", { name: "Slab" }).or(page.getByText("Slab")).first().waitFor();
    const storage = await context.newCDPSession(page);
    const origin = network.url;
    await storage.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1 });
    await choose(page, join(SAMPLES, "twins.jpg"));
    await page.getByText("Your phone is out of space").waitFor();
    await storage.send("Storage.overrideQuotaForOrigin", { origin });
    await page.getByRole("button", { name: "Try again" }).click();
    await explored(page);
    await close();
  });
});

it("a database that the browser closed is opened again", async () => {
  const { page, context, close } = await takePhone(network.url);
  await scan(page, "twins.jpg");
  const storage = await context.newCDPSession(page);
  await storage.send("Storage.clearDataForOrigin", { origin: network.url, storageTypes: "indexeddb" });
  await page.goto("/#/");
  await choose(page, join(SAMPLES, "twins.jpg"));
  await explored(page);
  await close();
});

it("a browser that refuses to keep anything is said to", async () => {
  const { page, close } = await takePhone(network.url);
  await page.addInitScript(() => {
    IDBFactory.prototype.open = () => {
      throw new DOMException("refused", "SecurityError");
    };
  });
  await scan(page, "twins.jpg");
  await page.goto("/#/history");
  await page.getByText("This browser keeps nothing").waitFor();
  await close();
});
