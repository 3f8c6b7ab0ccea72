"""The job store in Postgres: the Protocol that the SQLite file keeps, and many servers beside each other.

Several servers do not use all of it: docs/cluster.md says which methods take for granted that there is one,
and what `Claims` does instead.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from backend.errors import StorageUnavailable
from backend.shared.database import ADDING, EVENTS, QUEUE, Database
from backend.store import COLUMNS, JobRecord, Outcome, Status

_T = TypeVar("_T")
_ALONE = 2
SELECT = f"SELECT {', '.join(COLUMNS)} FROM jobs "  # noqa: S608 - our own names
_INSERT = (
    f"INSERT INTO jobs ({', '.join(COLUMNS)}, data_bytes, request_id) "  # noqa: S608
    f"VALUES ({', '.join(f'${number}' for number in range(1, len(COLUMNS) + 3))}) "
    "ON CONFLICT (owner, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING id"
)
_BY_KEY = f"{SELECT}WHERE owner = $1 AND idempotency_key = $2 AND (expires_at IS NULL OR expires_at > $3)"


class PostgresStore:
    """The jobs of a prepared database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._alone = asyncio.Semaphore(_ALONE)

    def now(self) -> float:
        """The database's clock, seconds since the epoch: every server goes by it, whatever its own says."""
        return self._database.now()

    async def add(self, record: JobRecord) -> JobRecord:
        return await self._database.call(lambda c: _insert(c, record, self.now(), 0, ""))

    async def add_within(
        self, record: JobRecord, data_bytes: int, request_id: str, most_waiting: int, until: float
    ) -> JobRecord | None:
        """As `add`, while fewer than `most_waiting` jobs wait on all servers together; None where there is no
        place.

        Args:
            data_bytes: what its photo takes.
            request_id: what the log lines about it are to carry, on whichever server.
            until: when its photo may be taken for one without a job, by this server's own clock: what is
                known of the database's may be out by as long as this server froze.

        Raises:
            StorageUnavailable: it is later than that; nothing was added.
        """

        async def insert(connection: Any) -> JobRecord | None:
            await connection.execute("SELECT pg_advisory_xact_lock($1)", ADDING)
            # Here: a server that freezes after this has lost its transaction ten seconds later.
            if time.time() > until:
                raise StorageUnavailable("The photo took too long to be stored: send it again.", 5)
            waiting = await connection.fetchval("SELECT count(*) FROM jobs WHERE status = 'queued'")
            if waiting < most_waiting:
                return await _insert(connection, record, self.now(), data_bytes, request_id)
            if record.idempotency_key is None:
                return None
            return await _by_key(connection, record.owner, record.idempotency_key, self.now())

        return await self._database.call(insert)

    async def weigh(self, job_id: str, data_bytes: int) -> None:
        """Note what a job's files take now."""
        change = "UPDATE jobs SET data_bytes = $2 WHERE id = $1"
        await self._database.call(lambda c: c.execute(change, job_id, data_bytes))

    async def claim_of(self, job_id: str) -> int | None:
        """Under which claim it ended; None where there is no such job."""
        number: int | None = await self._database.call(
            lambda c: c.fetchval("SELECT claim FROM jobs WHERE id = $1", job_id)
        )
        return number

    async def alone(self, job_id: str, action: Callable[[Any], Awaitable[_T]]) -> _T:
        """Run `action` while no other server does something else with the job's files by this."""

        async def locked(connection: Any) -> _T:
            # Files may be far away; while they are written, this connection says nothing.
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = '5min'")
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", job_id)
            return await action(connection)

        # A store of files may be slow: it is not to keep all connections.
        async with self._alone:
            return await self._database.call(locked)

    async def get(self, job_id: str) -> JobRecord | None:
        query = f"{SELECT}WHERE id = $1 AND (expires_at IS NULL OR expires_at > $2)"
        return await self._database.call(lambda c: _one(c, query, job_id, self.now()))

    async def by_key(self, owner: str, idempotency_key: str) -> JobRecord | None:
        return await self._database.call(lambda c: _by_key(c, owner, idempotency_key, self.now()))

    async def unfinished(self) -> list[JobRecord]:
        rows = await self._fetch(f"{SELECT}WHERE status IN ('queued', 'running') ORDER BY number")
        return [JobRecord(*row) for row in rows]

    async def start(self, job_id: str, at: float) -> None:
        async def count(connection: Any) -> None:
            # It must outlive this process, and a power cut need not.
            await connection.execute("SET LOCAL synchronous_commit = off")
            await connection.execute(
                "UPDATE jobs SET status = 'running', started_at = $1, attempts = attempts + 1 "
                "WHERE id = $2 AND status IN ('queued', 'running')",
                at,
                job_id,
            )

        await self._database.call(count)

    async def requeue(self, job_id: str, *, attempts: int) -> None:
        change = "UPDATE jobs SET status = 'queued', attempts = $1 WHERE id = $2 AND status = 'running'"
        await self._database.call(lambda c: c.execute(change, attempts, job_id))

    async def finish(self, job_id: str, outcome: Outcome) -> bool:
        async def end(connection: Any) -> bool:
            ended = await note_end(connection, job_id, outcome)
            if ended:
                await notify(connection, EVENTS, job_id)
                await notify(connection, QUEUE, "")
                await notify(connection, QUEUE, job_id)
            return ended

        return await self._database.call(end)

    async def remove(self, job_id: str) -> None:
        """Its events go with it."""

        await self._database.call(lambda c: drop_row(c, job_id))

    async def expired(self, now: float) -> list[str]:
        rows = await self._fetch("SELECT id FROM jobs WHERE expires_at <= $1 ORDER BY expires_at", now)
        return [row[0] for row in rows]

    async def statuses(self) -> dict[str, Status]:
        return {row[0]: row[1] for row in await self._fetch("SELECT id, status FROM jobs")}

    async def standing(self, job_ids: Sequence[str]) -> dict[str, tuple[Status, int]]:
        """Of those that exist, the status and the latest claim."""
        rows = await self._fetch("SELECT id, status, claim FROM jobs WHERE id = ANY($1::text[])", job_ids)
        return {row[0]: (row[1], row[2]) for row in rows}

    async def counts(self) -> dict[Status, int]:
        return {
            row[0]: row[1] for row in await self._fetch("SELECT status, count(*) FROM jobs GROUP BY status")
        }

    async def recent_durations(self, count: int) -> list[float]:
        query = (
            "SELECT finished_at - started_at FROM jobs WHERE status = 'done' "
            "ORDER BY finished_at DESC LIMIT $1"
        )
        return [row[0] for row in await self._fetch(query, count)]

    async def close(self) -> None:
        await self._database.close()

    async def _fetch(self, query: str, *values: Any) -> list[Any]:
        return await self._database.call(lambda c: c.fetch(query, *values))


async def _insert(
    connection: Any, record: JobRecord, now: float, data_bytes: int, request_id: str
) -> JobRecord:
    """Keep a new job; answers the one that has its owner's idempotency key already, if any."""
    values = [getattr(record, name) for name in COLUMNS]
    while True:
        if record.idempotency_key is not None:
            # An expired job has left its key. Its row stays until its files are swept: they go by it.
            await connection.execute(
                "UPDATE jobs SET idempotency_key = NULL "
                "WHERE owner = $1 AND idempotency_key = $2 AND expires_at <= $3",
                record.owner,
                record.idempotency_key,
                now,
            )
        # Waits for another server that is adding the same key, until that has committed.
        if await connection.fetchval(_INSERT, *values, data_bytes, request_id) is not None:
            await notify(connection, QUEUE, "")
            return record
        held = await _by_key(connection, record.owner, record.idempotency_key, now)
        if held is not None:
            return held
        # It ended or expired between the two.


async def drop_row(connection: Any, job_id: str) -> None:
    """Forget a job and its events, inside a transaction."""
    await connection.execute("DELETE FROM jobs WHERE id = $1", job_id)
    await notify(connection, EVENTS, job_id)
    await notify(connection, QUEUE, job_id)


async def is_done(connection: Any, job_id: str) -> bool:
    """Whether it has a result, inside a transaction."""
    done: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM jobs WHERE id = $1 AND status = 'done')", job_id
    )
    return done


async def note_end(connection: Any, job_id: str, outcome: Outcome, claim: int | None = None) -> bool:
    """End a job, inside a transaction; False where it has ended, is gone, or the claim is lost."""
    cancelled = outcome.status == "cancelled"
    # What was cancelled is to be forgotten: the same photo may come again under the same key.
    forget = ", idempotency_key = NULL, photo_sha256 = ''" if cancelled else ""
    ended = await connection.fetchval(
        "UPDATE jobs SET status = $2, finished_at = $3, expires_at = $4, error_code = $5, "  # noqa: S608
        f"error_message = $6{forget} "
        "WHERE id = $1 AND status IN ('queued', 'running') AND ($7::bigint IS NULL OR claim = $7) "
        "RETURNING id",
        job_id,
        outcome.status,
        outcome.at,
        outcome.expires_at,
        outcome.error_code,
        outcome.error_message,
        claim,
    )
    if ended is not None and cancelled:
        await connection.execute("DELETE FROM job_events WHERE job_id = $1", job_id)
    return ended is not None


async def notify(connection: Any, channel: str, name: str) -> None:
    """Tell every server, when the transaction commits."""
    await connection.execute("SELECT pg_notify($1, $2)", channel, name)


async def _one(connection: Any, query: str, *values: Any) -> JobRecord | None:
    row = await connection.fetchrow(query, *values)
    return None if row is None else JobRecord(*row)


async def _by_key(connection: Any, owner: str, idempotency_key: str | None, now: float) -> JobRecord | None:
    return await _one(connection, _BY_KEY, owner, idempotency_key, now)
