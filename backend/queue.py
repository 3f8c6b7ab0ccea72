"""Who is next, and when there will be a place again, by what analyses have been measured to take."""

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

_FIRST_GUESS_S = 5.0
"""Until an analysis has been measured: the whole of one on the slowest machine that was tried."""
_SMOOTHING = 0.2


@dataclass(frozen=True, slots=True)
class QueueLoad:
    running: int
    waiting: int


class Queue:
    """Job ids in the order in which they came."""

    def __init__(self, pace: "Pace") -> None:
        self.pace = pace
        self._waiting: deque[str] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, job_id: str) -> None:
        self._waiting.append(job_id)

    def first(self) -> str | None:
        """Who is next."""
        return self._waiting[0] if self._waiting else None

    def take(self) -> str | None:
        """The next one, which runs from now on."""
        if not self._waiting:
            return None
        job_id = self._waiting.popleft()
        self.pace.begin(job_id)
        return job_id

    def leave(self, job_id: str) -> bool:
        """Take one out of the middle; False where it is not waiting."""
        if job_id not in self._waiting:
            return False
        self._waiting.remove(job_id)
        return True

    def positions(self) -> list[tuple[str, int]]:
        """Each waiting job with how many analyses are ahead of it."""
        ahead = self.pace.running
        return list(zip(self._waiting, range(ahead, ahead + len(self._waiting)), strict=True))

    def position(self, job_id: str) -> int | None:
        return dict(self.positions()).get(job_id)


class Pace:
    """How long analyses take, and so when a place in a full queue will be free.

    Args:
        slots: so many run at once.
    """

    def __init__(self, slots: int = 1) -> None:
        self._slots = slots
        self._usual_s: float | None = None
        self._began: dict[str, float] = {}
        self._refused = 0

    @property
    def running(self) -> int:
        return len(self._began)

    def learn(self, durations_s: Sequence[float]) -> None:
        """Start from what was measured before a restart, newest first."""
        for took_s in reversed(durations_s):
            self._measure(took_s)

    def begin(self, job_id: str) -> None:
        self._began[job_id] = time.monotonic()

    def end(self, job_id: str, *, measured: bool) -> None:
        """A running one has ended; `measured` where it ran to its end, so that its time says something."""
        began = self._began.pop(job_id)
        if measured:
            self._measure(time.monotonic() - began)
        self._refused = max(0, self._refused - 1)

    def retry_after_s(self, waiting: int) -> int:
        """When one who is refused now finds a place: one place comes free per analysis, and others were
        refused before him. Never longer than the whole queue takes."""
        usual = _FIRST_GUESS_S if self._usual_s is None else self._usual_s
        now = time.monotonic()
        ran = now - min(self._began.values(), default=now)
        wait = max(0.0, usual - ran) + usual * min(self._refused, waiting) / self._slots
        self._refused += 1
        return max(1, math.ceil(wait))

    def _measure(self, took_s: float) -> None:
        if self._usual_s is None:
            self._usual_s = took_s
        self._usual_s += _SMOOTHING * (took_s - self._usual_s)
