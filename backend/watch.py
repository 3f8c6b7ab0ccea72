"""Whether analyses go well: told of each as it begins and ends, it knows when to send no more photos.

A circuit breaker (Nygard, Release It!): after failures in a row it opens, after a quiet time it lets the
next one try, and one success closes it.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from backend.errors import MemoryShort, NotReady, is_our_fault
from backend.events import Event
from backend.metrics import Metrics
from backend.store import JobRecord

log = logging.getLogger(__name__)

FAILURES = 3
"""So many analyses in a row that failed by our own fault make the service not ready: one is a photo that
nobody foresaw, two are that photo sent again, the third is hardly the photo."""
QUIET_S = 60.0
"""So long after the last of them it is ready again, to try: where nothing is sent, nothing could succeed.
Longer than what watches containers takes to notice, which is mostly three looks ten seconds apart."""
_STUCK = "An analysis does not end, and blocks all others: restart the server; accepted photos are kept."


class Watch:
    """What became of the latest analyses. All calls on the event loop.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self.timings_ms: dict[str, float] | None = None
        """What the stages of the last finished analysis took."""
        self.stuck = False
        self.metrics = metrics
        self._clock = clock
        self._short: MemoryShort | None = None
        self._short_since = 0.0
        self._began_at: dict[str, float] = {}
        self._failures = 0
        self._failed_at = 0.0

    def began(self, record: JobRecord) -> None:
        """Its analysis begins."""
        now = time.time()
        self._began_at[record.id] = now
        self.metrics.analysis_began(max(0.0, now - record.created_at))

    def ended(self, record: JobRecord, last: Event) -> None:
        """A job is done, or has failed, by its last event."""
        began_at = self._began_at.pop(record.id, None)
        if last.step != "complete":
            self.metrics.job_ended("failed", last.data["code"])
            self._note(last.data["code"])
            return
        self.metrics.job_ended("done", None)
        self._failures = 0
        if began_at is not None:
            self._measure(last.data["result"], max(0.0, last.at - began_at))

    def cancelled(self, record: JobRecord) -> None:
        """Its owner did not want it any more."""
        self._began_at.pop(record.id, None)
        self.metrics.job_ended("cancelled", "cancelled")

    def let_go(self, record: JobRecord) -> None:
        """Whatever becomes of it, it is not for this server to tell."""
        self._began_at.pop(record.id, None)

    def worker_stuck(self) -> None:
        """A job was given up whose analysis does not return."""
        self.stuck = True

    def worker_free(self) -> None:
        """It did return."""
        self.stuck = False

    def require_free_worker(self) -> None:
        """Refuse photos that nothing would analyse.

        Raises:
            NotReady: the worker is stuck.
        """
        if self.stuck:
            raise NotReady(_STUCK, 60)

    def memory_short(self, error: MemoryShort) -> float:
        """The next job waits for memory; answers for how long that has lasted, seconds."""
        if self._short is None:
            self._short_since = self._clock()
            log.warning("[MEMORY] photos wait: something else in the container holds what they need")
        self._short = error
        return self._clock() - self._short_since

    def memory_back(self) -> None:
        """No job waits for memory."""
        self._short = None

    def require_memory(self) -> None:
        """Refuse photos that would only wait behind one that waits for memory.

        Raises:
            MemoryShort: it is short.
        """
        if self._short is not None:
            raise MemoryShort(str(self._short), self._short.retry_after_s)

    def problem(self) -> NotReady | None:
        """Why no photos should be sent here now; None where nothing speaks against it."""
        if self.stuck:
            return NotReady(_STUCK, 60)
        if self._short is not None:
            return NotReady(str(self._short), self._short.retry_after_s)
        quiet_s = self._clock() - self._failed_at
        if self._failures < FAILURES or quiet_s >= QUIET_S:
            return None
        return NotReady(
            f"The last {self._failures} analyses failed by the server's own fault: its log says why.",
            round(QUIET_S - quiet_s) or 1,
        )

    def _note(self, code: str) -> None:
        if is_our_fault(code):
            self._failures += 1
            self._failed_at = self._clock()

    def _measure(self, result: Mapping[str, Any], took_s: float) -> None:
        # An engine whose results say less must not keep its jobs from ending.
        self.timings_ms = timings_ms = result.get("timings_ms", {})
        pixels = result.get("image_width", 0) * result.get("image_height", 0)
        self.metrics.analysis_finished(took_s, timings_ms, pixels)
