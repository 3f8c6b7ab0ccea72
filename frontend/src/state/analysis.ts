import { getJob, request } from "../api/client";
import { isAbort, toFailure } from "../api/failure";
import { follow } from "../api/stream";
import type { StreamEvent } from "../api/types";
import { sendPhoto, type Upload } from "../api/upload";
import { backoff, pause } from "../lib/backoff";
import { prepare } from "../lib/photo";
import { advance, sending } from "../lib/progress";
import { type AppStore, entryOf, identityOf } from "./app";
import { type Entry, type Findings, findingsOf } from "./entry";
import type { Shelves } from "./shelves";

/** What an analysis works with. */
export interface Tools {
  readonly store: AppStore;
  readonly shelves: Shelves;
  readonly wake: EventTarget;
}

/**
 * Brings one entry from wherever it stands to its end.
 *
 * @throws Failure; AbortError, also where the entry was deleted meanwhile.
 */
export async function analyse(
  signal: AbortSignal,
  tools: Tools,
  id: string,
  file: File | null,
): Promise<void> {
  const { shelves, wake } = tools;
  await shelves.stored(id);
  if (!current(tools, id).prepared) await makeReady(signal, tools, id, file ?? (await shelves.photo(id)));
  const jobId = current(tools, id).jobId ?? (await send(signal, tools, id));
  const ending = await follow(signal, {
    open: (inner, lastEventId) => openStream(inner, tools, jobId, lastEventId),
    lastEventId: current(tools, id).lastEventId,
    onEvent: (event, eventId) => hear(tools, id, event, eventId),
    onConnection: (lost) => shelves.wait(id, lost),
    wake,
  });
  if (ending === "nothing_left") await fetchEnd(signal, tools, id, jobId);
}

async function makeReady(signal: AbortSignal, tools: Tools, id: string, file: Blob): Promise<void> {
  const { blob, size, thumbnail } = await prepare(signal, file);
  await tools.shelves.keepPhoto(id, blob, thumbnail);
  const progress = sending(current(tools, id).progress, 0);
  await tools.shelves.update(id, { size, prepared: true, progress });
}

/** The job's id, after as many attempts as the service and the network ask for. */
async function send(signal: AbortSignal, tools: Tools, id: string): Promise<string> {
  const { store, shelves, wake } = tools;
  const photo = await shelves.photo(id);
  for (let attempt = 0; ; attempt += 1) {
    // An attempt before, whose answer was lost: a refusal of this one says nothing of that.
    const unheard = current(tools, id).reached === true;
    shelves.wait(id, null);
    try {
      const { key, wallAngle } = current(tools, id);
      const onProgress = (fraction: number): void => {
        void shelves.update(id, { progress: sending(current(tools, id).progress, fraction) }, false);
      };
      const onReached = (): void => {
        shelves.update(id, { reached: true }).catch(() => undefined);
      };
      const upload: Upload = { photo, key, wallAngle, onProgress, onReached };
      const job = await sendPhoto(signal, identityOf(store.get()), upload);
      await shelves.update(id, { jobId: job.job_id, status: "running" });
      return job.job_id;
    } catch (error) {
      const failure = isAbort(error) ? null : toFailure(error);
      if (failure?.told === true) await shelves.update(id, { reached: unheard });
      if (failure?.passing !== true) throw error;
      const wait = backoff(attempt, failure.retryAfter);
      const least = (failure.retryAfter ?? 0) * 1000;
      shelves.wait(id, { code: failure.code, until: Date.now() + wait, notBefore: Date.now() + least });
      await pause(signal, wait, wake, least);
    }
  }
}

function openStream(
  signal: AbortSignal,
  tools: Tools,
  jobId: string,
  lastEventId: string,
): Promise<Response> {
  const headers: Record<string, string> = lastEventId === "" ? {} : { "Last-Event-ID": lastEventId };
  return request(signal, identityOf(tools.store.get()), `api/jobs/${jobId}/events`, { headers });
}

/** What an event brings is kept before its number is: a page that dies in between hears it again. */
async function hear(tools: Tools, id: string, event: StreamEvent, eventId: string): Promise<void> {
  const { shelves } = tools;
  const common = { progress: advance(current(tools, id).progress, event), lastEventId: eventId };
  if (event.step === "result_holds") await shelves.find(id, { holds: event.hold_data });
  if (event.step === "result_problems") await shelves.find(id, { problems: event.problems });
  if (event.step === "complete") {
    await finish(tools, id, findingsOf(event.result), common);
  } else if (event.step === "error") {
    const failure = { code: event.code, detail: event.message, ended: true };
    await shelves.update(id, { ...common, status: "failed", failure });
  } else {
    await shelves.update(id, common);
  }
}

/** All events had been heard, and the page died before the last was kept; or they have expired. */
async function fetchEnd(signal: AbortSignal, tools: Tools, id: string, jobId: string): Promise<void> {
  const job = await getJob(signal, identityOf(tools.store.get()), jobId);
  if (job.result !== null) {
    await finish(tools, id, findingsOf(job.result), {});
    return;
  }
  const failure = { code: job.error?.code ?? "unexpected", detail: job.error?.message ?? "", ended: true };
  await tools.shelves.update(id, { status: "failed", failure });
}

async function finish(tools: Tools, id: string, findings: Findings, common: Partial<Entry>): Promise<void> {
  await tools.shelves.find(id, findings);
  const { holds, problems, result } = findings;
  await tools.shelves.update(id, {
    ...common,
    progress: { ...(common.progress ?? current(tools, id).progress), percent: 100, position: null },
    status: "done",
    failure: null,
    counts: { holds: holds.length, problems: problems.length },
    size: result === null ? null : { width: result.image_width, height: result.image_height },
  });
}

function current(tools: Tools, id: string): Entry {
  const found = entryOf(tools.store.get(), id);
  if (found === null) throw new DOMException("the entry was deleted", "AbortError");
  return found;
}
