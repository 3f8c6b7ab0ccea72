"""Every analysis is a job: accepted once, answered once, whoever listens and however often the process dies.

A job is in the store before anybody hears that it was accepted, and its last event is on the disk before
anybody hears that it has ended. What lies between is done again after a crash.
"""

import asyncio
import contextvars
import json
import logging
import time
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from backend import event_log
from backend.engine import Analysis, Engine, Job
from backend.errors import (
    INTERNAL_DETAIL,
    IdempotencyKeyReused,
    JobCancelled,
    JobCrashed,
    JobNotFound,
    JobTimedOut,
    NotReady,
    QueueFull,
    ShuttingDown,
    Unavailable,
)
from backend.event_log import Line
from backend.events import QUEUED_PROGRESS, Event, Narrator, failure
from backend.feed import Feed, replay
from backend.job_files import JobFiles
from backend.queue import Pace, Queue, QueueLoad
from backend.settings import ServiceSettings
from backend.store import JobRecord, JobStore, Outcome, Status
from backend.watch import Watch
from holdcheck import memory
from holdcheck.errors import HoldcheckError

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 2
"""A job that was running this often when the process died is not tried again: it may be what killed it."""
_STUCK_S = 30.0
"""What an analysis may take beyond JOB_TIMEOUT_S to reach its next batch, before its job is given up."""
_LAST_WORDS_S = 1.0
"""Before the grace time is over, so that open streams still hear where to resume."""
_MEASURED = 10
_SWEEP_EVERY_S = 30.0
_STORE_RETRY_S = 5.0


@dataclass(eq=False, slots=True)
class _Live:
    """A job that has not ended, or whose end is being written."""

    record: JobRecord
    feed: Feed
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """Of the request that brought it: its id is in the log lines of the analysis."""
    position: int | None = None
    analysis: Analysis | None = None
    cancelled: bool = False
    settling: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """There will be no more events from this process."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing of it happens any more."""


class Jobs:
    """All jobs of this server. Everything happens on the event loop but disk and computing."""

    def __init__(
        self,
        settings: ServiceSettings,
        engine: Engine,
        store: JobStore,
        files: JobFiles,
        watch: Watch,
        *,
        same_boot: bool,
    ) -> None:
        self.files = files
        self._settings = settings
        self._engine = engine
        self._store = store
        self._watch = watch
        self._same_boot = same_boot
        self._pace = Pace()
        self._queue = Queue(self._pace)
        self._live: dict[str, _Live] = {}
        self._accepting = 0
        self._draining = False
        self._stopping = False
        self._more = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._consumer: asyncio.Task[None] | None = None
        self._sweeper: asyncio.Task[None] | None = None

    # --- the service's life -------------------------------------------------------------------------------

    async def recover(self) -> None:
        """Take up what the last process left. Before the first request, and before the models are there."""
        await self._sweep()
        await asyncio.to_thread(self._tidy, await self._store.statuses())
        self._pace.learn(await self._store.recent_durations(_MEASURED))
        for record in await self._store.unfinished():
            await self._revive(record)
        self._announce()
        self._sweeper = asyncio.create_task(self._keep_sweeping())

    def start(self) -> None:
        """Run jobs from now on: the models are loaded."""
        self._consumer = asyncio.create_task(self._consume())

    def drain(self, grace_s: float) -> None:
        """Take no more jobs; the running one goes on. Streams are told to come back after the restart."""
        self._draining = True
        self._more.set()
        for job_id, _ in self._queue.positions():
            self._say_goodbye(self._live[job_id])
        delay_s = max(0.0, grace_s - _LAST_WORDS_S)
        asyncio.get_running_loop().call_later(delay_s, self._say_goodbye_to_all)

    async def stop(self) -> None:
        """Put the running job back, at its next batch; the caller bounds the wait for it."""
        self._stopping = True
        self.drain(0)
        if self._sweeper is not None:
            self._sweeper.cancel()
        for live in list(self._live.values()):
            if live.analysis is not None:
                await live.analysis.aclose()
        if self._consumer is not None:
            await self._consumer
        while self._tasks:
            await asyncio.wait(self._tasks)
        for live in self._live.values():
            await live.feed.flush()
        await self._store.close()

    # --- what requests ask --------------------------------------------------------------------------------

    def admit(self) -> None:
        """Ask whether `submit` would take a job now.

        Raises:
            Unavailable: NotReady, QueueFull or ShuttingDown.
        """
        if self._draining:
            raise ShuttingDown("The server is shutting down: try again in a moment.")
        models = self._engine.models
        if models is None:
            raise NotReady("The models are loading: try again in a moment.", 1)
        if not models.ready:
            raise NotReady(models.error_reason or "There is no detector.", 60)
        self._watch.require_free_worker()
        waiting = len(self._queue) + self._accepting
        if waiting + self._pace.running > self._settings.max_queue:
            wait_s = self._pace.retry_after_s(waiting)
            raise QueueFull(f"{waiting} photos are waiting already: try again in about {wait_s} s.", wait_s)

    async def submit(self, record: JobRecord) -> JobRecord:
        """Take a job whose photo lies in its folder; answers the one that has its idempotency key, if any.

        From here on the folder is ours, whatever becomes of the caller.

        Raises:
            Unavailable: as `admit`; StorageFull, StorageUnavailable: it could not be kept.
            IdempotencyKeyReused: the key came with another photo or wall_angle.
        """
        return await asyncio.shield(asyncio.create_task(self._accept(record)))

    async def find(self, job_id: str, owner: str) -> JobRecord:
        """The job as it stands.

        Raises:
            JobNotFound: there is none, it has expired, or it is another owner's.
        """
        live = self._live.get(job_id)
        record = live.record if live is not None else await self._store.get(job_id)
        if record is None or record.owner != owner:
            raise JobNotFound(_NO_SUCH_JOB)
        return record

    async def by_key(self, owner: str, idempotency_key: str) -> JobRecord | None:
        return await self._store.by_key(owner, idempotency_key)

    def position(self, job_id: str) -> int | None:
        """How many analyses are ahead of it; None where it does not wait."""
        return self._queue.position(job_id)

    def load(self) -> QueueLoad:
        return QueueLoad(running=int(self._pace.running), waiting=len(self._queue))

    async def counts(self) -> dict[Status, int]:
        """How many jobs the store has of each status."""
        return await self._store.counts()

    def follow(self, job_id: str, after: int) -> AsyncGenerator[Line, None]:
        """The events after the one numbered `after`, to the job's end or this process's."""
        live = self._live.get(job_id)
        return live.feed.read(after) if live is not None else replay(self.files.events(job_id), after)

    async def result(self, job_id: str) -> bytes:
        """The result of a job that is done, as JSON.

        Raises:
            JobNotFound: it expired or was deleted meanwhile.
        """
        try:
            return await asyncio.to_thread(self.files.result(job_id).read_bytes)
        except FileNotFoundError:
            raise JobNotFound(_NO_SUCH_JOB) from None

    async def wait(self, job_id: str) -> None:
        """Return when the job has ended, or cannot end in this process."""
        live = self._live.get(job_id)
        if live is not None:
            await live.over.wait()

    async def delete(self, record: JobRecord) -> None:
        """Cancel the job where it has not ended, and erase all of it."""
        live = self._live.get(record.id)
        if live is not None and live.settling:
            await live.gone.wait()
            live = None
        if live is None:
            await self._forget(record)
        elif not live.cancelled:
            await self._cancel(live)

    # --- accepting ----------------------------------------------------------------------------------------

    async def _accept(self, record: JobRecord) -> JobRecord:
        kept = False
        undo = self.files.discard
        try:
            held = await self._held(record)
            if held is None:
                self.admit()
                self._accepting += 1
                try:
                    await asyncio.to_thread(self.files.seal, record.id)
                    undo = self.files.erase
                    held = await self._store.add(record)
                finally:
                    self._accepting -= 1
            kept = held.id == record.id
            if kept:
                self._enqueue(self._adopt(record, _narrator(record), 0))
                self._announce()
            return _same_request(held, record)
        finally:
            if not kept:
                await asyncio.to_thread(undo, record.id)

    async def _held(self, record: JobRecord) -> JobRecord | None:
        if record.idempotency_key is None:
            return None
        return await self.by_key(record.owner, record.idempotency_key)

    def _adopt(self, record: JobRecord, narrator: Narrator, size: int) -> _Live:
        feed = Feed(self.files.events(record.id), narrator, size, self.files.add_events)
        live = self._live[record.id] = _Live(record, feed)
        return live

    def _enqueue(self, live: _Live) -> None:
        self._queue.put(live.record.id)
        self._more.set()
        if self._draining:
            self._say_goodbye(live)

    def _announce(self) -> None:
        """Tell each waiting job how many are ahead of it, where that changed."""
        for job_id, ahead in self._queue.positions():
            self._tell_position(self._live[job_id], ahead)

    def _tell_position(self, live: _Live, ahead: int) -> None:
        if live.position != ahead:
            live.position = ahead
            live.feed.tell(Event("queued", QUEUED_PROGRESS, {"position": ahead}, memory.snapshot()))

    # --- running ------------------------------------------------------------------------------------------

    async def _consume(self) -> None:
        while not self._draining:
            job_id = self._queue.take()
            if job_id is None:
                self._more.clear()
                await self._more.wait()
                continue
            live = self._live[job_id]
            last: Event | None = None
            try:
                last = await self._run(live)
            except Exception:
                # The queue must go on.
                log.exception("a job could not be run", extra={"job_id": job_id})
                self._settle_soon(live, failure(HoldcheckError.code, INTERNAL_DETAIL, memory.snapshot()))
            finally:
                self._pace.end(measured=last is not None and last.step == "complete")

    async def _run(self, live: _Live) -> Event | None:
        """Run a job until the engine has let go of it; answers its last event."""
        self._tell_position(live, 0)
        self._announce()
        record = live.record
        # In the store before the analysis begins: if it kills the process, that must be known.
        with suppress(Unavailable):
            await self._store.start(record.id, time.time())
        if live.cancelled:
            return None
        live.record = replace(record, status="running", attempts=record.attempts + 1)
        if self._stopping:
            await self._put_back(live)
            return None
        self._watch.began(record)
        photo = self.files.photo(record.id)
        job = Job(record.id, photo, record.wall_angle)
        analysis = live.analysis = live.context.run(self._engine.analyze, job)
        last = await self._relay(live, analysis)
        if last is not None:
            self._settle_soon(live, last)
        await analysis.aclose()
        self._watch.worker_free()
        if last is None and not live.cancelled:
            await self._put_back(live)
        return last

    async def _relay(self, live: _Live, analysis: Analysis) -> Event | None:
        """Pass the events on; answers the last, or None where the analysis was stopped."""
        try:
            async with asyncio.timeout(self._settings.job_timeout_s + _STUCK_S):
                async for event in analysis:
                    if event.step in ("complete", "error"):
                        return event
                    live.feed.tell(event)
                    if live.feed.error is not None:
                        return _refusal(live.feed.error)
        except TimeoutError:
            self._watch.worker_stuck()
            log.error("the analysis is stuck: its job is given up", extra={"job_id": live.record.id})
            detail = JobTimedOut.after(self._settings.job_timeout_s)
            return failure(JobTimedOut.code, detail, memory.snapshot())
        return None

    async def _put_back(self, live: _Live) -> None:
        """Stopped with the server: it was not the job's fault."""
        attempts = live.record.attempts - 1
        with suppress(Unavailable):
            await self._store.requeue(live.record.id, attempts=attempts)
        self._say_goodbye(live)

    # --- ending -------------------------------------------------------------------------------------------

    def _settle_soon(self, live: _Live, last: Event) -> None:
        """Beside the next analysis: a disk may take a quarter of a second."""
        if not live.cancelled and not live.settling:
            live.settling = True
            self._background(self._settle(live, last))

    async def _settle(self, live: _Live, last: Event) -> None:
        """Make the end durable, then show it."""
        try:
            if last.step == "complete":
                await asyncio.to_thread(self._write_result, live.record.id, last.data["result"])
            await self._end(live, last)
        except Unavailable as error:
            # The disk does not take the result: a short line may still fit.
            last = _refusal(error)
            try:
                await self._end(live, last)
            except Unavailable:
                await self._commit(live, last)
                live.feed.cut(last)
        self._part_with(live)

    async def _end(self, live: _Live, last: Event) -> None:
        await live.feed.end(last, lambda: self._commit(live, last))

    async def _commit(self, live: _Live, last: Event) -> None:
        """Note the end in the store; from then on nobody needs the photo."""
        self._watch.ended(live.record, last)
        outcome = self._outcome(last)
        while True:
            try:
                await self._store.finish(live.record.id, outcome)
                break
            except Unavailable:
                if self._draining:
                    return  # the next start reads the end from the log
                await asyncio.sleep(_STORE_RETRY_S)
        live.record = _with(live.record, outcome)
        await asyncio.to_thread(self.files.drop_photo, live.record.id)

    def _outcome(self, last: Event) -> Outcome:
        now = time.time()
        expires_at = now + self._settings.job_ttl_s
        if last.step == "complete":
            return Outcome("done", now, expires_at)
        return Outcome("failed", now, expires_at, last.data["code"], last.data["detail"])

    def _write_result(self, job_id: str, result: Any) -> None:
        self.files.write_result(
            job_id, json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode()
        )

    async def _cancel(self, live: _Live) -> None:
        live.cancelled = True
        self._watch.cancelled(live.record)
        record = live.record
        if self._queue.leave(record.id):
            self._announce()
        now = time.time()
        outcome = Outcome("cancelled", now, now + self._settings.job_ttl_s, JobCancelled.code, _CANCELLED)
        try:
            await self._store.finish(record.id, outcome)
        finally:
            live.record = _with(record, outcome)
            live.feed.cut(failure(JobCancelled.code, _CANCELLED, memory.snapshot()))
            live.over.set()
            self._background(self._erase_when_stopped(live, outcome))

    async def _erase_when_stopped(self, live: _Live, outcome: Outcome) -> None:
        if live.analysis is not None:
            await live.analysis.aclose()
        await live.feed.flush()
        await asyncio.to_thread(self.files.erase, live.record.id)
        with suppress(Unavailable):
            # Again, where a full disk did not take it: there is room now.
            await self._store.finish(live.record.id, outcome)
        self._part_with(live)

    def _part_with(self, live: _Live) -> None:
        del self._live[live.record.id]
        live.over.set()
        live.gone.set()

    async def _forget(self, record: JobRecord) -> None:
        """Delete a job that has ended. A cancelled one stays known as such until it expires."""
        if record.status == "cancelled":
            return
        try:
            await self._store.remove(record.id)
            await asyncio.to_thread(self.files.erase, record.id)
        except Unavailable:
            # A full disk cannot even be told to forget before there is room.
            await asyncio.to_thread(self.files.erase, record.id)
            await self._store.remove(record.id)

    # --- after a restart ----------------------------------------------------------------------------------

    async def _revive(self, record: JobRecord) -> None:
        last, size = await asyncio.to_thread(event_log.recover, self.files.events(record.id))
        end = _told_end(last)
        if end is not None:
            # It had ended, and only the store had not heard.
            with suppress(Unavailable):
                await self._store.finish(record.id, self._outcome(end))
            await asyncio.to_thread(self.files.drop_photo, record.id)
            return
        narrator = _narrator(record)
        narrator.resume(last, gap=not self._same_boot)
        live = self._adopt(record, narrator, size)
        if record.status == "running" and record.attempts >= MAX_ATTEMPTS:
            await self._set_aside(live)
            return
        if record.status == "running":
            with suppress(Unavailable):
                await self._store.requeue(record.id, attempts=record.attempts)
            live.record = replace(record, status="queued")
        log.info("a job is taken up again", extra={"job_id": record.id, "attempts": record.attempts})
        self._enqueue(live)

    async def _set_aside(self, live: _Live) -> None:
        attempts = live.record.attempts
        log.error("a job is set aside: the process died of it", extra={"job_id": live.record.id})
        detail = f"The server died {attempts} times during this analysis; it is not tried again."
        live.settling = True
        await self._settle(live, failure(JobCrashed.code, detail, memory.snapshot()))

    def _tidy(self, statuses: Mapping[str, Status]) -> None:
        """Finish what the last process had no time for: half uploads, cancellations, photos of ended jobs."""
        for job_id in self.files.job_ids():
            status = statuses.get(job_id, "cancelled")
            if status == "cancelled":
                self.files.erase(job_id)
            elif status in ("done", "failed"):
                self.files.drop_photo(job_id)

    # --- expiring -----------------------------------------------------------------------------------------

    async def _keep_sweeping(self) -> None:
        while True:
            with suppress(Unavailable):
                await self._sweep()
            await asyncio.sleep(min(self._settings.job_ttl_s, _SWEEP_EVERY_S))

    async def _sweep(self) -> None:
        for job_id in await self._store.expired(time.time()):
            if job_id in self._live:
                continue
            # The files first: that makes room where there is none. Nobody can ask for them any more.
            await asyncio.to_thread(self.files.erase, job_id)
            with suppress(Unavailable):
                await self._store.remove(job_id)

    # --- small things -------------------------------------------------------------------------------------

    def _say_goodbye_to_all(self) -> None:
        for live in self._live.values():
            self._say_goodbye(live)

    def _say_goodbye(self, live: _Live) -> None:
        if live.settling or live.cancelled:
            return
        detail = "The server is shutting down: your analysis goes on when it is back."
        live.feed.cut(failure(ShuttingDown.code, detail, memory.snapshot()))
        live.over.set()

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


_NO_SUCH_JOB = "There is no such job: it never was, has expired, or was deleted."
_CANCELLED = "The analysis was cancelled, and its photo and results are erased."


def _narrator(record: JobRecord) -> Narrator:
    return Narrator(record.id, record.language, record.created_at)


def _same_request(held: JobRecord, record: JobRecord) -> JobRecord:
    if (held.photo_sha256, held.wall_angle) != (record.photo_sha256, record.wall_angle):
        raise IdempotencyKeyReused("This Idempotency-Key came with another photo or wall_angle.")
    return held


def _with(record: JobRecord, outcome: Outcome) -> JobRecord:
    return replace(
        record,
        status=outcome.status,
        finished_at=outcome.at,
        expires_at=outcome.expires_at,
        error_code=outcome.error_code,
        error_message=outcome.error_message,
    )


def _refusal(error: Unavailable) -> Event:
    return failure(error.code, str(error), memory.snapshot())


def _told_end(last: Line | None) -> Event | None:
    """The end of which the log tells, where it does."""
    told = json.loads(last.json) if last else {}
    if told.get("step") == "complete":
        return Event("complete", 100, {}, memory.snapshot())
    return failure(told["code"], told["message"], memory.snapshot()) if told.get("step") == "error" else None
