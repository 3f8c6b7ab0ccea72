"""One job's events as rows: written under a claim by one server, followed from any.

A reader asks the database what came after the number that it had last, and waits for a notice before it asks
again. So following, catching up and resuming are one query, whichever server answers it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from typing import Any

from backend.errors import LastEventIdInvalid
from backend.event_log import PIECE_BYTES, Line
from backend.shared.claims import ClaimLost
from backend.shared.database import EVENTS, QUEUE, Bell, Database
from backend.shared.store import note_end, notify
from backend.store import Outcome

_AT_ONCE = 8
"""Events that a reader has in memory, of each PIECE_BYTES at most."""
_LOOK_S = 10.0
"""So often a reader looks without a notice: one may be lost with the connection that listens."""

# The job's row is locked against a server that claims it meanwhile: that one goes on after our last number.
_APPEND = """
WITH held AS (
    SELECT id FROM jobs WHERE id = $1 AND claim = $2 AND status IN ('queued', 'running') FOR SHARE
), told AS (
    INSERT INTO job_events (job_id, seq, json)
    SELECT held.id, line.seq, line.json FROM held, unnest($3::bigint[], $4::bytea[]) AS line (seq, json)
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM held
"""
_FILL = """
INSERT INTO job_events (job_id, seq, json)
SELECT $1, line.seq, line.json FROM unnest($2::bigint[], $3::bytea[]) AS line (seq, json)
ON CONFLICT DO NOTHING
"""
_PAGE = """
SELECT seq, octet_length(json), substring(json FROM 1 FOR $3) FROM job_events
WHERE job_id = $1 AND seq > $2 ORDER BY seq LIMIT $4
"""
_PART = "SELECT substring(json FROM $3 FOR $4) FROM job_events WHERE job_id = $1 AND seq = $2"
_LAST = "SELECT seq, json FROM job_events WHERE job_id = $1 ORDER BY seq DESC LIMIT 1"
_LAST_NUMBER = "SELECT max(seq) FROM job_events WHERE job_id = $1"
_LIVES = "SELECT status IN ('queued', 'running') FROM jobs WHERE id = $1"


class EventRows:
    """The events of all jobs, to write and to follow."""

    def __init__(self, database: Database, bell: Bell) -> None:
        self._database = database
        self._bell = bell

    async def append(self, job_id: str, claim: int, lines: Sequence[Line]) -> None:
        """Write lines, all or none; durable when it returns, and then readers see them.

        Who does not know whether they were written writes the same ones again: nothing is there twice.

        Args:
            claim: the number it is written under; 0 before the first claim.

        Raises:
            ClaimLost: nothing was written, because the job is no longer ours.
            StorageFull, StorageUnavailable: the database does not take them.
        """

        async def write(connection: Any) -> None:
            numbers, texts = [line.seq for line in lines], [line.json for line in lines]
            if not await connection.fetchval(_APPEND, job_id, claim, numbers, texts):
                raise ClaimLost(job_id)
            await notify(connection, EVENTS, job_id)

        await self._database.call(write)

    async def end(
        self, job_id: str, claim: int, outcome: Outcome, last: Line, before: Sequence[Line] = ()
    ) -> bool:
        """Write a job's last event and its outcome, both or neither; False where the claim is lost.

        True also where the same end has been written already: one whose answer got lost is sent again.

        Args:
            before: events that may not have been written yet.

        Raises:
            StorageFull, StorageUnavailable: the database does not take it.
        """

        async def write(connection: Any) -> bool:
            if not await note_end(connection, job_id, outcome, claim):
                told = await connection.fetchrow(_LAST, job_id)
                return told is not None and (told[0], told[1]) == (last.seq, last.json)
            if before:
                numbers, texts = [line.seq for line in before], [line.json for line in before]
                await connection.execute(_FILL, job_id, numbers, texts)
            insert = "INSERT INTO job_events (job_id, seq, json) VALUES ($1, $2, $3)"
            await connection.execute(insert, job_id, last.seq, last.json)
            await notify(connection, EVENTS, job_id)
            await notify(connection, QUEUE, "")
            return True

        return await self._database.call(write)

    async def last(self, job_id: str) -> Line | None:
        """Its last event: a server that takes the job up again goes on after it."""
        row = await self._database.call(lambda c: c.fetchrow(_LAST, job_id))
        return None if row is None else Line(row[0], row[1])

    async def read(
        self, job_id: str, after: int, leaving: Callable[[], bool] = lambda: False
    ) -> AsyncGenerator[Line, None]:
        """The events after the one numbered `after`: those that were, then those that come, to the job's end.

        Long ones come in parts, as from a file. It ends early where the job was cancelled or deleted.

        Args:
            leaving: whether to wait for no more; looked at when the bell rings.

        Raises:
            LastEventIdInvalid: at once, where no event had that number.
        """
        # Its number alone: it may be a result, and hundreds of readers may come at once.
        last = await self._database.call(lambda c: c.fetchval(_LAST_NUMBER, job_id))
        if after > (last or 0):
            raise LastEventIdInvalid
        return self._read(job_id, after, leaving)

    async def _read(self, job_id: str, after: int, leaving: Callable[[], bool]) -> AsyncGenerator[Line, None]:
        while True:
            # Each before the next: what changes after the look rings, and what ended has all its events.
            rung = self._bell.expect(job_id)
            lives = await self._database.call(lambda c: c.fetchval(_LIVES, job_id))
            rows = await self._database.call(
                lambda c, after=after: c.fetch(_PAGE, job_id, after, PIECE_BYTES, _AT_ONCE)  # type: ignore[misc]
            )
            for seq, size, part in rows:
                yield Line(seq, part, ends=len(part) == size)
                async for line in self._rest(job_id, seq, len(part), size):
                    yield line
                after = seq
            if rows:
                continue
            if not lives or leaving():
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await rung.wait()

    async def _rest(self, job_id: str, seq: int, read: int, size: int) -> AsyncGenerator[Line, None]:
        while read < size:
            start = read + 1
            part = await self._database.call(
                lambda c, start=start: c.fetchval(_PART, job_id, seq, start, PIECE_BYTES)  # type: ignore[misc]
            )
            if not part:
                raise EOFError("an event was erased while it was read")
            read += len(part)
            yield Line(seq, part, begins=False, ends=read == size)
