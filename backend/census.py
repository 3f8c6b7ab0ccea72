"""How many jobs are kept, counted without ever waiting for a disk that is slow."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import get_args

from backend.errors import Unavailable
from backend.store import Status

log = logging.getLogger(__name__)

_PATIENCE_S = 0.1
"""The store answers in less than a millisecond, unless it waits for the disk."""


class Census:
    """The store's count by status, or where that takes too long the one before.

    Args:
        count: asks the store.
    """

    def __init__(self, count: Callable[[], Awaitable[dict[Status, int]]]) -> None:
        self._count = count
        self._known: dict[Status, int] = dict.fromkeys(get_args(Status), 0)
        self._counting: asyncio.Task[None] | None = None

    async def take(self) -> Mapping[Status, int]:
        """Every status with its number of jobs."""
        if self._counting is None:
            self._counting = asyncio.create_task(self._renew())
        await asyncio.wait((self._counting,), timeout=_PATIENCE_S)
        return self._known

    async def _renew(self) -> None:
        try:
            self._known = dict.fromkeys(get_args(Status), 0) | await self._count()
        except (Unavailable, RuntimeError) as error:  # RuntimeError: the store is closed
            log.warning("the jobs cannot be counted: %s", error)
        finally:
            self._counting = None
