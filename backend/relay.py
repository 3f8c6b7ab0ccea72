"""From an engine into a job's events, and no longer than an analysis may take."""

import asyncio
import logging
from typing import Protocol

from backend.endings import refusal
from backend.engine import Analysis
from backend.errors import JobTimedOut, Unavailable
from backend.events import Event, failure
from backend.watch import Watch
from holdcheck import memory

log = logging.getLogger(__name__)

_STUCK_S = 30.0
"""What an analysis may take beyond JOB_TIMEOUT_S to reach its next batch, before its job is given up."""


class Telling(Protocol):
    """Where a job's events go."""

    @property
    def error(self) -> Exception | None:
        """Why they cannot be written: the analysis is to be stopped."""
        ...

    def tell(self, event: Event) -> None: ...


async def relay(
    job_id: str, analysis: Analysis, feed: Telling, timeout_s: float, watch: Watch
) -> Event | None:
    """Pass the events on but the last, which is answered; None where the analysis was stopped.

    Args:
        timeout_s: JOB_TIMEOUT_S, which the engine keeps, unless it is stuck.
    """
    try:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout_s + _STUCK_S) as limit:
            async for event in analysis:
                if event.step == "upload":
                    # A worker begins: on a cluster that may be later than the job, and twice.
                    limit.reschedule(loop.time() + timeout_s + _STUCK_S)
                if event.step in ("complete", "error"):
                    return event
                feed.tell(event)
                if feed.error is not None:
                    return refusal(feed.error) if isinstance(feed.error, Unavailable) else None
    except TimeoutError:
        watch.worker_stuck()
        log.error("the analysis is stuck: its job is given up", extra={"job_id": job_id})
        return failure(JobTimedOut.code, JobTimedOut.after(timeout_s), memory.snapshot())
    return None
