"""The stream's events: what an engine says, and how it is numbered, timed and worded for the wire."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.event_log import Line
from backend.messages import Language, error_message, step_message
from holdcheck.result import MemoryUsage

QUEUED_PROGRESS = 0
UPLOAD_PROGRESS = 5
POWER_CUT_GAP = 10_000
"""More events than a job has: after a power cut took the last ones, no number comes twice."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a job: plain values, so that it may come from another machine."""

    step: str
    progress: int
    data: Mapping[str, Any]
    """What the step adds. Of an `error`: `code`, and `detail` in English."""
    memory: MemoryUsage
    at: float = field(default_factory=time.time)
    """Seconds since the epoch. Not monotonic: a job outlives a process."""


@dataclass(slots=True)
class Narrator:
    """Turns one job's events into lines, in order. Not thread-safe."""

    job_id: str
    language: Language
    created_at: float
    seq: int = 0
    """The last number given."""
    progress: int = 0
    elapsed_ms: int = 0

    def resume(self, last: Line | None, *, gap: bool) -> None:
        """Go on after what an earlier process told."""
        if last is not None:
            told = json.loads(last.json)
            self.seq, self.progress, self.elapsed_ms = last.seq, told["progress"], told["elapsed_ms"]
        if gap:
            self.seq += POWER_CUT_GAP

    def tell(self, event: Event) -> Line:
        """The next line; progress and time never fall."""
        self.seq += 1
        return self._line(event)

    def aside(self, event: Event) -> Line:
        """A line that is not kept, numbered as the one before: who resumes after it misses nothing."""
        return self._line(event)

    def _line(self, event: Event) -> Line:
        data = dict(event.data)
        if event.step == "error":
            message = error_message(data["code"], self.language, data.pop("detail"))
        else:
            message = step_message(event.step, self.language, data)
            self.progress = max(self.progress, event.progress)
        # A clock that is set back stands still here.
        self.elapsed_ms = max(self.elapsed_ms, round(1000 * (event.at - self.created_at)))
        wire = {
            "job_id": self.job_id,
            "seq": self.seq,
            "step": event.step,
            "progress": self.progress,
            "message": message,
            "elapsed_ms": self.elapsed_ms,
            "memory": event.memory.model_dump(),
            **data,
        }
        text = json.dumps(wire, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return Line(self.seq, text.encode())


def failure(code: str, detail: str, memory: MemoryUsage) -> Event:
    """The event that ends a job without a result."""
    return Event("error", 0, {"code": code, "detail": detail}, memory)
