"""How many bodies may arrive at once, so that one client leaves some of the places to others."""

import random
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from backend.errors import QueueFull

_MEASURED = 10
_FIRST_GUESS_S = 5.0
_LONGEST_WAIT_S = 60.0


class Places:
    """Counts what arrives, all together and for each client. All calls on the event loop.

    Args:
        what: what arrives, for the refusal.
        share: how many may come from one client.
    """

    def __init__(self, what: str, share: int) -> None:
        self._what = what
        self._share = share
        self._taken: Counter[str] = Counter()
        self._took_s: deque[float] = deque(maxlen=_MEASURED)

    @property
    def taken(self) -> int:
        return self._taken.total()

    @contextmanager
    def take(self, client: str, places: int) -> Iterator[None]:
        """Hold one of the places there are now.

        Raises:
            QueueFull: there is none, or this client has its share.
        """
        if self.taken >= places:
            raise self._refusal(f"{self.taken} {self._what} are arriving already")
        if self._taken[client] >= self._share:
            raise self._refusal(f"{self._taken[client]} {self._what} are arriving from your address already")
        self._taken[client] += 1
        began = monotonic()
        try:
            yield
        finally:
            self._took_s.append(monotonic() - began)
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]

    def _refusal(self, reason: str) -> QueueFull:
        """Come back when one of them is likely to have arrived, and not all in the same second."""
        usual = sum(self._took_s) / len(self._took_s) if self._took_s else _FIRST_GUESS_S
        wait_s = round(min(max(usual, 1.0), _LONGEST_WAIT_S) * random.uniform(1.0, 2.0))  # noqa: S311
        return QueueFull(f"{reason}: try again in about {wait_s} s.", wait_s)
