import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { explored, scan, takePhone } from "./phone";
import { serve } from "./service";

const { network } = await serve();

interface Kept {
  readonly holds: readonly object[];
  readonly added: readonly { readonly contour: readonly (readonly [number, number])[] }[];
}

describe("what a person puts right", () => {
  it("is drawn, undone, done again, kept over a reload, exported and taken by the server", async () => {
    const phone = await takePhone(network.url);
    const { page, context } = phone;
    await scan(page);
    await page.getByRole("button", { name: "Correct" }).click();
    await page.locator(".stage").focus();
    // The first that belongs to a problem: only such a one can be a start or a top.
    for (let presses = 0; presses < 10; presses += 1) {
      await page.keyboard.press("n");
      if ((await page.getByRole("radio", { name: "Top", exact: true }).count()) > 0) break;
    }
    await page.getByRole("radio", { name: "Mint", exact: true }).check();
    await page.locator("fieldset", { hasText: "Kind" }).locator("input:not(:checked)").check();
    await page.getByRole("radio", { name: "Top", exact: true }).check();
    await page.getByText("3 changes").waitFor();
    await page.getByRole("button", { name: "Delete this hold" }).click();
    expect(await page.locator(".outline").count()).toBe(33);
    await page.getByRole("button", { name: "Undo" }).click();
    expect(await page.locator(".outline").count()).toBe(34);
    await page.getByRole("button", { name: "Redo" }).click();
    expect(await page.locator(".outline").count()).toBe(33);
    await page.getByRole("button", { name: "Draw a missed hold" }).click();
    const touch = await context.newCDPSession(page);
    const finger = async (type: "touchStart" | "touchMove" | "touchEnd", x = 0, y = 0): Promise<void> => {
      await touch.send("Input.dispatchTouchEvent", {
        type,
        touchPoints: type === "touchEnd" ? [] : [{ x, y }],
      });
    };
    await finger("touchStart", 220, 250);
    for (let step = 1; step <= 24; step += 1) {
      const turn = (2 * Math.PI * step) / 24;
      await finger("touchMove", 180 + 40 * Math.cos(turn), 250 + 40 * Math.sin(turn));
    }
    await finger("touchEnd");
    await page.getByRole("heading", { name: /^Hold \d+ of \d+$/ }).waitFor();
    await page.getByText("Drawn by you").waitFor();
    await page.getByText("5 changes · Kept, and sent to the server").waitFor();
    await phone.accessible("correcting");
    await phone.picture("drawn");

    const posted = network.seen.findLast(({ path }) => path.endsWith("/corrections"));
    const kept = (await (await fetch(network.url + (posted?.path ?? ""))).json()) as Kept;
    expect(kept.holds).toEqual([expect.objectContaining({ deleted: true })]);
    expect(kept.added).toHaveLength(1);
    const drawn = kept.added[0]?.contour ?? [];
    expect(drawn.length).toBeGreaterThan(8);
    expect(Math.max(...drawn.map(([x]) => x))).toBeLessThanOrEqual(1350);

    await page.reload();
    await page.getByText("5 changes · Kept, and sent to the server").waitFor();
    await page.getByRole("button", { name: "Done" }).click();
    await explored(page);
    expect(await page.locator(".outline").count()).toBe(34);
    await page.getByRole("button", { name: "Share and export" }).click();
    const [file] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: /Save: All data/ }).click(),
    ]);
    const exported = JSON.parse(readFileSync(await file.path(), "utf8")) as { holds: { drawn: boolean }[] };
    expect(exported.holds.filter(({ drawn: byHand }) => byHand)).toHaveLength(1);
    expect(phone.complaints).toEqual([]);
    await phone.close();
  });

  it("without a network is sent when there is one", async () => {
    const phone = await takePhone(network.url);
    const { page, context } = phone;
    await scan(page, "twins.jpg");
    await page.getByRole("button", { name: "Correct" }).click();
    await context.setOffline(true);
    await page.locator(".stage").focus();
    await page.keyboard.press("n");
    await page.getByRole("radio", { name: "Lime", exact: true }).first().check();
    await page.getByText("1 change · Kept on this phone").waitFor();
    await page.waitForTimeout(1500);
    const sent = page.waitForResponse((answer) => answer.url().endsWith("/corrections"));
    await context.setOffline(false);
    expect((await sent).status()).toBe(200);
    await page.getByText("1 change · Kept, and sent to the server").waitFor();
    await phone.close();
  });
});
