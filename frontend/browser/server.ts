// The real service, with its bundled models, as a process of its own.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, openSync, closeSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const START_MS = 90_000;

export interface Server {
  /** Of the running process; another one after a restart. */
  port: number;
  /** As a lost power cord would: nothing is put away. */
  kill: () => Promise<void>;
  start: () => Promise<void>;
  /** Ends it, and drops what it kept. */
  close: () => Promise<void>;
}

export async function startServer(settings: Record<string, string> = {}): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), "holdcheck-browser-"));
  let child: ChildProcess | null = null;
  let starts = 0;

  const server: Server = {
    port: 0,
    start: async () => {
      starts += 1;
      const logFile = join(folder, `log-${starts}`);
      const log = openSync(logFile, "w");
      const python = process.env["PYTHON"] ?? join(ROOT, ".venv/bin/python");
      child = spawn(python, ["-m", "backend", "--port", "0"], {
        cwd: folder,
        env: {
          PATH: process.env["PATH"],
          PYTHONPATH: ROOT,
          DATA_DIR: join(folder, "data"),
          MODELS_DIR: join(folder, "models"),
          ...settings,
        },
        stdio: ["ignore", log, log],
      });
      closeSync(log);
      server.port = await ready(logFile, child);
    },
    kill: async () => {
      await end(child, "SIGKILL");
    },
    close: async () => {
      await end(child, "SIGTERM");
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await server.start();
  return server;
}

async function ready(logFile: string, child: ChildProcess): Promise<number> {
  const deadline = Date.now() + START_MS;
  while (Date.now() < deadline && child.exitCode === null) {
    const port = /listens on http:\/\/[^\s,"]+:(\d+)/.exec(readFileSync(logFile, "utf8"))?.[1];
    const answer =
      port === undefined ? null : await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
    if (answer?.ok === true) return Number(port);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the server did not start:\n${readFileSync(logFile, "utf8")}`);
}

async function end(child: ChildProcess | null, signal: NodeJS.Signals): Promise<void> {
  if (child?.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await ended;
}
