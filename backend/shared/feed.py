"""One job's events on their way into the database, from the server that holds the claim on it.

What `backend.feed.Feed` is for a file. Its readers are elsewhere: `EventRows.read` on any server.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from backend.errors import Unavailable
from backend.event_log import Line
from backend.events import Event, Narrator
from backend.shared.claims import Claim, ClaimLost
from backend.shared.events import EventRows
from backend.store import Outcome

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_AGAIN_S = 0.5


class SharedFeed:
    """The events of a job that runs here. All calls on the event loop.

    Args:
        narrator: gone on after `EventRows.last`, so that numbers have no gap and progress does not fall.
        patience_s: how long a database that does not answer is asked again, seconds: as long as the claim
            lasts, for then the job is somebody else's.
    """

    def __init__(self, rows: EventRows, claim: Claim, narrator: Narrator, patience_s: float) -> None:
        self.error: Unavailable | ClaimLost | None = None
        """Why events cannot be written: the analysis is to be stopped."""
        self._rows = rows
        self._claim = claim
        self._narrator = narrator
        self._patience_s = patience_s
        self._told: deque[Event] = deque()
        self._unwritten: list[Line] = []
        """Numbered, and not known to be in the database."""
        self._writing: asyncio.Task[None] | None = None

    def tell(self, event: Event) -> None:
        """Readers see it as soon as it is in the database."""
        self._told.append(event)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_told())

    async def flush(self) -> None:
        """Wait until everything told is in the database."""
        while self._writing is not None:
            await self._writing

    async def end(self, event: Event, outcome: Outcome) -> None:
        """Write the last event and the job's outcome, both or neither, and only then show them.

        With them what the database did not take before. Who is refused may write another end.

        Raises:
            ClaimLost: the job was cancelled, or is run by another server: it ends without us.
            StorageFull, StorageUnavailable: the database does not take it.
        """
        await self.flush()
        self._unwritten += await self._lines(list(self._told))
        self._told.clear()
        seq, progress = self._narrator.seq, self._narrator.progress
        line = (await self._lines([event]))[0]
        job_id, number = self._claim.record.id, self._claim.number
        try:
            ended = await self._insist(lambda: self._rows.end(job_id, number, outcome, line, self._unwritten))
        except Unavailable:
            # Where it was written nevertheless, no other end will be.
            self._narrator.seq, self._narrator.progress = seq, progress
            raise
        if not ended:
            raise ClaimLost(job_id)

    async def _write_told(self) -> None:
        job_id, number = self._claim.record.id, self._claim.number
        try:
            while self._told and self.error is None:
                batch = list(self._told)
                self._told.clear()
                self._unwritten = await self._lines(batch)
                await self._insist(lambda: self._rows.append(job_id, number, self._unwritten))
                self._unwritten = []
        except (Unavailable, ClaimLost) as error:
            self.error = error
        except Exception:
            log.exception("an event could not be written")
            self.error = Unavailable("The events of this analysis could not be written.")
        finally:
            self._writing = None

    async def _lines(self, events: list[Event]) -> list[Line]:
        """On a thread: a result is a megabyte of JSON."""
        return await asyncio.to_thread(lambda: [self._narrator.tell(event) for event in events])

    async def _insist(self, write: Callable[[], Awaitable[_T]]) -> _T:
        """Write again what may not have been written, while that makes sense."""
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                return await write()
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_AGAIN_S)
