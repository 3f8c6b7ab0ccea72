"""Every analysis is a job, on whichever server: any of them takes it, runs it, tells of it and erases it.

What `backend.jobs.Jobs` is to one server. What all know is in a Postgres and a store of files; a server that
dies leaves nothing behind that another one could not go on with.
"""

import asyncio
import json
import logging
import re
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from backend.blobs import open_blobs
from backend.endings import CANCELLED, cancellation
from backend.engine import Engine
from backend.errors import (
    JobCancelled,
    JobNotFound,
    ShuttingDown,
    Unavailable,
)
from backend.event_log import Line
from backend.events import QUEUED_PROGRESS, Event, Narrator, failure
from backend.job_files import is_ours
from backend.jobs import GOODBYE, LAST_WORDS_S, MEASURED, NO_SUCH_JOB, queue_full, require_able, same_request
from backend.logs import request_id_var
from backend.queue import Pace, QueueLoad
from backend.settings import ServiceSettings
from backend.shared.binding import bind
from backend.shared.board import Board
from backend.shared.claims import Claim, Claims
from backend.shared.database import EVENTS, QUEUE, Bell, Database, prepare
from backend.shared.events import EventRows
from backend.shared.feed import SharedFeed
from backend.shared.files import SharedFiles
from backend.shared.housekeeping import ROW_WITHIN_S, SharedHousekeeping
from backend.shared.runner import Runner
from backend.shared.store import PostgresStore, drop_row, is_done
from backend.store import JobRecord, Status
from backend.threads import FileThreads
from backend.watch import Watch
from holdcheck import memory

log = logging.getLogger(__name__)

_LEASE_S = 15.0
"""A server that says nothing for so long has lost its jobs to others."""
_THREADS = 4
_MOST_WAITING = 32
"""Requests that a store of files keeps waiting; the next is told that it is slow."""
_LOOK_S = 10.0
"""So often who waits for a job's end looks without a notice."""


_END = re.compile(rb'"step":"(complete|error)"')
_HEAD_BYTES = 128
"""Of an event, its job, number and step."""


@dataclass(eq=False, slots=True)
class _Waiting:
    """A job that was accepted here and waits: nobody else tells where it stands."""

    feed: SharedFeed
    position: int | None = None


class SharedJobs:
    """All jobs of all servers on one database. All calls on the event loop."""

    def __init__(
        self,
        settings: ServiceSettings,
        engine: Engine,
        database: Database,
        files: SharedFiles,
        watch: Watch,
    ) -> None:
        self.files = files
        self._settings = settings
        self._engine = engine
        self._watch = watch
        self._database = database
        self._queue_bell = Bell(database.url, QUEUE)
        self._board = Board(database, self._queue_bell, files.weighed)
        self._store = PostgresStore(database)
        self._events_bell = Bell(database.url, EVENTS)
        self._rows = EventRows(database, self._events_bell)
        self._pace = Pace(engine.slots)
        self._runner = Runner(
            settings,
            engine,
            self._store,
            Claims(database, str(uuid.uuid4()), _LEASE_S),
            self._rows,
            files,
            self._queue_bell,
            watch,
            self._pace,
            _LEASE_S,
        )
        self._housekeeping = SharedHousekeeping(settings.job_ttl_s, self._store, files)
        self._threads = FileThreads(_THREADS, "files", _MOST_WAITING)
        self._waiting: dict[str, _Waiting] = {}
        self._accepting = 0
        self._draining = False
        self._last_words = False

    # --- the service's life -------------------------------------------------------------------------------

    async def recover(self) -> None:
        """Look at what there is to do. Before the first request, and before the models are there."""
        self._pace.learn(await self._store.recent_durations(MEASURED))
        await self._board.look()
        self._board.start(self._announce)
        self._housekeeping.start()

    def start(self) -> None:
        """Run jobs from now on: the models are loaded."""
        self._runner.start()

    def drain(self, grace_s: float) -> None:
        """Take and claim no more jobs; those that run here go on. All other streams go to another server."""
        if self._draining:
            return
        self._draining = True
        self._runner.drain()
        self._events_bell.ring_all()
        delay_s = max(0.0, grace_s - LAST_WORDS_S)
        asyncio.get_running_loop().call_later(delay_s, self._say_goodbye_to_all)

    async def stop(self) -> None:
        """Give back the jobs that run, at their next batch; the caller bounds the wait for it."""
        self.drain(0)
        self._housekeeping.stop()
        await self._runner.stop()
        self._say_goodbye_to_all()
        await self._board.stop()
        await self._queue_bell.close()
        await self._events_bell.close()
        await self._database.close()
        self._threads.close()

    # --- what requests ask --------------------------------------------------------------------------------

    def admit(self) -> None:
        """Ask whether `submit` would take a job now, by the latest look at the queue.

        Raises:
            Unavailable: NotReady, MemoryShort, QueueFull or ShuttingDown.
        """
        require_able(self._engine, self._watch, draining=self._draining)
        if self._board.load.waiting + self._accepting >= self._most_waiting:
            raise queue_full(self._board.load.waiting, self._pace)

    async def submit(self, record: JobRecord) -> JobRecord:
        """Take a job whose photo lies here; answers the one that has its idempotency key, if any.

        From here on the photo is ours, whatever becomes of the caller.

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
        record = await self._store.get(job_id)
        if record is None or record.owner != owner:
            raise JobNotFound(NO_SUCH_JOB)
        return record

    async def by_key(self, owner: str, idempotency_key: str) -> JobRecord | None:
        return await self._store.by_key(owner, idempotency_key)

    def position(self, job_id: str) -> int | None:
        """How many analyses are ahead of it; None where it does not wait."""
        return self._board.waiting.get(job_id)

    def load(self) -> QueueLoad:
        """What all servers together have to do."""
        return self._board.load

    @property
    def running_here(self) -> int:
        """Analyses that this server runs."""
        return self._pace.running

    def trouble(self) -> str | None:
        """What keeps this server from taking photos, beside its own part in it."""
        return self._board.trouble

    async def counts(self) -> dict[Status, int]:
        """How many jobs the store has of each status."""
        return await self._store.counts()

    async def follow(self, job_id: str, after: int) -> AsyncGenerator[Line, None]:
        """The events after the one numbered `after`, to the job's end or this process's.

        Raises:
            LastEventIdInvalid: no event had that number.
            JobNotFound, JobCancelled: it was deleted, has expired or was cancelled meanwhile.
        """
        record = await self._store.get(job_id)
        if record is None:
            raise JobNotFound(NO_SUCH_JOB)
        if record.status == "cancelled":
            raise JobCancelled(record.error_message)
        lines = await self._rows.read(job_id, after, lambda: self._leaves(job_id))
        if record.ended:
            return lines
        narrator = Narrator(job_id, record.language, record.created_at)
        narrator.resume(await self._rows.last(job_id), gap=False)
        narrator.seq = after
        return self._with_last_word(narrator, lines)

    async def open_result(self, record: JobRecord) -> BinaryIO:
        """The result of a job that is done, as JSON.

        Raises:
            JobNotFound: it expired or was deleted meanwhile.
        """
        claim = await self._store.claim_of(record.id)
        if claim is not None:
            with suppress(FileNotFoundError):
                return await self._threads.run(self.files.open_result, record.id, claim)
        raise JobNotFound(NO_SUCH_JOB)

    async def open_corrections(self, record: JobRecord) -> BinaryIO:
        """What was put right about its result, as JSON.

        Raises:
            FileNotFoundError: nothing was.
        """
        return await self._threads.run(self.files.open_corrections, record.id)

    async def write_corrections(self, record: JobRecord, document: bytes, *, share: bool) -> None:
        """Keep what was put right about the result of a job that is done.

        Raises:
            JobNotFound: it expired or was deleted meanwhile.
            StorageFull, StorageUnavailable: the store does not take it.
        """
        load = self.load()
        shared_by = record.owner if share else None

        async def write(connection: Any) -> None:
            if not await is_done(connection, record.id):
                raise JobNotFound(NO_SUCH_JOB)
            await self._threads.run(
                self.files.write_corrections, record.id, document, shared_by, load.running + load.waiting
            )

        await self._store.alone(record.id, write)
        await self._store.weigh(record.id, await self._threads.run(self.files.size, record.id))

    async def wait(self, job_id: str) -> None:
        """Return when the job has ended, or this process is about to."""
        while not self._leaves(job_id):
            rung = self._events_bell.expect(job_id)
            with suppress(Unavailable):  # the database has said so; the job goes on
                record = await self._store.get(job_id)
                if record is None or record.ended:
                    return
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await rung.wait()

    async def delete(self, record: JobRecord) -> None:
        """Cancel the job where it has not ended, and erase all of it.

        Raises:
            StorageFull, StorageUnavailable: the database or the files' store could not be told.
        """
        if record.status == "cancelled" or await self._cancel(record):
            return

        async def forget(connection: Any) -> None:
            await drop_row(connection, record.id)
            await self._threads.run(self.files.erase, record.id)

        await self._store.alone(record.id, forget)

    async def forget_shared(self, job_id: str, owner: str) -> bool:
        """Erase what was kept for training from a job that has expired; False where nothing was."""
        if not is_ours(job_id):
            return False

        async def forget(_connection: Any) -> bool:
            return await self._threads.run(self.files.erase_shared, job_id, owner)

        # Else a server that is keeping it would put back what is erased here.
        return await self._store.alone(job_id, forget)

    # --- accepting ----------------------------------------------------------------------------------------

    @property
    def _most_waiting(self) -> int:
        """On all servers together, while those places for analyses that are free here are for the first."""
        return self._settings.max_queue + max(0, self._engine.slots - self._pace.running)

    async def _accept(self, record: JobRecord) -> JobRecord:
        try:
            held = await self._held(record)
            if held is None:
                self.admit()
                held = await self._add(record)
            if held.id == record.id:
                await self._show(record)
            return same_request(held, record)
        finally:
            await asyncio.to_thread(self.files.discard, record.id)

    async def _held(self, record: JobRecord) -> JobRecord | None:
        if record.idempotency_key is None:
            return None
        return await self.by_key(record.owner, record.idempotency_key)

    async def _add(self, record: JobRecord) -> JobRecord:
        self._accepting += 1
        try:
            until = time.time() + ROW_WITHIN_S
            size = await self._threads.run(self.files.seal, record.id)
            # Where its answer is lost nobody can tell whether it is a job: its photo stays, for if it is one.
            # What is none is tidied away.
            held = await self._store.add_within(record, size, request_id_var.get(), self._most_waiting, until)
        finally:
            self._accepting -= 1
        if held is None or held.id != record.id:
            with suppress(Unavailable):
                await self._threads.run(self.files.erase, record.id)
        if held is None:
            raise queue_full(self._board.load.waiting, self._pace)
        return held

    async def _show(self, record: JobRecord) -> None:
        """Tell the new job where it stands, before anybody asks."""
        narrator = Narrator(record.id, record.language, record.created_at)
        feed = SharedFeed(self._rows, Claim(record, 0, abandoned=False), narrator, _LEASE_S)
        self._waiting[record.id] = _Waiting(feed)
        with suppress(Unavailable):
            await self._board.look()
        self._announce()

    def _announce(self) -> None:
        """Tell each job that was accepted here how many are ahead of it, where that changed."""
        usage = None
        for job_id, mine in list(self._waiting.items()):
            ahead = self._board.waiting.get(job_id)
            if ahead is None or mine.feed.error is not None:
                del self._waiting[job_id]  # who runs it tells the rest
            elif ahead != mine.position:
                mine.position = ahead
                usage = usage or memory.snapshot()  # a look into a dozen files: one for all
                mine.feed.tell(Event("queued", QUEUED_PROGRESS, {"position": ahead}, usage))

    # --- streams, and their ends --------------------------------------------------------------------------

    async def _with_last_word(
        self, narrator: Narrator, lines: AsyncGenerator[Line, None]
    ) -> AsyncGenerator[Line, None]:
        """The lines, and where they end before the job does, why: a word that is not kept."""
        last: Line | None = None
        ended = False
        async for line in lines:
            narrator.seq = line.seq
            ended = ended or (line.begins and _is_end(line))
            last = line if line.begins and line.ends else last
            yield line
        if ended:
            return  # whatever became of the job since, it was answered
        record = await self._store.get(narrator.job_id)
        if last is not None:
            told = json.loads(last.json)
            narrator.progress = max(narrator.progress, told["progress"])
            narrator.elapsed_ms = max(narrator.elapsed_ms, told["elapsed_ms"])
        if record is None or record.status == "cancelled":
            yield narrator.aside(failure(JobCancelled.code, CANCELLED, memory.snapshot()))
        elif not record.ended:
            yield narrator.aside(failure(ShuttingDown.code, GOODBYE, memory.snapshot()))

    def _leaves(self, job_id: str) -> bool:
        """Whether this process tells no more of a job."""
        return self._draining and (self._last_words or not self._runner.runs(job_id))

    def _say_goodbye_to_all(self) -> None:
        self._last_words = True
        self._events_bell.ring_all()

    async def _cancel(self, record: JobRecord) -> bool:
        """End a job that its owner no longer wants, for everybody who listens; False where it has ended."""
        if record.ended:
            return False
        try:
            cancelled = await self._store.finish(
                record.id, cancellation(self._settings.job_ttl_s, self._store.now())
            )
        except Unavailable:
            await self._threads.run(self.files.erase, record.id)
            raise
        if cancelled:
            self._watch.cancelled(record)
            await self._threads.run(self.files.erase, record.id)
            with suppress(Unavailable):
                await self._board.look()
            self._announce()
        return cancelled


def _is_end(line: Line) -> bool:
    """By its first bytes: a result comes in parts."""
    return _END.search(line.json[:_HEAD_BYTES]) is not None


def open_shared_jobs(settings: ServiceSettings, engine: Engine, watch: Watch, spool: Path) -> SharedJobs:
    """The jobs of the database and the store of files that the settings name. Outside of an event loop.

    Raises:
        StoreUnusable: the database cannot be used, or not with this store of files, and why.
        StorageUnavailable: the store of files cannot.
    """
    url = settings.database_url.get_secret_value()
    asyncio.run(prepare(url))
    blobs = open_blobs(settings.data_url, spool)
    files = SharedFiles(
        blobs,
        spool,
        settings.max_data_bytes,
        store_id=asyncio.run(bind(url, blobs, settings.data_url)),
        keeps_corrections=settings.keep_corrections,
    )
    return SharedJobs(settings, engine, Database(url), files, watch)
