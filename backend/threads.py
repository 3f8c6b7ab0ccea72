"""Threads for what blocks: disks, and stores of files that may be far away."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import ParamSpec, TypeVar

from backend.errors import StorageUnavailable

_P = ParamSpec("_P")
_T = TypeVar("_T")


def started_pool(threads: int, name: str) -> ThreadPoolExecutor:
    """All started now: while a photo is decoded there may be no memory for another thread's stack."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    all_there = Barrier(threads)
    for _ in range(threads):
        pool.submit(all_there.wait)
    return pool


class FileThreads:
    """A store of files that hangs keeps these threads, and nobody else's. All calls on the event loop.

    Args:
        most_waiting: so many may wait for a thread; None: any number.
    """

    def __init__(self, threads: int, name: str, most_waiting: int | None = None) -> None:
        self._pool = started_pool(threads, name)
        self._most = None if most_waiting is None else threads + most_waiting
        self._under_way = 0

    async def run(self, work: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
        """Run `work` on a thread. Once begun it ends, even where the caller is cancelled.

        Raises:
            StorageUnavailable: too many wait already.
        """
        if self._most is not None and self._under_way >= self._most:
            raise StorageUnavailable("The server's storage is slow now: try again later.", 30)
        self._under_way += 1
        running = asyncio.get_running_loop().run_in_executor(self._pool, lambda: work(*arguments, **named))
        running.add_done_callback(self._ended)
        return await asyncio.shield(running)

    def close(self) -> None:
        self._pool.shutdown(wait=False)

    def _ended(self, running: "asyncio.Future[_T]") -> None:
        self._under_way -= 1
        if not running.cancelled():
            running.exception()  # who was cancelled does not ask
