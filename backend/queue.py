"""One analysis at a time, first come, first served, on a thread of its own.

All bookkeeping happens on the event loop, all computing on the worker thread; what crosses between them is
finished events. Another engine, on other machines, only has to keep the Protocol.
"""

import asyncio
import contextvars
import gc
import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from backend.errors import INTERNAL_DETAIL, JobTimedOut, NotReady, QueueFull, ShuttingDown
from backend.events import QUEUED_PROGRESS, UPLOAD_PROGRESS, Event, Narrator
from backend.jobs import Job
from backend.logs import log_stage
from backend.settings import ServiceSettings
from holdcheck import memory, pipeline, registry
from holdcheck.errors import AnalysisCancelled, HoldcheckError
from holdcheck.registry import Models

log = logging.getLogger(__name__)

_BACKLOG = 64
"""Undelivered events past which a slow reader gets no more `clustering` ones. A job has about a dozen others,
so this bounds what it can pile up, and the worker never waits for a phone."""
_FIRST_GUESS_S = 5.0
_SMOOTHING = 0.2


class Analysis(Protocol):
    """The events of one job, an AsyncIterator. Closing it before its end cancels the job."""

    def __aiter__(self) -> AsyncIterator[Event]: ...

    async def __anext__(self) -> Event: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class QueueLoad:
    running: int
    waiting: int


class Engine(Protocol):
    """What runs analyses."""

    models: Models | None
    """None until they are loaded."""
    room_mb: float
    """What a decode may take at most, MiB: what is free when the models are loaded and nothing else runs."""

    async def start(self) -> None:
        """Load the models."""
        ...

    def admit(self) -> None:
        """Ask whether `analyze` would take a job now.

        Raises:
            Unavailable: NotReady, QueueFull or ShuttingDown.
        """
        ...

    def analyze(self, job: Job) -> Analysis:
        """Take a job. Failures come as an `error` event; raises only as `admit` does."""
        ...

    def load(self) -> QueueLoad: ...

    def drain(self) -> None:
        """Take no more jobs and end the waiting ones; the running one goes on."""
        ...

    async def stop(self) -> None:
        """End everything, at the running job's next batch; the caller bounds the wait for it."""
        ...


@dataclass(eq=False, slots=True)
class _Ticket:
    """A job in the house: its outbox, and what it was told."""

    engine: "InProcessEngine"
    job: Job
    narrator: Narrator
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    outbox: deque[Event] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    position: int | None = None
    deadline: float = math.inf
    cancelled: bool = False
    finished: bool = False

    def put(self, event: Event) -> None:
        self.outbox.append(event)
        self.wake.set()

    def finish(self) -> None:
        self.finished = True
        self.wake.set()

    def should_stop(self) -> bool:
        return self.cancelled or time.monotonic() > self.deadline

    def __aiter__(self) -> "_Ticket":
        return self

    async def __anext__(self) -> Event:
        while not self.outbox:
            if self.finished:
                raise StopAsyncIteration
            self.wake.clear()
            await self.wake.wait()
        return self.outbox.popleft()

    async def aclose(self) -> None:
        self.engine.leave(self)


class InProcessEngine:
    """The default engine: this process, one worker thread."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.models: Models | None = None
        self.room_mb = math.inf
        self._settings = settings
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._waiting: deque[_Ticket] = deque()
        self._running: _Ticket | None = None
        self._draining = False
        self._usual_s = _FIRST_GUESS_S

    async def start(self) -> None:
        """Load the models on the worker, so that /livez answers meanwhile."""
        loop = asyncio.get_running_loop()
        self.models = await loop.run_in_executor(self._worker, _load, self._settings)
        self.room_mb = memory.snapshot().available_mb

    def admit(self) -> None:
        if self._draining:
            raise ShuttingDown("The server is shutting down: try again in a moment.")
        if self.models is None:
            raise NotReady("The models are loading: try again in a moment.", 1)
        if not self.models.ready:
            raise NotReady(self.models.error_reason or "There is no detector.", 60)
        waiting = len(self._waiting)
        if self._running is not None and waiting >= self._settings.max_queue:
            wait_s = math.ceil(self._usual_s * (waiting + 1))
            raise QueueFull(f"{waiting} photos are waiting already: try again in about {wait_s} s.", wait_s)

    def analyze(self, job: Job) -> Analysis:
        self.admit()
        ticket = _Ticket(self, job, Narrator(job))
        self._waiting.append(ticket)
        if self._running is None:
            self._next()
        self._announce()
        return ticket

    def load(self) -> QueueLoad:
        return QueueLoad(running=int(self._running is not None), waiting=len(self._waiting))

    def leave(self, ticket: _Ticket) -> None:
        """The reader is gone: nobody wants the rest."""
        if ticket.finished:
            return
        ticket.cancelled = True
        if ticket in self._waiting:
            self._waiting.remove(ticket)
            ticket.finish()
            self._announce()

    def drain(self) -> None:
        self._draining = True
        while self._waiting:
            ticket = self._waiting.popleft()
            detail = "The server is shutting down: send the photo again."
            ticket.put(ticket.narrator.tell_error(ShuttingDown.code, detail, memory.snapshot()))
            ticket.finish()

    async def stop(self) -> None:
        self.drain()
        if self._running is not None:
            self._running.cancelled = True
        await asyncio.to_thread(self._worker.shutdown)

    def _announce(self) -> None:
        """Tell each waiting job how many are ahead of it, where that changed."""
        for ahead, ticket in enumerate(self._waiting, start=1):
            if ticket.position != ahead:
                ticket.position = ahead
                ticket.put(_queued(ticket, ahead))

    def _next(self) -> None:
        if not self._waiting:
            return
        ticket = self._running = self._waiting.popleft()
        ticket.put(_queued(ticket, 0))
        ticket.deadline = time.monotonic() + self._settings.job_timeout_s
        loop = asyncio.get_running_loop()
        loop.run_in_executor(self._worker, ticket.context.run, self._work, ticket, loop)

    def _done(self, ticket: _Ticket, took_s: float) -> None:
        self._usual_s += _SMOOTHING * (took_s - self._usual_s)
        ticket.finish()
        self._running = None
        self._next()
        self._announce()

    def _work(self, ticket: _Ticket, loop: asyncio.AbstractEventLoop) -> None:
        """On the worker thread: one job from its start to its end, whatever happens."""
        start = time.monotonic()
        try:
            last = self._attempt(ticket, loop)
            if last is not None:
                loop.call_soon_threadsafe(ticket.put, last)
            memory.trim()
        finally:
            # Without this the next job would wait for ever.
            loop.call_soon_threadsafe(self._done, ticket, time.monotonic() - start)

    def _attempt(self, ticket: _Ticket, loop: asyncio.AbstractEventLoop) -> Event | None:
        """Run the pipeline; answer the `error` event where it ended in one."""
        try:
            self._run_pipeline(ticket, loop)
        except AnalysisCancelled:
            if ticket.cancelled:
                log.info("the analysis was cancelled", extra={"job_id": ticket.job.id})
                return None
            detail = f"The analysis took longer than {self._settings.job_timeout_s:g} s and was ended."
            return self._failed(ticket, JobTimedOut.code, detail)
        except HoldcheckError as error:
            return self._failed(ticket, error.code, str(error))
        except Exception:
            log.exception("the analysis failed", extra={"job_id": ticket.job.id})
            return ticket.narrator.tell_error(HoldcheckError.code, INTERNAL_DETAIL, memory.snapshot())
        return None

    def _run_pipeline(self, ticket: _Ticket, loop: asyncio.AbstractEventLoop) -> None:
        assert self.models is not None
        job, narrator = ticket.job, ticket.narrator
        upload = narrator.tell("upload", UPLOAD_PROGRESS, {}, memory.snapshot())
        loop.call_soon_threadsafe(ticket.put, upload)
        for stage in pipeline.analyze(
            job.photo,
            self.models,
            self._settings,
            job_id=job.id,
            wall_angle=job.wall_angle,
            should_stop=ticket.should_stop,
        ):
            log_stage(job.id, stage)
            if stage.step == "clustering" and len(ticket.outbox) >= _BACKLOG:
                continue
            event = narrator.tell(stage.step, stage.progress, stage.data, stage.memory)
            loop.call_soon_threadsafe(ticket.put, event)

    def _failed(self, ticket: _Ticket, code: str, detail: str) -> Event:
        log.warning("the analysis failed: %s", detail, extra={"job_id": ticket.job.id, "code": code})
        return ticket.narrator.tell_error(code, detail, memory.snapshot())


def _load(settings: ServiceSettings) -> Models:
    models = registry.load(settings)
    # What is here now stays: collections, which stop every thread, need not look at it again.
    gc.collect()
    gc.freeze()
    gc.enable()
    memory.trim()
    return models


def _queued(ticket: _Ticket, ahead: int) -> Event:
    return ticket.narrator.tell("queued", QUEUED_PROGRESS, {"position": ahead}, memory.snapshot())
