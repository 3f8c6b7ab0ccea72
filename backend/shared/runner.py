"""Claims jobs, oldest first, and runs them, as many at once as this server's engine has places.

A job is held by its claim from the first event to the last. Where the claim is lost, because its owner
cancelled the job or another server took it up, the analysis stops and nothing more is written.
"""

import asyncio
import json
import logging
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.endings import outcome_of, refusal, result_json
from backend.engine import Analysis, Engine, Job
from backend.errors import INTERNAL_DETAIL, JobCrashed, MemoryShort, Unavailable
from backend.event_log import Line
from backend.events import QUEUED_PROGRESS, Event, Narrator, failure
from backend.jobs import MAX_ATTEMPTS, MEMORY_LOOK_S
from backend.logs import request_id_var
from backend.queue import Pace
from backend.relay import relay
from backend.settings import ServiceSettings
from backend.shared.claims import Claim, ClaimLost, Claims
from backend.shared.database import Bell
from backend.shared.events import EventRows
from backend.shared.feed import SharedFeed
from backend.shared.files import SharedFiles
from backend.shared.store import PostgresStore
from backend.threads import FileThreads
from backend.watch import Watch
from holdcheck import memory
from holdcheck.errors import HoldcheckError

log = logging.getLogger(__name__)

_AGAIN_S = 2.0
"""After the database or the files' store did not answer."""
_MOST_THREADS = 8
_RENEWALS = 4
"""In the time that a lease lasts."""


@dataclass(eq=False, slots=True)
class Run:
    """A job that this server has claimed."""

    claim: Claim
    feed: SharedFeed
    analysis: Analysis | None = None
    lost: bool = False
    """It is not ours any more."""
    settling: bool = False
    """Its end is being written."""

    @property
    def job_id(self) -> str:
        return self.claim.record.id

    @property
    def key(self) -> tuple[str, int]:
        return self.job_id, self.claim.number

    @property
    def name(self) -> str:
        """This server may claim a job again while it still stops the run that it lost."""
        return f"{self.job_id}-{self.claim.number}"


class Runner:
    """One server's part in running jobs. All calls on the event loop.

    Args:
        bell: of the queue's channel.
        pace: told when analyses begin and end.
        lease_s: how long a claim lasts that is not renewed.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        engine: Engine,
        store: PostgresStore,
        claims: Claims,
        rows: EventRows,
        files: SharedFiles,
        bell: Bell,
        watch: Watch,
        pace: Pace,
        lease_s: float,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._store = store
        self._claims = claims
        self._rows = rows
        self._files = files
        self._bell = bell
        self._watch = watch
        self._pace = pace
        self._lease_s = lease_s
        self._threads = FileThreads(min(engine.slots + 1, _MOST_THREADS), "run-files")
        self._runs: dict[tuple[str, int], Run] = {}
        self._starved: tuple[str, float] | None = None
        """A job that was given back for want of memory, and how many MiB it needs."""
        self._draining = False
        self._stopping = False
        self._consumers: list[asyncio.Task[None]] = []
        self._renewing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Claim and run jobs from now on."""
        self._renewing = asyncio.create_task(self._keep_renewing())
        self._consumers = [asyncio.create_task(self._consume()) for _ in range(self._engine.slots)]

    def runs(self, job_id: str) -> bool:
        """Whether it is this server that runs it."""
        return any(run.job_id == job_id for run in self._runs.values())

    def drain(self) -> None:
        """Claim no more; what runs may finish."""
        self._draining = True
        self._bell.ring_all()
        for run in self._runs.values():
            # Now already: should it not reach its next batch in time, that is no crash of its making.
            self._background(self._excuse(run.claim))

    async def stop(self) -> None:
        """Give back what runs, at its next batch; the caller bounds the wait for it."""
        self._stopping = True
        for run in list(self._runs.values()):
            if run.analysis is not None:
                await run.analysis.aclose()
        await asyncio.gather(*self._consumers)
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._renewing is not None:
            self._renewing.cancel()
            with suppress(asyncio.CancelledError):
                await self._renewing
        self._threads.close()

    # --- one job after the other --------------------------------------------------------------------------

    async def _consume(self) -> None:
        while not self._draining:
            rung = self._bell.expect("")
            try:
                if await self._still_starves():
                    await asyncio.sleep(MEMORY_LOOK_S)
                    continue
                claim = await self._claims.claim(self._store.now())
            except Unavailable:
                await asyncio.sleep(_AGAIN_S)
                continue
            if claim is not None:
                # One that was asked for before the signal may come after it.
                await (self._give_back(claim) if self._draining else self._attend(claim))
                continue
            self._watch.memory_back()
            # A lease that runs out rings no bell.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._lease_s / 2):
                    await rung.wait()

    async def _attend(self, claim: Claim) -> None:
        record = claim.record
        request_id_var.set(claim.request_id)
        narrator = Narrator(record.id, record.language, record.created_at)
        run = Run(claim, SharedFeed(self._rows, claim, narrator, self._lease_s))
        self._runs[run.key] = run
        self._pace.begin(run.name)
        last: Event | None = None
        try:
            told = await self._rows.last(record.id)
            narrator.resume(told, gap=False)
            last = await self._run(run, told)
        except ClaimLost:
            run.lost = True
        except Unavailable as error:
            await self._put_off(run, error)
        except Exception:
            # The queue must go on.
            log.exception("a job could not be run", extra={"job_id": record.id})
            self._settle_soon(run, failure(HoldcheckError.code, INTERNAL_DETAIL, memory.snapshot()))
        finally:
            self._pace.end(run.name, measured=last is not None and last.step == "complete")
            if not run.settling:
                await self._part_with(run)

    async def _run(self, run: Run, told: Line | None) -> Event | None:
        """Run a job until the engine has let go of it; answers its last event."""
        record, number = run.claim.record, run.claim.number
        if record.attempts > MAX_ATTEMPTS:
            log.error("a job is set aside: servers died of it", extra={"job_id": record.id})
            self._settle_soon(run, failure(JobCrashed.code, _CRASHED, memory.snapshot()))
            return None
        self._tell_beginning(run, told)
        losing = asyncio.create_task(self._wait_for_loss(run))
        last: Event | None = None
        try:
            photo = await self._photo(run)
            if photo is not None and await self._has_memory(run, photo) and not self._stopping:
                job = Job(record.id, photo, record.wall_angle, self._files.copy(record.id, number))
                last = await self._analyze(run, job)
        finally:
            losing.cancel()
        if last is None and not run.lost and not run.settling:
            await self._claims.release(run.claim)
        return last

    async def _photo(self, run: Run) -> Path | None:
        try:
            return await self._threads.run(self._files.fetch_photo, *run.key)
        except FileNotFoundError:
            # Its owner deleted it, and the database did not hear of it; or it was run elsewhere meanwhile.
            run.lost = True
            await self._claims.forget(run.claim)
            return None

    async def _analyze(self, run: Run, job: Job) -> Event | None:
        self._watch.began(run.claim.record)
        analysis = run.analysis = self._engine.analyze(job)
        last = await relay(job.id, analysis, run.feed, self._settings.job_timeout_s, self._watch)
        unwritten = run.feed.error if isinstance(run.feed.error, Unavailable) else None
        if last is not None and not (unwritten and last.step == "error"):
            self._settle_soon(run, last)
        await analysis.aclose()
        self._watch.worker_free()
        if unwritten and not run.settling:
            raise unwritten  # the photo is as good as it was
        return last

    def _tell_beginning(self, run: Run, told: Line | None) -> None:
        if run.claim.abandoned:
            log.warning("a job of a server that is gone is taken up", extra={"job_id": run.job_id})
            run.feed.tell(Event("retry", 0, {}, memory.snapshot()))
            return
        before = json.loads(told.json) if told is not None else {}
        if (before.get("step"), before.get("position")) != ("queued", 0):
            run.feed.tell(Event("queued", QUEUED_PROGRESS, {"position": 0}, memory.snapshot()))

    async def _has_memory(self, run: Run, photo: Path) -> bool:
        """Whether there is what the photo needs; where something else holds it, the job is given back."""
        needed_mib = await asyncio.to_thread(self._engine.needed_mib, photo)
        try:
            self._engine.ensure_memory(needed_mib)
        except MemoryShort as error:
            await asyncio.to_thread(memory.trim)
            self._starved = (run.job_id, needed_mib)
            if self._watch.memory_short(error) > self._settings.job_ttl_s:
                self._settle_soon(run, refusal(error))
            return False
        self._watch.memory_back()
        return True

    async def _still_starves(self) -> bool:
        """Whether the job that was given back still waits for memory here: the others are behind it."""
        if self._starved is None:
            return False
        job_id, needed_mib = self._starved
        try:
            self._engine.ensure_memory(needed_mib)
        except MemoryShort as error:
            await asyncio.to_thread(memory.trim)
            record = await self._store.get(job_id)
            waits = record is not None and record.status == "queued"
            if waits and self._watch.memory_short(error) <= self._settings.job_ttl_s:
                return True
        self._starved = None
        return False

    async def _put_off(self, run: Run, error: Unavailable) -> None:
        """The database or the files' store does not answer: the job waits, unless it has for long."""
        if self._store.now() > run.claim.record.created_at + self._settings.job_ttl_s:
            self._settle_soon(run, refusal(error))
        else:
            await self._give_back(run.claim)
        await asyncio.sleep(_AGAIN_S)

    # --- its end ------------------------------------------------------------------------------------------

    def _settle_soon(self, run: Run, last: Event) -> None:
        """Settle beside the next analysis: a store may be far away."""
        if not run.settling:
            run.settling = True
            self._background(self._settle(run, last))

    async def _settle(self, run: Run, last: Event) -> None:
        """Make the end durable, and then show it."""
        try:
            try:
                if last.step == "complete":
                    await self._threads.run(self._write_outputs, run, last.data["result"])
                await self._end(run, last)
            except Unavailable as error:
                # The files' store does not take the result; the database may take a short line.
                await self._end(run, refusal(error))
                with suppress(Unavailable):
                    await self._threads.run(self._files.drop_outputs, *run.key)
        except ClaimLost:
            with suppress(Unavailable):
                await self._clear_up(run)
        except Unavailable:
            log.error("an end could not be written: the job is run again", extra={"job_id": run.job_id})
        finally:
            await self._part_with(run)

    async def _end(self, run: Run, last: Event) -> None:
        await run.feed.end(last, outcome_of(last, self._settings.job_ttl_s, self._store.now()))
        self._watch.ended(run.claim.record, last)
        await self._drop_photo(run)

    async def _clear_up(self, run: Run) -> None:
        """Delete what was made under a claim that is lost: all, or where the job ended by it and only the
        answer got lost, the photo."""
        if await self._claims.ended(run.claim):
            await self._drop_photo(run)
        else:
            await self._threads.run(self._files.drop_outputs, *run.key)

    async def _drop_photo(self, run: Run) -> None:
        await self._threads.run(self._files.drop_photo, run.job_id)
        with suppress(Unavailable):
            await self._store.weigh(run.job_id, await self._threads.run(self._files.size, run.job_id))

    def _write_outputs(self, run: Run, result: Any) -> None:
        self._files.write_outputs(*run.key, result_json(result))

    async def _part_with(self, run: Run) -> None:
        self._watch.let_go(run.claim.record)
        await self._threads.run(self._files.discard_run, *run.key)
        self._runs.pop(run.key, None)

    # --- claims -------------------------------------------------------------------------------------------

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(self._lease_s / _RENEWALS)
            held = list(self._runs.values())
            try:
                left = await self._claims.renew([run.key for run in held])
            except Unavailable:
                continue  # the database has said so; nobody else can claim anything meanwhile either
            for run in held:
                if run.key not in left:
                    self._background(self._lose(run))

    async def _wait_for_loss(self, run: Run) -> None:
        """Stop at once where the job's owner cancels it, on whichever server; the renewals find the rest."""
        while True:
            rung = self._bell.expect(run.job_id)
            with suppress(Unavailable):
                if not await self._claims.holds(run.claim):
                    self._background(self._lose(run))
                    return
            await rung.wait()

    async def _lose(self, run: Run) -> None:
        run.lost = True
        if run.analysis is not None:
            await run.analysis.aclose()

    async def _give_back(self, claim: Claim) -> None:
        with suppress(Unavailable):
            await self._claims.release(claim)

    async def _excuse(self, claim: Claim) -> None:
        with suppress(Unavailable):
            await self._claims.excuse(claim)

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


_CRASHED = f"The servers died {MAX_ATTEMPTS} times during this analysis; it is not tried again."
