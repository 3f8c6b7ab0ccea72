"""The simulated cluster: photos that arrive, wait and are analysed, event by event.

Our own, of a heap and a deque: a thousand replicas are millions of photos in an evening. SimPy would run a
generator for each of them, and half of what is here would still be ours.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]

_TICK_S = 1.0
_DOWNSCALE_S = 600.0
"""Ray's default: replicas go that were not needed for so long."""


@dataclass(frozen=True, slots=True)
class Plant:
    """A cluster under simulation. Times in seconds."""

    replicas: int
    """So many at most, each with one photo at a time."""
    service_s: Seconds
    """What photos took of a replica: drawn from these, each as often as any other."""
    min_replicas: int = 0
    """So many when nobody comes; 0: as many as at most."""
    services: int = 1
    """Processes that receive photos and tell events; they share the replicas."""
    max_queue: float = 8
    """Photos that may wait, in all services together."""
    ingress_s: float = 0.0
    """Processor time of a service for one photo: it has one core."""
    database_s: float = 0.0
    """What one photo takes of the database, which serves one after the other."""
    start_s: float = 0.0
    """Until a replica that the load asks for, or that takes the place of a lost one, has its first photo."""
    mean_life_s: float = math.inf
    """Of a replica that works."""
    tries: int = 1
    """So often a client asks before it gives up."""

    @property
    def places(self) -> float:
        """Photos that may be inside at once."""
        return self.replicas + self.max_queue


@dataclass(slots=True)
class Outcome:
    """What became of the photos."""

    asked: int = 0
    done: int = 0
    refused: int = 0
    """Answers of 503; a photo may have several."""
    gave_up: int = 0
    crashed: int = 0
    """Photos that two replicas were lost under."""
    retried: int = 0
    busy_s: float = 0.0
    """Of all replicas together."""
    provided_s: float = 0.0
    """The same, idle ones and those that start included."""
    seconds: float = 0.0
    """From the first arrival to the last end."""
    waits_s: list[float] = field(default_factory=list)
    """From a client's first attempt to its analysis, in the order in which analyses began."""

    @property
    def utilisation(self) -> float:
        return self.busy_s / self.provided_s

    @property
    def photos_per_s(self) -> float:
        return self.done / self.seconds


def simulate(plant: Plant, arrivals_s: Seconds, seed: int = 1) -> Outcome:
    """Let photos arrive at these moments, which rise, and follow each to its end."""
    return _Simulation(plant, arrivals_s, np.random.default_rng(seed)).run()


def poisson(rate: float, count: int, seed: int = 1) -> Seconds:
    """Arrivals of independent clients: `rate` a second."""
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count))


def evening(peak: float, seed: int = 1) -> Seconds:
    """Arrivals of a gym's evening, two hours: `peak` a second for its second and third half hour.

    It begins and ends with a tenth of that, and rises and falls evenly in between.
    """
    rng = np.random.default_rng(seed)
    # As many as the peak would bring, at independent moments; then all but their hour's share go.
    moments = np.sort(rng.uniform(0, EVENING_S, rng.poisson(peak * EVENING_S)))
    return moments[rng.random(len(moments)) < np.interp(moments, *_EVENING)]


EVENING_S = 7200.0
_EVENING = ([0.0, 1800.0, 5400.0, EVENING_S], [0.1, 1.0, 1.0, 0.1])

_Event = tuple[float, int, Callable[[float, int], None], int]
"""When, in which order among equals, what, and of which photo."""


class _Simulation:
    """One run; every method is something that happens at a moment `now` to a photo, by its number."""

    def __init__(self, plant: Plant, arrivals_s: Seconds, rng: np.random.Generator) -> None:
        count = len(arrivals_s)
        self._plant = plant
        self._arrivals: list[float] = arrivals_s.tolist()
        self._takes: list[float] = rng.choice(plant.service_s, count).tolist()
        self._usual_s = float(np.mean(plant.service_s))
        # Where in its life a replica is, is as good as any: exponential, so it does not age.
        self._lives: list[float] = (rng.exponential(1, count) * plant.mean_life_s).tolist()
        self._luck: list[float] = rng.random(count).tolist()
        self._tries: dict[int, int] = {}
        self._lost: set[int] = set()
        self._heap: list[_Event] = []
        self._order = 0
        self._waiting: deque[int] = deque()
        self._inside = 0
        self._refused_lately = 0
        self._places = plant.places
        self._ingress_free = [0.0] * plant.services
        self._database_free = 0.0
        self._min = plant.min_replicas or plant.replicas
        self._up = self._free = self._min
        self._starting = 0
        self._recent: deque[tuple[float, int]] = deque()
        """The load of the last ticks: each later one is lower."""
        self._last = 0.0
        self._accounted = self._arrivals[0]
        self._outcome = Outcome(asked=count)

    def run(self) -> Outcome:
        arrivals, heap = self._arrivals, self._heap
        if self._min < self._plant.replicas:
            self._at(arrivals[0], self._tick, -1)
        for photo, at in enumerate(arrivals):
            while heap and heap[0][0] <= at:
                now, _, happen, number = heapq.heappop(heap)
                happen(now, number)
            self._ask(at, photo)
        while heap and self._is_under_way():
            now, _, happen, number = heapq.heappop(heap)
            happen(now, number)
        self._account(self._last)
        outcome = self._outcome
        outcome.seconds = self._last - arrivals[0]
        return outcome

    def _is_under_way(self) -> bool:
        ended = self._outcome.done + self._outcome.gave_up + self._outcome.crashed
        return ended < self._outcome.asked

    def _at(self, when: float, happen: Callable[[float, int], None], photo: int) -> None:
        self._order += 1
        heapq.heappush(self._heap, (when, self._order, happen, photo))

    # --- a photo's way ------------------------------------------------------------------------------------

    def _ask(self, now: float, photo: int) -> None:
        if self._inside >= self._places:
            self._refuse(now, photo)
            return
        self._inside += 1
        plant = self._plant
        service = photo % plant.services
        through = max(now, self._ingress_free[service]) + plant.ingress_s
        self._ingress_free[service] = through
        through = max(through, self._database_free) + plant.database_s
        self._database_free = through
        if through > now:
            self._at(through, self._queue, photo)
        else:
            self._queue(now, photo)

    def _refuse(self, now: float, photo: int) -> None:
        outcome, tries = self._outcome, self._tries.get(photo, 0) + 1
        outcome.refused += 1
        if tries >= self._plant.tries:
            outcome.gave_up += 1
            return
        self._tries[photo] = tries
        self._at(now + self._retry_after_s(photo), self._ask, photo)

    def _retry_after_s(self, photo: int) -> float:
        """As backend/queue.py has it, which knows when the oldest analysis began; here that is drawn."""
        ahead = min(self._refused_lately, len(self._waiting)) / self._plant.replicas
        self._refused_lately += 1
        return max(1, math.ceil(self._usual_s * (self._luck[photo] / self._plant.replicas + ahead)))

    def _queue(self, now: float, photo: int) -> None:
        if self._free:
            self._begin(now, photo)
        else:
            self._waiting.append(photo)

    def _begin(self, now: float, photo: int) -> None:
        self._free -= 1
        takes = self._takes[photo]
        if photo not in self._lost:
            self._outcome.waits_s.append(now - self._arrivals[photo])
        lives = self._lives[photo]
        if lives < takes:
            self._outcome.busy_s += lives
            self._at(now + lives, self._lose, photo)
        else:
            self._outcome.busy_s += takes
            self._at(now + takes, self._end, photo)

    def _end(self, now: float, _: int) -> None:
        self._outcome.done += 1
        self._leave(now)
        self._free += 1
        self._next(now)

    def _leave(self, now: float) -> None:
        self._last = now
        self._inside -= 1
        self._refused_lately = max(0, self._refused_lately - 1)

    def _next(self, now: float) -> None:
        while self._free and self._waiting:
            self._begin(now, self._waiting.popleft())

    # --- replicas -----------------------------------------------------------------------------------------

    def _lose(self, now: float, photo: int) -> None:
        """A replica is lost under a photo, which goes on with the next one, once."""
        self._change(now, -1)
        self._start_one(now)
        if photo in self._lost:
            self._outcome.crashed += 1
            self._leave(now)
            return
        self._lost.add(photo)
        # The second attempt gets another replica, with a life of its own.
        self._lives[photo] = -math.log1p(-self._luck[photo]) * self._plant.mean_life_s
        self._outcome.retried += 1
        self._waiting.appendleft(photo)
        self._next(now)

    def _start_one(self, now: float) -> None:
        self._account(now)
        self._starting += 1
        self._at(now + self._plant.start_s, self._come_up, -1)

    def _come_up(self, now: float, _: int) -> None:
        self._account(now)
        self._starting -= 1
        self._up += 1
        self._free += 1
        self._next(now)

    def _change(self, now: float, by: int) -> None:
        self._account(now)
        self._up += by

    def _account(self, now: float) -> None:
        """Add up what was there since the last change."""
        self._outcome.provided_s += (self._up + self._starting) * (now - self._accounted)
        self._accounted = now

    def _tick(self, now: float, _: int) -> None:
        """The autoscaler looks: as many replicas as photos inside, between its limits."""
        load = min(self._plant.replicas, max(self._min, self._inside))
        while self._recent and self._recent[-1][1] <= load:
            self._recent.pop()
        self._recent.append((now, load))
        while self._recent[0][0] <= now - _DOWNSCALE_S:
            self._recent.popleft()
        for _ in range(load - self._up - self._starting):
            self._start_one(now)
        needless = min(self._free, self._up - self._recent[0][1])
        if needless > 0:
            self._change(now, -needless)
            self._free -= needless
        self._at(now + _TICK_S, self._tick, -1)
