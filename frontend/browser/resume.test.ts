import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { choose, explored, reaches, SAMPLES, takePhone } from "./phone";
import { serve } from "./service";

const { network, server } = await serve();

beforeEach(() => {
  network.down = false;
  network.slow = 0;
});

/** Last-Event-ID of each time that the page asked for events. */
function resumedAt(from: number): number[] {
  const asked = network.seen.slice(from).filter(({ path }) => path.endsWith("/events"));
  return asked.map(({ headers }) => Number(headers["last-event-id"] ?? 0));
}

describe("a phone that loses its connection", () => {
  it("goes on after each cut with the event that it heard last, and misses nothing", async () => {
    const phone = await takePhone(network.url);
    const before = network.seen.length;
    await phone.page.goto("/");
    // In the middle of an event, twice; then in the middle of the large one with the holds.
    network.cuts.push(700, 900, 14_000);
    await choose(phone.page, join(SAMPLES, "plywood.jpg"));
    await explored(phone.page);
    const asked = resumedAt(before);
    expect(asked.length).toBe(4);
    expect(asked).toEqual([...asked].sort((one, other) => one - other));
    expect(asked[1]).toBeGreaterThan(0);
    expect(await phone.page.locator(".outline").count()).toBe(34);
    expect(phone.complaints).toEqual([]);
    await phone.close();
  });

  it("goes on after a reload in the middle, without sending the photo again", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    const before = network.seen.length;
    await page.goto("/");
    network.slow = 400;
    await choose(page, join(SAMPLES, "slab.jpg"));
    await reaches(page, "Find the holds");
    network.slow = 0;
    await page.reload();
    await explored(page);
    const uploads = network.seen.slice(before).filter(({ method }) => method === "POST");
    expect(uploads).toHaveLength(1);
    expect(resumedAt(before)[1]).toBeGreaterThan(0);
    await phone.close();
  });

  it("in an aeroplane keeps the photo, says so, and sends it on landing", async () => {
    const phone = await takePhone(network.url);
    const { page, context } = phone;
    await page.goto("/");
    network.down = true;
    await context.setOffline(true);
    await choose(page, join(SAMPLES, "twins.jpg"));
    await page.getByText("You are offline", { exact: true }).waitFor();
    await phone.accessible("offline while sending");
    await phone.picture("offline");
    network.down = false;
    await context.setOffline(false);
    await explored(page);
    await phone.close();
  });

  it("finishes what a killed server left, once it is back", async () => {
    const phone = await takePhone(network.url);
    const { page } = phone;
    const before = network.seen.length;
    await page.goto("/");
    network.slow = 250;
    await choose(page, join(SAMPLES, "painted.jpg"));
    await reaches(page, "Find the holds");
    await server.kill();
    await page.getByText("No connection to the server", { exact: true }).waitFor();
    await page.getByText(/Next try in \d+ s/).waitFor();
    await phone.picture("waiting");
    const percent = await page.locator("progress").evaluate((bar: HTMLProgressElement) => bar.value);
    await server.start();
    network.slow = 0;
    await page
      .getByRole("button", { name: "Try now" })
      .click({ timeout: 2000 })
      .catch(() => undefined); // It may have tried by itself.
    await explored(page);
    expect(percent).toBeGreaterThan(19);
    expect(network.seen.slice(before).filter(({ method }) => method === "POST")).toHaveLength(1);
    expect(await page.locator(".outline").count()).toBeGreaterThan(20);
    expect(phone.complaints).toEqual([]);
    await phone.close();
  });
});
