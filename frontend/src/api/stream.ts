import { createParser } from "eventsource-parser";
import { backoff, pause } from "../lib/backoff";
import { Failure, isAbort } from "./failure";
import type { StreamEvent } from "./types";

/** The service writes at least every 15 s. A line that is silent for longer than two of those is dead. */
const SILENCE_MS = 35_000;
/** After a locked phone, silence means it sooner: the line is tried again as soon as somebody looks. */
const SILENCE_BEFORE_WAKING_MS = 16_000;

export interface Following {
  /** Opens the stream after this event; rejects with a Failure. */
  open: (signal: AbortSignal, lastEventId: string) => Promise<Response>;
  lastEventId: string;
  onEvent: (event: StreamEvent, id: string) => void | Promise<void>;
  /**
   * `null`: connected; else what went wrong, when it is tried again, and before when the service wants to hear nothing,
   * by Date.now().
   */
  onConnection: (lost: { until: number; notBefore: number; code: string } | null) => void;
  /** Its `wake` event ends a pause: the phone was unlocked, the network is back. */
  wake?: EventTarget;
  random?: () => number;
  silenceMs?: number;
}

/** `told`: the last event arrived. `nothing_left`: it had arrived before (204). */
export type Ending = "told" | "nothing_left";

/**
 * Follows a job to its end over as many connections as it takes, each event once.
 *
 * @throws Failure that a later attempt would meet again; AbortError.
 */
export async function follow(signal: AbortSignal, following: Following): Promise<Ending> {
  let lastEventId = following.lastEventId;
  let attempt = 0;
  const take = async (event: StreamEvent, id: string): Promise<void> => {
    lastEventId = id;
    attempt = 0;
    await following.onEvent(event, id);
  };
  for (;;) {
    let lost = new Failure("unreachable");
    try {
      const ending = await readOnce(signal, following, lastEventId, take);
      if (ending === "told" || ending === "nothing_left") return ending;
      if (ending === "shutdown") lost = new Failure("shutting_down");
    } catch (error) {
      if (isAbort(error) && signal.aborted) throw error;
      if (error instanceof Failure && !error.passing) throw error;
      if (error instanceof Failure) lost = error;
    }
    const wait = backoff(attempt, lost.retryAfter, following.random);
    attempt += 1;
    const least = (lost.retryAfter ?? 0) * 1000;
    following.onConnection({ until: Date.now() + wait, notBefore: Date.now() + least, code: lost.code });
    await pause(signal, wait, following.wake, least);
  }
}

/** One connection, which may end before the job does. */
async function readOnce(
  signal: AbortSignal,
  following: Following,
  lastEventId: string,
  take: (event: StreamEvent, id: string) => Promise<void>,
): Promise<Ending | "shutdown" | "cut"> {
  const connection = new AbortController();
  const line = { heardAt: Date.now() };
  const stop = (): void => connection.abort();
  const doubt = (): void => {
    if (Date.now() - line.heardAt > SILENCE_BEFORE_WAKING_MS) stop();
  };
  signal.addEventListener("abort", stop);
  following.wake?.addEventListener("wake", doubt);
  if (signal.aborted) stop();
  try {
    const answer = await following.open(connection.signal, lastEventId);
    if (answer.status === 204 || answer.body === null) return "nothing_left";
    following.onConnection(null);
    const silence = following.silenceMs ?? SILENCE_MS;
    for await (const { event, id } of events(answer.body, silence, line)) {
      if (isShutdown(event)) return "shutdown";
      await take(event, id);
      if (event.step === "complete" || event.step === "error") return "told";
    }
    return "cut";
  } finally {
    signal.removeEventListener("abort", stop);
    following.wake?.removeEventListener("wake", doubt);
    connection.abort();
  }
}

/** It is not kept, its number is that of the event before, and the job goes on after the restart. */
function isShutdown(event: StreamEvent): boolean {
  return event.step === "error" && event.code === "shutting_down";
}

async function* events(
  body: ReadableStream<Uint8Array>,
  silenceMs: number,
  line: { heardAt: number },
): AsyncGenerator<{ event: StreamEvent; id: string }> {
  const arrived: { event: StreamEvent; id: string }[] = [];
  const parser = createParser({
    onEvent: (message) =>
      arrived.push({ event: JSON.parse(message.data) as StreamEvent, id: message.id ?? "" }),
  });
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const chunk = await withinSilence(reader, silenceMs);
      if (chunk.done) return;
      line.heardAt = Date.now();
      parser.feed(decoder.decode(chunk.value, { stream: true }));
      for (const next of arrived.splice(0)) yield next;
    }
  } finally {
    // The connection is aborted by whoever opened it; what this says of it is of no interest.
    reader.cancel().catch(() => undefined);
  }
}

async function withinSilence(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  silenceMs: number,
): Promise<ReadableStreamReadResult<Uint8Array>> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Failure("unreachable", "the stream fell silent")), silenceMs);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } finally {
    clearTimeout(timer);
  }
}
