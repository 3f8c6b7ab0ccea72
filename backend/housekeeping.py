"""What nobody asks for: finish what a killed process left, let go of what has expired."""

import asyncio
import logging
import time
from collections.abc import Container

from backend.errors import Unavailable
from backend.job_files import JobFiles
from backend.store import JobStore

log = logging.getLogger(__name__)

_SWEEP_EVERY_S = 30.0


class Housekeeping:
    """Keeps the store and the jobs' folders in step.

    Args:
        ttl_s: how long a job is kept after its end, seconds.
        live: ids of jobs that are not over: never touched.
    """

    def __init__(self, ttl_s: float, store: JobStore, files: JobFiles, live: Container[str]) -> None:
        self._every_s = min(ttl_s, _SWEEP_EVERY_S)
        self._store = store
        self._files = files
        self._live = live
        self._sweeper: asyncio.Task[None] | None = None

    async def tidy(self) -> None:
        """Finish what the last process had no time for: half uploads, cancellations, photos of ended jobs.

        Before anything runs: every folder without a row is a left-over now.
        """
        await self.sweep()
        statuses = await self._store.statuses()
        for job_id in await asyncio.to_thread(self._files.job_ids):
            status = statuses.get(job_id, "cancelled")
            if status == "cancelled":
                await asyncio.to_thread(self._files.erase, job_id)
            elif status in ("done", "failed"):
                await asyncio.to_thread(self._files.drop_photo, job_id, done=status == "done")

    def start(self) -> None:
        """Sweep from now on."""
        self._sweeper = asyncio.create_task(self._keep_sweeping())

    def stop(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def sweep(self) -> None:
        """Delete what has expired."""
        for job_id in await self._store.expired(time.time()):
            if job_id in self._live:
                continue
            try:
                # The files first: that makes room where there is none. Nobody can ask for them any more.
                await asyncio.to_thread(self._files.expire, job_id)
                await self._store.remove(job_id)
            except Unavailable:
                continue  # the store has said so; the row leads to the next try
            except Exception as error:
                log.error("an expired job could not be deleted: %s", error, extra={"job_id": job_id})

    async def _keep_sweeping(self) -> None:
        while True:
            try:
                await self.sweep()
            except Unavailable:
                pass  # the store has said so
            except Exception:
                # Photos' results must go at their time: the next sweep may do better.
                log.exception("expired jobs could not be looked for")
            await asyncio.sleep(self._every_s)
