import { describe, expect, it, vi } from "vitest";
import { Failure } from "./failure";
import { follow, type Following } from "./stream";
import type { StreamEvent } from "./types";

const MEMORY = { rss_mb: 1, peak_mb: 1, percent: 1, limit_mb: 1, available_mb: 1 };

function frame(seq: number, step: string, more: object = {}): string {
  const data = { job_id: "j", seq, step, progress: seq, message: "", elapsed_ms: 0, memory: MEMORY, ...more };
  return `id: ${seq}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** A stream that says these chunks and then ends, breaks, or stays silent. */
function stream(chunks: readonly string[], end: "close" | "break" | "silence" = "close"): Response {
  const bytes = chunks.map((chunk) => new TextEncoder().encode(chunk));
  const body = new ReadableStream<Uint8Array>({
    pull: (control) => {
      const next = bytes.shift();
      if (next !== undefined) control.enqueue(next);
      else if (end === "close") control.close();
      else if (end === "break") control.error(new TypeError("network error"));
      else return new Promise(() => undefined);
      return undefined;
    },
  });
  return new Response(body);
}

interface Heard {
  readonly steps: string[];
  readonly asked: string[];
  readonly pauses: number[];
  readonly reasons: string[];
}

/** Follows through these answers, one for each connection. */
async function through(
  answers: readonly (() => Response)[],
  more: Partial<Following> = {},
): Promise<Heard & { ending: string }> {
  const heard: Heard = { steps: [], asked: [], pauses: [], reasons: [] };
  const left = [...answers];
  const ending = await follow(new AbortController().signal, {
    lastEventId: "",
    open: async (_signal, lastEventId) => {
      heard.asked.push(lastEventId);
      const next = await Promise.resolve(left.shift());
      if (next === undefined) throw new Failure("job_not_found", "", null, 404);
      return next();
    },
    onEvent: (event: StreamEvent) => {
      heard.steps.push(`${event.seq} ${event.step}`);
    },
    onConnection: (lost) => {
      if (lost !== null) heard.pauses.push(lost.until - Date.now());
      if (lost !== null) heard.reasons.push(lost.code);
    },
    random: () => 0,
    ...more,
  });
  return { ...heard, ending };
}

describe("following a job", () => {
  it("tells each event once and ends with complete", async () => {
    const heard = await through([
      () => stream([frame(1, "queued"), frame(2, "upload") + frame(3, "complete")]),
    ]);
    expect(heard).toMatchObject({
      ending: "told",
      steps: ["1 queued", "2 upload", "3 complete"],
      pauses: [],
    });
  });

  it("puts events together that arrive in pieces, in the middle of a letter too", async () => {
    const bytes = new TextEncoder().encode(frame(1, "error", { code: "cancelled", message: "취소" }));
    const body = new ReadableStream<Uint8Array>({
      start: (control) => {
        for (const byte of bytes) control.enqueue(Uint8Array.of(byte));
        control.close();
      },
    });
    const messages: string[] = [];
    await through([() => new Response(body)], {
      onEvent: (event) => {
        messages.push(event.message);
      },
    });
    expect(messages).toEqual(["취소"]);
  });

  it("resumes after the last event that it heard when the connection breaks", async () => {
    const heard = await through([
      () => stream([frame(1, "queued"), frame(2, "upload")], "break"),
      () => stream([frame(3, "complete")]),
    ]);
    expect(heard.asked).toEqual(["", "2"]);
    expect(heard.steps).toEqual(["1 queued", "2 upload", "3 complete"]);
  });

  it("drops half an event and hears it whole after resuming", async () => {
    const whole = frame(2, "upload");
    const heard = await through([
      () => stream([frame(1, "queued"), whole.slice(0, 30)]),
      () => stream([whole, frame(3, "complete")]),
    ]);
    expect(heard.asked).toEqual(["", "1"]);
    expect(heard.steps).toEqual(["1 queued", "2 upload", "3 complete"]);
  });

  it("comes back after a shutdown with the number of the event before it", async () => {
    const heard = await through([
      () => stream([frame(4, "detection"), frame(4, "error", { code: "shutting_down" })]),
      () => stream([frame(5, "complete")]),
    ]);
    expect(heard.asked).toEqual(["", "4"]);
    expect(heard.reasons).toEqual(["shutting_down"]);
    expect(heard.steps).toEqual(["4 detection", "5 complete"]);
  });

  it("waits as long as Retry-After says", async () => {
    vi.useFakeTimers();
    const following = through([
      () => {
        throw new Failure("not_ready", "", 7, 503);
      },
      () => stream([frame(1, "complete")]),
    ]);
    await vi.advanceTimersByTimeAsync(6900);
    const early = await Promise.race([following, Promise.resolve("waiting")]);
    await vi.advanceTimersByTimeAsync(200);
    vi.useRealTimers();
    expect(early).toBe("waiting");
    expect((await following).pauses).toEqual([7000]);
  });

  it("does not come back for what a later attempt would meet again", async () => {
    await expect(through([])).rejects.toMatchObject({ code: "job_not_found" });
  });

  it("takes 204 for an end", async () => {
    const heard = await through([() => new Response(null, { status: 204 })]);
    expect(heard.ending).toBe("nothing_left");
  });

  it("gives up a line that falls silent", async () => {
    const heard = await through(
      [() => stream([frame(1, "queued")], "silence"), () => stream([frame(2, "complete")])],
      { silenceMs: 20 },
    );
    expect(heard.steps).toEqual(["1 queued", "2 complete"]);
  });

  it("tries at once when somebody looks again", async () => {
    const wake = new EventTarget();
    const heard = through(
      [
        () => {
          throw new Failure("unreachable");
        },
        () => stream([frame(1, "complete")]),
      ],
      { wake, random: () => 1000 },
    );
    setTimeout(() => wake.dispatchEvent(new Event("wake")), 10);
    expect((await heard).steps).toEqual(["1 complete"]);
  });

  it("ends when it is told to", async () => {
    const control = new AbortController();
    const following = follow(control.signal, {
      lastEventId: "",
      open: () => Promise.resolve(stream([frame(1, "queued")], "silence")),
      onEvent: () => control.abort(),
      onConnection: () => undefined,
      silenceMs: 20,
    });
    await expect(following).rejects.toMatchObject({ name: "AbortError" });
  });
});
