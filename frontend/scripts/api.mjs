// Writes src/api/schema.d.ts and src/api/codes.ts from the service's own OpenAPI description.
// `--check` writes nothing, and fails where the description has moved on. PYTHON chooses the interpreter.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";

const frontend = fileURLToPath(new URL("..", import.meta.url));
const DUMP = `
import json
from backend.app import create_app
from backend.settings import ServiceSettings
print(json.dumps(create_app(ServiceSettings(_env_file=None)).openapi()))
`;

function describe() {
  const dataDir = mkdtempSync(join(tmpdir(), "holdcheck-openapi-"));
  try {
    const python = process.env.PYTHON ?? join(frontend, "../.venv/bin/python");
    const env = { PATH: process.env.PATH, DATA_DIR: dataDir };
    return JSON.parse(execFileSync(python, ["-c", DUMP], { cwd: join(frontend, ".."), env, maxBuffer: 1e8 }));
  } finally {
    rmSync(dataDir, { recursive: true });
  }
}

// The examples of problem details are the service's list of what can go wrong.
function errorCodes(description) {
  const codes = new Set();
  for (const path of Object.values(description.paths)) {
    for (const operation of Object.values(path)) {
      for (const response of Object.values(operation.responses ?? {})) {
        const examples = response.content?.["application/problem+json"]?.examples ?? {};
        Object.keys(examples).forEach((code) => codes.add(code));
      }
    }
  }
  return [...codes].sort();
}

const description = describe();
const head = "// Written by `npm run api` from the service's OpenAPI description. Do not edit.\n";
const codes = errorCodes(description)
  .map((code) => `  "${code}",\n`)
  .join("");
const files = {
  "src/api/schema.d.ts": head + astToString(await openapiTS(description)),
  "src/api/codes.ts": `${head}export const ERROR_CODES = [\n${codes}] as const;\n`,
};
let drifted = false;
for (const [name, text] of Object.entries(files)) {
  const path = join(frontend, name);
  if (!process.argv.includes("--check")) writeFileSync(path, text);
  else if (!existsSync(path) || readFileSync(path, "utf8") !== text) {
    console.error(`frontend/${name} is not what the service describes: run \`npm run api\` and commit it`);
    drifted = true;
  }
}
process.exit(drifted ? 1 : 0);
