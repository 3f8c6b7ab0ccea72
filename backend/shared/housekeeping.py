"""What nobody asks for, where several servers share the jobs: let go of what has expired, tidy what is left.

Every server does all of it: what is erased twice does no harm, and whichever dies, another one goes on.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import Any

from backend.errors import Unavailable
from backend.shared.files import PHOTO, SharedFiles
from backend.shared.store import PostgresStore, drop_row
from backend.store import Status

log = logging.getLogger(__name__)

_SWEEP_EVERY_S = 30.0
_TIDY_EVERY_S = 600.0
"""Twice as long as a photo may take from its place in the store to its row."""
ROW_WITHIN_S = 300.0
"""So long after its photo was on its way to the store may a job be added: later, the photo may be gone."""
_AT_ONCE = 200
"""Jobs that are looked up together: there may be more than fit into memory."""


class SharedHousekeeping:
    """Keeps the database and the files in step.

    Args:
        ttl_s: how long a job is kept after its end, seconds.
    """

    def __init__(self, ttl_s: float, store: PostgresStore, files: SharedFiles) -> None:
        self._sweep_every_s = min(ttl_s, _SWEEP_EVERY_S)
        self._store = store
        self._files = files
        self._unknown: set[str] = set()
        """Of which there were files and no row at the last tidying: perhaps a photo on its way to its row."""
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Sweep and tidy from now on."""
        self._tasks = [
            asyncio.create_task(self._keep(self.sweep, self._sweep_every_s)),
            asyncio.create_task(self._keep(self.tidy, _TIDY_EVERY_S)),
        ]

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def sweep(self) -> None:
        """Delete what has expired."""
        expired = await self._store.expired(self._store.now())
        if expired:
            await asyncio.to_thread(self._files.ensure_bound)
        for job_id in expired:
            try:
                await self._expire(job_id)
            except Unavailable:
                continue  # the store has said so; the row leads to the next try
            except Exception as error:
                log.error("an expired job could not be deleted: %s", error, extra={"job_id": job_id})

    async def tidy(self) -> None:
        """Finish what a dead server had no time for: half uploads, cancellations, photos of ended jobs,
        results of claims that it lost."""
        unknown: set[str] = set()
        listing = self._files.contents()
        while found := await asyncio.to_thread(lambda: list(islice(listing, _AT_ONCE))):
            standing = await self._store.standing([job_id for job_id, _ in found])
            await asyncio.to_thread(self._files.ensure_bound)
            for job_id, names in found:
                status, claim = standing.get(job_id, (None, None))
                if status is None:
                    unknown.add(job_id)
                if status == "cancelled" or (status is None and job_id in self._unknown):
                    await asyncio.to_thread(self._files.erase, job_id)
                elif status in ("done", "failed"):
                    await asyncio.to_thread(self._drop_left, job_id, names, status, claim)
        self._unknown = unknown

    def _drop_left(self, job_id: str, names: Iterable[str], status: Status, claim: int | None) -> None:
        """What a job that ended under that claim has no use for."""
        if PHOTO in names:
            self._files.drop_photo(job_id)
        parts = [name.split("/") for name in names if name.startswith("outputs/")]
        claims = {int(part[1]) for part in parts if part[1].isdigit()}
        for lost in claims - ({claim} if status == "done" else set()):
            self._files.drop_outputs(job_id, lost)

    async def _expire(self, job_id: str) -> None:
        claim = await self._store.claim_of(job_id)

        async def forget(connection: Any) -> None:
            await asyncio.to_thread(self._files.expire, job_id, claim)
            await drop_row(connection, job_id)

        await self._store.alone(job_id, forget)

    async def _keep(self, work: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            try:
                await work()
            except Unavailable:
                pass  # the store has said so
            except Exception:
                # Photos' results must go at their time: the next time may do better.
                log.exception("expired jobs could not be looked for")
            await asyncio.sleep(every_s)
