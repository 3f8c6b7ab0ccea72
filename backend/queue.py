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
        self.pace.begin()
        return self._waiting.popleft()

    def leave(self, job_id: str) -> bool:
        """Take one out of the middle; False where it is not waiting."""
        if job_id not in self._waiting:
            return False
        self._waiting.remove(job_id)
        return True

    def positions(self) -> list[tuple[str, int]]:
        """Each waiting job with how many analyses are ahead of it."""
        ahead = int(self.pace.running)
        return list(zip(self._waiting, range(ahead, ahead + len(self._waiting)), strict=True))

    def position(self, job_id: str) -> int | None:
        return dict(self.positions()).get(job_id)


class Pace:
    """How long analyses take, and so when a place in a full queue will be free."""

    def __init__(self) -> None:
        self._usual_s: float | None = None
        self._began: float | None = None
        self._refused = 0

    @property
    def running(self) -> bool:
        return self._began is not None

    def learn(self, durations_s: Sequence[float]) -> None:
        """Start from what was measured before a restart, newest first."""
        for took_s in reversed(durations_s):
            self._measure(took_s)

    def begin(self) -> None:
        self._began = time.monotonic()

    def end(self, *, measured: bool) -> None:
        """The running one has ended; `measured` where it ran to its end, so that its time says something."""
        if measured and self._began is not None:
            self._measure(time.monotonic() - self._began)
        self._began = None
        self._refused = max(0, self._refused - 1)

    def retry_after_s(self, waiting: int) -> int:
        """When one who is refused now finds a place: one place comes free per analysis, and others were
        refused before him. Never longer than the whole queue takes."""
        usual = _FIRST_GUESS_S if self._usual_s is None else self._usual_s
        ran = 0.0 if self._began is None else time.monotonic() - self._began
        wait = max(0.0, usual - ran) + usual * min(self._refused, waiting)
        self._refused += 1
        return max(1, math.ceil(wait))

    def _measure(self, took_s: float) -> None:
        if self._usual_s is None:
            self._usual_s = took_s
        self._usual_s += _SMOOTHING * (took_s - self._usual_s)
