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
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from backend.errors import INTERNAL_DETAIL, JobTimedOut, MemoryShort, NotReady
from backend.events import UPLOAD_PROGRESS, Event, failure
from backend.logs import log_stage
from backend.settings import ServiceSettings
from holdcheck import budget, image, memory, pipeline, registry
from holdcheck.errors import AnalysisCancelled, HoldcheckError
from holdcheck.image import WallImage
from holdcheck.registry import ChosenClassifier, Models, ModelsReport
from holdcheck.result import WallAngle

log = logging.getLogger(__name__)

should_stop_var: ContextVar[Callable[[], bool]] = ContextVar("should_stop", default=pipeline.never)
"""On the worker thread: whether the running analysis shall stop. For what waits in the middle of a batch."""

LoadedModels = Models | ModelsReport

_MEMORY_RETRY_S = 30
"""When to ask again for memory that something else has taken: a backup may be over by then."""
_OWN_GROWTH_MIB = 24.0
"""What this process itself may hold more than right after its start: heap that is used again."""


@dataclass(frozen=True, slots=True)
class Job:
    """What an engine needs to know. Plain values: it may cross to another process."""

    id: str
    photo: Path
    wall_angle: WallAngle | None = None
    copy_to: Path | None = None
    """Where the photo is to be copied, small and without its metadata, if anywhere."""


class Analysis(Protocol):
    """The events of one job, an AsyncIterator: the last is `complete` or `error`, unless it was closed."""

    def __aiter__(self) -> AsyncIterator[Event]: ...

    async def __anext__(self) -> Event: ...

    async def aclose(self) -> None:
        """Stop the analysis at its next batch, and wait until it has let go of the photo."""
        ...


class Engine(Protocol):
    """What runs analyses."""

    slots: int
    """So many analyses may run at once."""

    @property
    def models(self) -> LoadedModels | None:
        """None until they are loaded."""
        ...

    room_mb: float
    """What a decode may take at most, MiB: what is free when the models are loaded and nothing else runs."""

    async def start(self) -> None:
        """Load the models."""
        ...

    def needed_mib(self, photo: Path) -> float:
        """What the analysis of a photo may take at most, by its header, MiB. It blocks."""
        ...

    def ensure_memory(self, needed_mib: float | None = None) -> None:
        """Ask, while no analysis runs, whether there is memory for one.

        Args:
            needed_mib: None: what a usual photo takes.

        Raises:
            MemoryShort: not now.
        """
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
    """The default engine: this process, one worker thread.

    Args:
        classifier: takes the place of the one that would be loaded.
    """

    slots = 1

    def __init__(self, settings: ServiceSettings, classifier: ChosenClassifier | None = None) -> None:
        self.models: Models | None = None
        self.room_mb = math.inf
        self._settings = settings
        self._classifier = classifier
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="inference")

    async def start(self) -> None:
        """Load the models on the worker, so that /livez answers meanwhile."""
        loop = asyncio.get_running_loop()
        self.models = await loop.run_in_executor(self._worker, _load, self._settings, self._classifier)
        self.room_mb = memory.snapshot().available_mb
        needed = budget.usually_needed_mib(self._settings, self._crop_side)
        if needed > self.room_mb:
            log.warning(_TOO_SMALL, needed, self.room_mb)

    def needed_mib(self, photo: Path) -> float:
        try:
            header = image.probe(photo, self._settings.max_image_megapixels)
        except Exception:
            return 0.0  # what is wrong with it is the analysis's to say
        return budget.needed_mib(header, self._settings, self._crop_side)

    def ensure_memory(self, needed_mib: float | None = None) -> None:
        if needed_mib is None:
            needed_mib = budget.usually_needed_mib(self._settings, self._crop_side)
        if self._is_short_of(needed_mib):
            raise MemoryShort(_SHORT, _MEMORY_RETRY_S)

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
        should_stop_var.set(run.should_stop)
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

    def _is_short_of(self, needed_mib: float) -> bool:
        """Whether something else has taken what an analysis needs, so that waiting may help.

        A container that is simply too small does not grow by waiting: of that the log warns at the start.
        """
        available = memory.snapshot().available_mb
        taken = self.room_mb - available
        return available < needed_mib <= self.room_mb and taken > _OWN_GROWTH_MIB

    @property
    def _crop_side(self) -> int:
        classifier = self.models.classifier if self.models else None
        return classifier.input_size if classifier else 0

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
            on_decoded=_copier(job),
        ):
            log_stage(job.id, stage)
            event = Event(stage.step, stage.progress, stage.data, stage.memory)
            loop.call_soon_threadsafe(run.put, event)


def _copier(job: Job) -> Callable[[WallImage], None] | None:
    """What makes the copy that a job asks for. Without it the analysis goes on: nobody waits for it."""
    if job.copy_to is None:
        return None
    target = job.copy_to

    def copy(wall: WallImage) -> None:
        try:
            image.save_copy(wall, target)
        except (OSError, MemoryError) as error:
            log.warning("[CORRECTIONS] a photo could not be copied: %s", error, extra={"job_id": job.id})

    return copy


_TOO_SMALL = (
    "[MEMORY] an analysis may need %.0f MiB and %.0f are free: "
    "allow more, or lower YOLO_IMG_SIZE or CLIP_BATCH_SIZE"
)
_SHORT = "The server is short of memory, because something else runs beside it: try again in a moment."


def not_loaded(models: LoadedModels | None, load_error: str | None = None) -> NotReady | None:
    """Why these models cannot take a photo; None where they can.

    Args:
        load_error: why there are none, where they are not merely being loaded.
    """
    if models is None:
        return NotReady(load_error or "The models are loading: try again in a moment.", 1)
    if not models.ready:
        return NotReady(models.error_reason or "There is no detector.", 60)
    return None


def _failed(job: Job, code: str, detail: str) -> Event:
    log.warning("the analysis failed: %s", detail, extra={"job_id": job.id, "code": code})
    return failure(code, detail, memory.snapshot())


def _load(settings: ServiceSettings, classifier: ChosenClassifier | None) -> Models:
    models = registry.load(settings, classifier)
    # What is here now stays: collections, which stop every thread, need not look at it again.
    gc.collect()
    gc.freeze()
    gc.enable()
    memory.trim()
    return models
