// Writes a .gz beside each file of the build that gains by it: the service sends it as it lies there.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const dist = fileURLToPath(new URL("../dist/", import.meta.url));
for (const name of readdirSync(dist, { recursive: true })) {
  if (/\.(html|js|css|svg|webmanifest)$/.test(name)) {
    writeFileSync(`${dist}${name}.gz`, gzipSync(readFileSync(dist + name), { level: 9 }));
  }
}
