"""An engine that does what a test tells it, one job after the other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from backend.engine import Job
from backend.errors import MemoryShort
from backend.events import Event, failure
from backend.settings import ServiceSettings
from holdcheck import memory, registry
from holdcheck.registry import Models

SHORT = ("upload", "detection", "complete")
_DATA: dict[str, dict[str, Any]] = {
    "complete": {"result": {"statistics": {"total_problems": 0, "holds_kept": 0}, "hold_data": []}},
    "detection_complete": {"holds_count": 0, "holds_kept": 0, "truncated": False},
}


class ScriptedAnalysis:
    """Says its steps, waiting before each where the engine is `held`."""

    def __init__(self, engine: "ScriptedEngine", job: Job) -> None:
        self._engine = engine
        self._steps = iter(engine.script(job))
        self._closed = False

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        await self._engine.step.acquire()
        if self._closed:
            raise StopAsyncIteration
        step = next(self._steps, None)
        if step is None:
            raise StopAsyncIteration
        if step == "error":
            return failure("photo_corrupt", "The photo is damaged.", memory.snapshot())
        progress = {"upload": 5, "detection": 10, "retry": 10, "complete": 100}.get(step, 30)
        return Event(step, progress, _DATA.get(step, {}), memory.snapshot())

    async def aclose(self) -> None:
        self._closed = True
        self._engine.step.release()


class ScriptedEngine:
    """`held` lets nothing happen before `go`."""

    def __init__(self, settings: ServiceSettings, *, held: bool = False) -> None:
        self.models: Models | None = None
        self.room_mb = 1e6
        self.slots = settings.slots
        self.free_mib = 1e6
        self.jobs: list[Job] = []
        self.script: Callable[[Job], tuple[str, ...]] = lambda _: SHORT
        self.step = asyncio.Semaphore(0 if held else 10**6)
        self._settings = settings

    async def start(self) -> None:
        self.models = registry.load(self._settings)

    def needed_mib(self, photo: Path) -> float:
        return 100 if photo.is_file() else 0

    def ensure_memory(self, needed_mib: float | None = None) -> None:
        if self.free_mib < (needed_mib or 100):
            raise MemoryShort("The server is short of memory.")

    def analyze(self, job: Job) -> ScriptedAnalysis:
        assert job.photo.is_file()
        self.jobs.append(job)
        return ScriptedAnalysis(self, job)

    def go(self, steps: int = 10**6) -> None:
        for _ in range(min(steps, 1000)):
            self.step.release()

    async def stop(self) -> None: ...
