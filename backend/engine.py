"""What runs an analysis: in this process on a thread of its own, one at a time.

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
from pathlib import Path
from typing import Protocol

from backend.errors import INTERNAL_DETAIL, JobTimedOut
from backend.events import UPLOAD_PROGRESS, Event, failure
from backend.logs import log_stage
from backend.settings import ServiceSettings
from holdcheck import memory, pipeline, registry
from holdcheck.errors import AnalysisCancelled, HoldcheckError
from holdcheck.registry import Models
from holdcheck.result import WallAngle

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """What an engine needs to know. Plain values: it may cross to another process."""

    id: str
    photo: Path
    wall_angle: WallAngle | None = None


class Analysis(Protocol):
    """The events of one job, an AsyncIterator: the last is `complete` or `error`, unless it was closed."""

    def __aiter__(self) -> AsyncIterator[Event]: ...

    async def __anext__(self) -> Event: ...

    async def aclose(self) -> None:
        """Stop the analysis at its next batch, and wait until it has let go of the photo."""
        ...


class Engine(Protocol):
    """What runs analyses."""

    models: Models | None
    """None until they are loaded."""
    room_mb: float
    """What a decode may take at most, MiB: what is free when the models are loaded and nothing else runs."""

    async def start(self) -> None:
        """Load the models."""
        ...

    def analyze(self, job: Job) -> Analysis:
        """Run a job. Failures come as an `error` event."""
        ...

    async def stop(self) -> None:
        """End everything; no analysis is running."""
        ...


@dataclass(eq=False, slots=True)
class _Run:
    """One analysis under way: its outbox, and whether it shall stop."""

    job: Job
    timeout_s: float
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    outbox: deque[Event] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    deadline: float = math.inf
    closed: bool = False

    def put(self, event: Event) -> None:
        self.outbox.append(event)
        self.wake.set()

    def leave(self) -> None:
        self.gone.set()
        self.wake.set()

    def should_stop(self) -> bool:
        return self.closed or time.monotonic() > self.deadline

    def __aiter__(self) -> "_Run":
        return self

    async def __anext__(self) -> Event:
        while not self.outbox:
            if self.gone.is_set():
                raise StopAsyncIteration
            self.wake.clear()
            await self.wake.wait()
        return self.outbox.popleft()

    async def aclose(self) -> None:
        self.closed = True
        await self.gone.wait()


class InProcessEngine:
    """The default engine: this process, one worker thread."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.models: Models | None = None
        self.room_mb = math.inf
        self._settings = settings
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="inference")

    async def start(self) -> None:
        """Load the models on the worker, so that /livez answers meanwhile."""
        loop = asyncio.get_running_loop()
        self.models = await loop.run_in_executor(self._worker, _load, self._settings)
        self.room_mb = memory.snapshot().available_mb

    def analyze(self, job: Job) -> Analysis:
        run = _Run(job, self._settings.job_timeout_s)
        loop = asyncio.get_running_loop()
        loop.run_in_executor(self._worker, run.context.run, self._work, run, loop)
        return run

    async def stop(self) -> None:
        await asyncio.to_thread(self._worker.shutdown)

    def _work(self, run: _Run, loop: asyncio.AbstractEventLoop) -> None:
        """On the worker thread: one job from its start to its end, whatever happens."""
        run.deadline = time.monotonic() + run.timeout_s
        try:
            last = self._attempt(run, loop)
            if last is not None:
                loop.call_soon_threadsafe(run.put, last)
            memory.trim()
        finally:
            # Without this the next job would wait for ever.
            loop.call_soon_threadsafe(run.leave)

    def _attempt(self, run: _Run, loop: asyncio.AbstractEventLoop) -> Event | None:
        """Run the pipeline; answer the `error` event where it ended in one."""
        try:
            self._run_pipeline(run, loop)
        except AnalysisCancelled:
            if run.closed:
                log.info("the analysis was stopped", extra={"job_id": run.job.id})
                return None
            return _failed(run.job, JobTimedOut.code, JobTimedOut.after(run.timeout_s))
        except HoldcheckError as error:
            return _failed(run.job, error.code, str(error))
        except Exception:
            log.exception("the analysis failed", extra={"job_id": run.job.id})
            return failure(HoldcheckError.code, INTERNAL_DETAIL, memory.snapshot())
        return None

    def _run_pipeline(self, run: _Run, loop: asyncio.AbstractEventLoop) -> None:
        assert self.models is not None
        job = run.job
        loop.call_soon_threadsafe(run.put, Event("upload", UPLOAD_PROGRESS, {}, memory.snapshot()))
        for stage in pipeline.analyze(
            job.photo,
            self.models,
            self._settings,
            job_id=job.id,
            wall_angle=job.wall_angle,
            should_stop=run.should_stop,
        ):
            log_stage(job.id, stage)
            event = Event(stage.step, stage.progress, stage.data, stage.memory)
            loop.call_soon_threadsafe(run.put, event)


def _failed(job: Job, code: str, detail: str) -> Event:
    log.warning("the analysis failed: %s", detail, extra={"job_id": job.id, "code": code})
    return failure(code, detail, memory.snapshot())


def _load(settings: ServiceSettings) -> Models:
    models = registry.load(settings)
    # What is here now stays: collections, which stop every thread, need not look at it again.
    gc.collect()
    gc.freeze()
    gc.enable()
    memory.trim()
    return models
