// A phone with Chromium on it, and what a person does with it.
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { AxeResults } from "axe-core";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { expect } from "vitest";
import { ROOT } from "./server";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const PICTURES = join(ROOT, "build/app");
export const SAMPLES = join(ROOT, "samples");

/** For what takes a second where nothing else runs. */
const PATIENCE_MS = 90_000;

export interface Habits {
  readonly locale?: string;
  readonly dark?: boolean;
  readonly width?: number;
  readonly height?: number;
  readonly desktop?: boolean;
}

export interface Phone {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What the browser complained of. */
  readonly complaints: string[];
  picture: (name: string) => Promise<void>;
  /** Fails where axe finds anything against WCAG 2.2 AA or its best practices. */
  accessible: (where: string) => Promise<void>;
  close: () => Promise<void>;
}

let browser: Browser | null = null;

export async function launch(): Promise<Browser> {
  browser ??= await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: ["--no-sandbox"],
  });
  return browser;
}

export async function hangUp(): Promise<void> {
  await browser?.close();
  browser = null;
}

/** Waits for a stage frame by frame: playwright's own waiting looks twice a second, and stages are shorter. */
export async function reaches(page: Page, stage: string): Promise<void> {
  await page.evaluate(
    (wanted) =>
      new Promise<void>((resolve) => {
        const look = (): void => {
          const now = document.querySelector(".stage-row.now")?.textContent;
          if (now?.includes(wanted) === true) resolve();
          else requestAnimationFrame(look);
        };
        look();
      }),
    stage,
  );
}

export async function takePhone(url: string, habits: Habits = {}): Promise<Phone> {
  const { locale = "en-US", dark = true, width = 360, height = 740, desktop = false } = habits;
  const context = await (
    await launch()
  ).newContext({
    viewport: { width, height },
    deviceScaleFactor: desktop ? 1 : 2,
    hasTouch: !desktop,
    isMobile: !desktop,
    locale,
    colorScheme: dark ? "dark" : "light",
    baseURL: url,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error.stack)));
  page.on("console", (message) => {
    // Of answers that are no success Chromium tells by itself, each time.
    const itsOwn = message.text().startsWith("Failed to load resource");
    if (message.type() === "error" && !itsOwn) complaints.push(message.text());
  });
  const theme = dark ? "dark" : "light";
  return {
    page,
    context,
    complaints,
    picture: async (name) => {
      mkdirSync(PICTURES, { recursive: true });
      await page.waitForTimeout(250);
      await page.screenshot({ path: join(PICTURES, `${locale.slice(0, 2)}-${theme}-${width}-${name}.png`) });
    },
    accessible: async (where) => {
      // Fading in is no lack of contrast: what moves is shown as it will be.
      await page.evaluate(() => {
        for (const animation of document.getAnimations()) {
          if (animation.effect?.getComputedTiming().endTime !== Infinity) animation.finish();
        }
      });
      // Through the debugger's own world: the page's policy lets no foreign script in.
      await page.evaluate(readFileSync(AXE, "utf8"));
      const found = await page.evaluate<AxeResults>("axe.run(document, { resultTypes: ['violations'] })");
      const words = found.violations.map(
        ({ id, nodes }) =>
          `${id}: ${nodes.map(({ html, failureSummary }) => `${html}\n  ${failureSummary ?? ""}`).join("\n")}`,
      );
      expect(words, `${where}: ${words.join("\n")}`).toEqual([]);
    },
    close: () => context.close(),
  };
}

/** Chooses a photo as a person does, from the library. */
export async function choose(
  page: Page,
  photo: string | { name: string; mimeType: string; buffer: Buffer },
): Promise<void> {
  await page.locator("input[type=file]").nth(1).setInputFiles(photo);
}

export async function explored(page: Page): Promise<void> {
  await page.locator(".chips .chip").first().waitFor({ timeout: 60_000 });
}

/** Whole photo to result; the page stays on the wall. */
export async function scan(page: Page, sample = "plywood.jpg"): Promise<void> {
  await page.goto("/");
  await choose(page, join(SAMPLES, sample));
  await explored(page);
}
