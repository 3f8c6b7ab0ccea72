// Draws the PNG icons from public/icon.svg with Chromium; run by hand when the drawing changes.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const folder = fileURLToPath(new URL("../public/", import.meta.url));
const drawing = readFileSync(`${folder}icon.svg`, "utf8");
// A platform cuts its own shape out of these: the ground reaches the edge, and nothing else comes near it.
const full = drawing.replace('rx="116"', "");
const inset = full
  .replace("<path", '<g transform="translate(256 256) scale(.78) translate(-256 -256)"><path')
  .replace("</svg>", "</g></svg>");
const icons = [
  ["icon-192.png", 192, drawing],
  ["icon-512.png", 512, drawing],
  ["icon-180.png", 180, full],
  ["icon-maskable-512.png", 512, inset],
];
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage();
for (const [name, size, svg] of icons) {
  await page.setViewportSize({ width: size, height: size });
  const sized = svg.replace("<svg", `<svg width="${size}" height="${size}" style="display:block"`);
  await page.setContent(`<body style="margin:0">${sized}`);
  await page.screenshot({ path: folder + name, omitBackground: true });
}
await browser.close();
