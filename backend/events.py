"""The stream's events: numbered, timed, worded, and ready for the wire."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.jobs import Job
from backend.messages import error_message, step_message
from holdcheck.result import MemoryUsage

QUEUED_PROGRESS = 0
UPLOAD_PROGRESS = 5


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a job."""

    seq: int
    """From 1, without gaps; also the SSE id."""
    step: str
    progress: int
    message: str
    data: Mapping[str, Any]
    """What the step adds."""
    json: str
    """The whole event as one line."""


@dataclass(slots=True)
class Narrator:
    """Makes one job's events, in order. Not thread-safe: the loop hands it over when the worker starts."""

    job: Job
    accepted_at: float = field(default_factory=time.monotonic)
    _seq: int = 0
    _progress: int = 0

    def tell(self, step: str, progress: int, data: Mapping[str, Any], memory: MemoryUsage) -> Event:
        """The next event; progress never falls."""
        return self._event(step, progress, step_message(step, self.job.language, data), data, memory)

    def tell_error(self, code: str, detail: str, memory: MemoryUsage) -> Event:
        """The event that ends a failed job, at the progress it had reached."""
        message = error_message(code, self.job.language, detail)
        return self._event("error", self._progress, message, {"code": code}, memory)

    def _event(
        self, step: str, progress: int, message: str, data: Mapping[str, Any], memory: MemoryUsage
    ) -> Event:
        self._seq += 1
        self._progress = max(self._progress, progress)
        wire = {
            "job_id": self.job.id,
            "seq": self._seq,
            "step": step,
            "progress": self._progress,
            "message": message,
            "elapsed_ms": round(1000 * (time.monotonic() - self.accepted_at)),
            "memory": memory.model_dump(),
            **data,
        }
        text = json.dumps(wire, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return Event(self._seq, step, self._progress, message, data, text)
