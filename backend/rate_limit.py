"""How often a client may bring work. One number for each client and limit, and a bound on how many are kept.

The generic cell rate algorithm: `30/minute` is a burst of 30, then one every two seconds. A client is
remembered by the moment at which its allowance will be whole again; nothing is stored of a refused request.
"""

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

MAX_CLIENTS = 4096
"""Clients remembered by one limiter, about 1 MiB. Whoever has more addresses than that has as many
allowances anyway: forgetting the one that was silent longest loses nothing more."""
_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
_LIMIT = re.compile(r"([1-9][0-9]{0,5})/(second|minute|hour)")
_ROUNDING_S = 1e-6


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests at once, and as many again over each period."""

    count: int
    period_s: float

    @property
    def interval_s(self) -> float:
        return self.period_s / self.count


def parse_limits(value: Any) -> Any:
    """Read `30/minute` or `5/second; 100/hour`.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str):
        return value
    limits = []
    for part in re.split("[;,]", value.lower()):
        match = _LIMIT.fullmatch(part.strip())
        if match is None:
            raise ValueError("takes limits like 30/minute (second, minute, hour), separated by ;")
        limits.append(Limit(int(match[1]), _SECONDS[match[2]]))
    return tuple(limits)


class RateLimiter:
    """What each client has left under all the limits together.

    Args:
        limits: what holds for each client.
        max_clients: how many are remembered.
        now: a clock that never jumps, seconds.
    """

    def __init__(
        self,
        limits: Sequence[Limit],
        max_clients: int = MAX_CLIENTS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = tuple(limits)
        self._max_clients = max_clients
        self._now = now
        self._whole_at: OrderedDict[str, tuple[float, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._whole_at)

    def take(self, client: str) -> float:
        """Use one of the client's requests up. Answers 0.0, or the seconds until it has one again."""
        now = self._now()
        whole_at = self._allowances(client, now)
        wait_s = self._wait_s(whole_at, now)
        if wait_s > 0:
            return wait_s
        self._whole_at[client] = tuple(
            at + limit.interval_s for at, limit in zip(whole_at, self._limits, strict=True)
        )
        self._whole_at.move_to_end(client)
        self._forget(now)
        return 0.0

    def wait_s(self, client: str) -> float:
        """Seconds until the client has a request left: 0.0 where it has one. Uses nothing up."""
        now = self._now()
        return self._wait_s(self._allowances(client, now), now)

    def _allowances(self, client: str, now: float) -> tuple[float, ...]:
        kept = self._whole_at.get(client)
        return tuple(max(at, now) for at in kept) if kept else (now,) * len(self._limits)

    def _wait_s(self, whole_at: tuple[float, ...], now: float) -> float:
        waits = (
            at + limit.interval_s - limit.period_s - now
            for at, limit in zip(whole_at, self._limits, strict=True)
        )
        wait_s = max(waits, default=0.0)
        return wait_s if wait_s > _ROUNDING_S else 0.0

    def _forget(self, now: float) -> None:
        """Drop who has a whole allowance again, and beyond the bound whoever was silent longest."""
        while self._whole_at:
            client, whole_at = next(iter(self._whole_at.items()))
            if len(self._whole_at) <= self._max_clients and max(whole_at) > now:
                return
            del self._whole_at[client]
