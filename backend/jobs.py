"""Every analysis is a job: accepted once, answered once, whoever listens and however often the process dies.

A job is in the store before anybody hears that it was accepted, and its last event is on the disk before
anybody hears that it has ended. What lies between is done again after a crash.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace
from typing import BinaryIO

from backend import event_log
from backend.endings import Endings, refusal
from backend.engine import Engine, Job, not_loaded
from backend.errors import (
    INTERNAL_DETAIL,
    IdempotencyKeyReused,
    JobCrashed,
    JobNotFound,
    MemoryShort,
    QueueFull,
    ShuttingDown,
    Unavailable,
    title_of,
)
from backend.event_log import Line
from backend.events import QUEUED_PROGRESS, Event, Narrator, failure
from backend.feed import Feed, replay
from backend.housekeeping import Housekeeping
from backend.job_files import JobFiles
from backend.live import Live
from backend.messages import Language
from backend.queue import Pace, Queue, QueueLoad
from backend.relay import relay
from backend.settings import ServiceSettings
from backend.store import JobRecord, JobStore, Status
from backend.stored_document import open_stored
from backend.watch import Watch
from holdcheck import memory
from holdcheck.errors import HoldcheckError

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 2
"""A job that was running this often when the process died is not tried again: it may be what killed it."""
LAST_WORDS_S = 1.0
"""Before the grace time is over, so that open streams still hear where to resume."""
MEMORY_LOOK_S = 0.5
"""So often a job that waits for memory looks whether it is back."""
MEASURED = 10


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
        self._pace = Pace(engine.slots)
        self._queue = Queue(self._pace)
        self._live: dict[str, Live] = {}
        self._accepting = 0
        self._draining = False
        self._more = asyncio.Event()
        self._consumers: list[asyncio.Task[None]] = []
        self._endings = Endings(settings, store, files, self._live, watch)
        self._housekeeping = Housekeeping(settings.job_ttl_s, store, files, self._live)

    # --- the service's life -------------------------------------------------------------------------------

    async def recover(self) -> None:
        """Take up what the last process left. Before the first request, and before the models are there."""
        await self._housekeeping.tidy()
        self._pace.learn(await self._store.recent_durations(MEASURED))
        for record in await self._store.unfinished():
            await self._revive(record)
        self._announce()
        self._housekeeping.start()

    def start(self) -> None:
        """Run jobs from now on: the models are loaded."""
        self._consumers = [asyncio.create_task(self._consume()) for _ in range(self._engine.slots)]

    def drain(self, grace_s: float) -> None:
        """Take no more jobs; the running one goes on. Streams are told to come back after the restart."""
        self._draining = True
        self._endings.hurry()
        self._more.set()
        for job_id, _ in self._queue.positions():
            self._say_goodbye(self._live[job_id])
        for live in self._live.values():
            if live.analysis is not None:
                # Now already: should it not reach its next batch in time, that is no crash of its making.
                self._endings.background(self._put_back(live))
        delay_s = max(0.0, grace_s - LAST_WORDS_S)
        asyncio.get_running_loop().call_later(delay_s, self._say_goodbye_to_all)

    async def stop(self) -> None:
        """Put the running job back, at its next batch; the caller bounds the wait for it."""
        self.drain(0)
        self._housekeeping.stop()
        for live in list(self._live.values()):
            if live.analysis is not None:
                await live.analysis.aclose()
        await asyncio.gather(*self._consumers)
        await self._endings.finish()
        for live in self._live.values():
            await live.feed.flush()
        await self._store.close()

    # --- what requests ask --------------------------------------------------------------------------------

    def admit(self) -> None:
        """Ask whether `submit` would take a job now.

        Raises:
            Unavailable: NotReady, MemoryShort, QueueFull or ShuttingDown.
        """
        require_able(self._engine, self._watch, draining=self._draining)
        waiting = len(self._queue) + self._accepting
        if waiting + self._pace.running >= self._settings.max_queue + self._engine.slots:
            raise queue_full(waiting, self._pace)

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
            raise JobNotFound(NO_SUCH_JOB)
        return record

    async def by_key(self, owner: str, idempotency_key: str) -> JobRecord | None:
        return await self._store.by_key(owner, idempotency_key)

    def position(self, job_id: str) -> int | None:
        """How many analyses are ahead of it; None where it does not wait."""
        return self._queue.position(job_id)

    def load(self) -> QueueLoad:
        return QueueLoad(running=self._pace.running, waiting=len(self._queue))

    @property
    def running_here(self) -> int:
        """Analyses that this server runs."""
        return self._pace.running

    def trouble(self) -> str | None:
        """What keeps this server from taking photos, beside its own part in it: nothing."""
        return None

    async def counts(self) -> dict[Status, int]:
        """How many jobs the store has of each status."""
        return await self._store.counts()

    async def follow(self, job_id: str, after: int) -> AsyncGenerator[Line, None]:
        """The events after the one numbered `after`, to the job's end or this process's.

        Raises:
            LastEventIdInvalid: no event had that number; of a job that has ended, with the first event.
        """
        live = self._live.get(job_id)
        return live.feed.read(after) if live is not None else replay(self.files.events(job_id), after)

    async def open_result(self, record: JobRecord) -> BinaryIO:
        """The result of a job that is done, as JSON.

        Raises:
            JobNotFound: it expired or was deleted meanwhile.
        """
        try:
            return await open_stored(self.files.result(record.id))
        except FileNotFoundError:
            raise JobNotFound(NO_SUCH_JOB) from None

    async def open_corrections(self, record: JobRecord) -> BinaryIO:
        """What was put right about its result, as JSON.

        Raises:
            FileNotFoundError: nothing was.
        """
        return await open_stored(self.files.corrections(record.id))

    async def write_corrections(self, record: JobRecord, document: bytes, *, share: bool) -> None:
        """Keep what was put right about the result of a job that is done.

        Raises:
            JobNotFound: it expired or was deleted meanwhile.
            StorageFull, StorageUnavailable: the disk does not take it.
        """
        load = self.load()
        shared_by = record.owner if share else None
        try:
            await asyncio.to_thread(
                self.files.write_corrections, record.id, document, shared_by, load.running + load.waiting
            )
        except FileNotFoundError:
            raise JobNotFound(NO_SUCH_JOB) from None

    async def wait(self, job_id: str) -> None:
        """Return when the job has ended, or cannot end in this process."""
        live = self._live.get(job_id)
        if live is not None:
            await live.over.wait()

    async def delete(self, record: JobRecord) -> None:
        """Cancel the job where it has not ended, and erase all of it.

        Raises:
            StorageFull, StorageUnavailable: the store could not be told; its files are erased nevertheless.
        """
        live = self._live.get(record.id)
        if live is not None and live.settling:
            await self._endings.forget_settling(live)
        elif live is None:
            await self._endings.forget(record)
        elif not live.cancelled:
            if self._queue.leave(record.id):
                self._more.set()
                self._announce()
            await self._endings.cancel(live)

    async def forget_shared(self, job_id: str, owner: str) -> bool:
        """Erase what was kept for training from a job that has expired; False where nothing was."""
        return await asyncio.to_thread(self.files.erase_shared, job_id, owner)

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
            return same_request(held, record)
        finally:
            if not kept:
                await asyncio.to_thread(undo, record.id)

    async def _held(self, record: JobRecord) -> JobRecord | None:
        if record.idempotency_key is None:
            return None
        return await self.by_key(record.owner, record.idempotency_key)

    def _adopt(self, record: JobRecord, narrator: Narrator, size: int) -> Live:
        feed = Feed(self.files.events(record.id), narrator, size, self.files.add_events)
        live = self._live[record.id] = Live(record, feed)
        return live

    def _enqueue(self, live: Live) -> None:
        self._queue.put(live.record.id)
        self._more.set()
        if self._draining:
            self._say_goodbye(live)

    def _announce(self) -> None:
        """Tell each waiting job how many are ahead of it, where that changed."""
        moved = [(self._live[job_id], ahead) for job_id, ahead in self._queue.positions()]
        self._tell_positions([(live, ahead) for live, ahead in moved if live.position != ahead])

    def _tell_positions(self, moved: list[tuple[Live, int]]) -> None:
        if not moved:
            return
        usage = memory.snapshot()  # a look into a dozen files: one for all
        for live, ahead in moved:
            live.position = ahead
            live.feed.tell(Event("queued", QUEUED_PROGRESS, {"position": ahead}, usage))

    # --- running ------------------------------------------------------------------------------------------

    async def _consume(self) -> None:
        while (live := await self._next()) is not None:
            job_id = live.record.id
            last: Event | None = None
            try:
                last = await self._run(live)
            except Exception:
                # The queue must go on.
                log.exception("a job could not be run", extra={"job_id": job_id})
                self._endings.settle_soon(
                    live, failure(HoldcheckError.code, INTERNAL_DETAIL, memory.snapshot())
                )
            finally:
                self._pace.end(job_id, measured=last is not None and last.step == "complete")

    async def _next(self) -> Live | None:
        """Take the job that runs now, once there is one and memory for it; None at the server's end."""
        while not self._draining:
            self._more.clear()
            job_id = self._queue.first()
            if job_id is None:
                self._watch.memory_back()
                await self._more.wait()
                continue
            live = self._live[job_id]
            short = await self._memory_short(live)
            if self._draining or self._queue.first() != job_id:
                continue
            if short is None:
                self._watch.memory_back()
                self._queue.take()
                return live
            if self._watch.memory_short(short) > self._settings.job_ttl_s:
                self._queue.leave(job_id)
                self._endings.settle_soon(live, refusal(short))
                self._announce()
                continue
            await self._pause(MEMORY_LOOK_S)
        return None

    async def _memory_short(self, live: Live) -> MemoryShort | None:
        """Why a job has to wait: something else holds the memory that it needs. None where it need not."""
        if live.needed_mib is None:
            photo = self.files.photo(live.record.id)
            live.needed_mib = await asyncio.to_thread(self._engine.needed_mib, photo)
        try:
            self._engine.ensure_memory(live.needed_mib)
        except MemoryShort as error:
            # What we hold and do not need is the first to go back.
            await asyncio.to_thread(memory.trim)
            return error
        return None

    async def _pause(self, most_s: float) -> None:
        """Until something happens to the queue, but not for longer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self._more.wait()

    async def _run(self, live: Live) -> Event | None:
        """Run a job until the engine has let go of it; answers its last event."""
        if live.position != 0:
            self._tell_positions([(live, 0)])
        self._announce()
        record = live.record
        # In the store before the analysis begins: if it kills the process, that must be known.
        with suppress(Unavailable):
            await self._store.start(record.id, time.time())
        if live.cancelled:
            return None
        live.record = replace(record, status="running", attempts=record.attempts + 1)
        if self._draining:
            await self._put_back(live)
            self._say_goodbye(live)
            return None
        self._watch.began(record)
        photo = self.files.photo(record.id)
        copy_to = self.files.copy(record.id) if self._settings.keep_corrections else None
        job = Job(record.id, photo, record.wall_angle, copy_to)
        analysis = live.analysis = live.context.run(self._engine.analyze, job)
        last = await relay(live.record.id, analysis, live.feed, self._settings.job_timeout_s, self._watch)
        if last is not None:
            self._endings.settle_soon(live, last)
        await analysis.aclose()
        self._watch.worker_free()
        if last is None and not live.cancelled:
            self._say_goodbye(live)
        return last

    async def _put_back(self, live: Live) -> None:
        """Queued for the next start, unless it still ends in this process: this attempt does not count."""
        with suppress(Unavailable):
            await self._store.requeue(live.record.id, attempts=live.record.attempts - 1)

    # --- after a restart ----------------------------------------------------------------------------------

    async def _revive(self, record: JobRecord) -> None:
        last, size = await asyncio.to_thread(event_log.recover, self.files.events(record.id))
        end = _told_end(last, record.language)
        if end is not None:
            await self._endings.note(record, end)
            return
        if not await asyncio.to_thread(self.files.photo(record.id).exists):
            # Its owner deleted it, and the disk was too full for the store to hear of it.
            with suppress(Unavailable):
                await self._endings.forget(record)
            return
        narrator = _narrator(record)
        narrator.resume(last, gap=not self._same_boot)
        live = self._adopt(record, narrator, size)
        if record.status == "running" and record.attempts >= MAX_ATTEMPTS:
            self._set_aside(live)
            return
        if record.status == "running":
            with suppress(Unavailable):
                await self._store.requeue(record.id, attempts=record.attempts)
            live.record = replace(record, status="queued")
        log.info("a job is taken up again", extra={"job_id": record.id, "attempts": record.attempts})
        self._enqueue(live)

    def _set_aside(self, live: Live) -> None:
        attempts = live.record.attempts
        log.error("a job is set aside: the process died of it", extra={"job_id": live.record.id})
        detail = f"The server died {attempts} times during this analysis; it is not tried again."
        # Beside the start: a full disk takes no end, and who makes room wants to ask the server meanwhile.
        self._endings.settle_soon(live, failure(JobCrashed.code, detail, memory.snapshot()))

    # --- small things -------------------------------------------------------------------------------------

    def _say_goodbye_to_all(self) -> None:
        for live in self._live.values():
            self._say_goodbye(live)

    def _say_goodbye(self, live: Live) -> None:
        if live.settling or live.cancelled:
            return
        live.feed.cut(failure(ShuttingDown.code, GOODBYE, memory.snapshot()))
        live.over.set()


GOODBYE = "The server is shutting down: your analysis goes on when it is back."
NO_SUCH_JOB = "There is no such job: it never was, has expired, or was deleted."


def _narrator(record: JobRecord) -> Narrator:
    return Narrator(record.id, record.language, record.created_at)


def require_able(engine: Engine, watch: Watch, *, draining: bool) -> None:
    """Refuse photos that this server would not analyse, however short the queue is.

    Raises:
        Unavailable: NotReady, MemoryShort or ShuttingDown.
    """
    if draining:
        raise ShuttingDown("The server is shutting down: try again in a moment.")
    missing = not_loaded(engine.models)
    if missing is not None:
        raise missing
    watch.require_free_worker()
    watch.require_memory()


def queue_full(waiting: int, pace: Pace) -> QueueFull:
    """The refusal of one more photo where so many wait."""
    wait_s = pace.retry_after_s(waiting)
    return QueueFull(f"{waiting} photos are waiting already: try again in about {wait_s} s.", wait_s)


def same_request(held: JobRecord, record: JobRecord) -> JobRecord:
    if (held.photo_sha256, held.wall_angle) != (record.photo_sha256, record.wall_angle):
        raise IdempotencyKeyReused("This Idempotency-Key came with another photo or wall_angle.")
    return held


def _told_end(last: Line | None, language: Language) -> Event | None:
    """The end of which the log tells, where it does."""
    told = json.loads(last.json) if last else {}
    if told.get("step") == "complete":
        return Event("complete", 100, {}, memory.snapshot())
    if told.get("step") != "error":
        return None
    # The log has the message in the job's language only; the store's is English.
    detail = told["message"] if language == "en" else f"{title_of(told['code'])}."
    return failure(told["code"], detail, memory.snapshot())
