"""What all servers together have to do: who waits, who runs, as of the latest look at the database."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from backend.errors import Unavailable
from backend.queue import QueueLoad
from backend.shared.database import Bell, Database

log = logging.getLogger(__name__)

_LOOK_S = 2.0
"""So often without a notice."""
_PAUSE_S = 0.05
"""Between two looks: what happens meanwhile is seen by one."""
_WEIGH_S = 5.0
"""So often the jobs' bytes are added up, which reads every row."""

_QUEUE = """
SELECT extract(epoch FROM clock_timestamp())::double precision,
       (SELECT count(*) FROM jobs WHERE status = 'running'),
       ARRAY(SELECT id FROM jobs WHERE status = 'queued' ORDER BY number)
"""
_BYTES = "SELECT coalesce(sum(data_bytes), 0) FROM jobs"


class Board:
    """The queue as every server sees it. All calls on the event loop.

    Args:
        bell: of the queue's channel.
        weighed: told now and then what all jobs' photos and answers take, bytes.
    """

    def __init__(self, database: Database, bell: Bell, weighed: Callable[[int], None]) -> None:
        self.waiting: dict[str, int] = {}
        """Jobs' ids in their order, each with how many analyses are ahead of it."""
        self.trouble: str | None = None
        """Why it may not be seen how it stands."""
        self._running = 0
        self._database = database
        self._bell = bell
        self._weighed = weighed
        self._weighed_at = -_WEIGH_S
        self._looking: asyncio.Task[None] | None = None

    @property
    def load(self) -> QueueLoad:
        return QueueLoad(running=self._running, waiting=len(self.waiting))

    async def look(self) -> None:
        """See how it stands now.

        Raises:
            StorageUnavailable: the database does not say.
        """
        asked = time.time()
        try:
            at, running, waiting = await self._database.call(lambda c: c.fetchrow(_QUEUE))
        except Unavailable:
            self.trouble = "The database that keeps the jobs does not answer."
            raise
        self.trouble = None
        self._database.says(at, asked)
        self._running = running
        self.waiting = {job_id: running + ahead for ahead, job_id in enumerate(waiting)}
        if time.monotonic() - self._weighed_at >= _WEIGH_S:
            self._weighed(int(await self._database.call(lambda c: c.fetchval(_BYTES))))
            self._weighed_at = time.monotonic()

    def start(self, on_look: Callable[[], None]) -> None:
        """Look whenever something changes, and tell."""
        self._looking = asyncio.create_task(self._keep_looking(on_look))

    async def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking

    async def _keep_looking(self, on_look: Callable[[], None]) -> None:
        while True:
            rung = self._bell.expect("")
            with suppress(Unavailable):  # the database has said so
                await self.look()
                on_look()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await rung.wait()
            await asyncio.sleep(_PAUSE_S)
