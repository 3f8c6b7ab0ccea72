// Fails when the first load, JavaScript and CSS together, is larger than its budget. as the service sends them.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const BUDGET = 60 * 1024;
const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const page = readFileSync(`${dist}index.html`, "utf8");
const files = [...page.matchAll(/(?:src|href)="\.?\/([^"]+\.(?:js|css))"/g)].map((match) => match[1]);
if (files.length < 2)
  throw new Error(`index.html names ${files.length} files: JavaScript and CSS were expected`);
let total = 0;
for (const file of files) {
  const size = readFileSync(`${dist}${file}.gz`).length;
  total += size;
  console.log(`${(size / 1024).toFixed(1).padStart(7)} KiB  ${file}`);
}
console.log(
  `${(total / 1024).toFixed(1).padStart(7)} KiB  first load, gzipped; the budget is ${BUDGET / 1024}`,
);
if (total > BUDGET) {
  console.error(`the first load is ${total - BUDGET} bytes over its budget`);
  process.exit(1);
}
