"""Who runs a job, where several servers could: one at a time, and another one after a server died of it.

A claim has a number. Whatever is written for a job names the claim that it is written under, and is refused
once there is a later one: a server that was only slow, and comes back, changes nothing. Leases are measured
by the database's clock alone.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from backend.shared.database import CLAIMING, EVENTS, QUEUE, Database, TooLong
from backend.shared.store import notify
from backend.store import COLUMNS, JobRecord


class ClaimLost(Exception):
    """The job has ended, is gone, or was claimed by another server meanwhile: let go of it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one job, for as long as it is renewed."""

    record: JobRecord
    """`attempts` has this one in it."""
    number: int
    abandoned: bool
    """Another server was running it, and its lease ran out."""
    request_id: str = ""
    """Of the request that brought it."""


_CLAIM = f"""
WITH next AS (
    SELECT number, status FROM jobs
    WHERE status = 'queued' OR (
        status = 'running' AND lease_until < clock_timestamp()
        -- After a restart its holder gets as long as a lease to renew it.
        AND pg_postmaster_start_time() < clock_timestamp() - $3::interval
    )
    ORDER BY number LIMIT 1 FOR UPDATE
)
UPDATE jobs SET status = 'running', started_at = $1, attempts = attempts + 1,
    claim = claim + 1, claimed_by = $2, lease_until = clock_timestamp() + $3::interval
FROM next WHERE jobs.number = next.number
RETURNING {", ".join(f"jobs.{name}" for name in COLUMNS)},
    jobs.claim, next.status = 'running', jobs.request_id
"""  # noqa: S608 - our own names
_CLAIM_AROUND = _CLAIM.replace("FOR UPDATE", "FOR UPDATE SKIP LOCKED")
_ORDER_WAIT = "SET LOCAL lock_timeout = '300ms'"
"""A row is locked for a millisecond while an event is written. Longer: its server is frozen, or far away."""
_RENEW = """
UPDATE jobs SET lease_until = clock_timestamp() + $3::interval
FROM unnest($1::text[], $2::bigint[]) AS held (id, claim)
WHERE jobs.id = held.id AND jobs.claim = held.claim AND jobs.status = 'running'
RETURNING jobs.id, jobs.claim
"""
_EXCUSE = "UPDATE jobs SET attempts = $3 WHERE id = $1 AND claim = $2 AND status = 'running'"
_RELEASE = """
UPDATE jobs SET status = 'queued', attempts = $3, claimed_by = NULL, lease_until = NULL
WHERE id = $1 AND claim = $2 AND status = 'running' RETURNING id
"""
_FORGET = "DELETE FROM jobs WHERE id = $1 AND claim = $2 AND status = 'running' RETURNING id"
_ENDED = "SELECT EXISTS (SELECT FROM jobs WHERE id = $1 AND claim = $2 AND status IN ('done', 'failed'))"
_HOLDS = "SELECT EXISTS (SELECT FROM jobs WHERE id = $1 AND claim = $2 AND status = 'running')"


class Claims:
    """One server's claims.

    Args:
        holder: this process and no other, not the next one on the same machine either: a uuid.
        lease_s: how long a claim lasts that is not renewed, seconds: several pauses between renewals.
    """

    def __init__(self, database: Database, holder: str, lease_s: float) -> None:
        self._database = database
        self._holder = holder
        self._lease = timedelta(seconds=lease_s)

    async def claim(self, at: float) -> Claim | None:
        """Take the oldest job that waits, or whose server went silent; None where there is none.

        Durable when it returns: an attempt that kills this server is counted.
        """

        values = (at, self._holder, self._lease)
        try:
            row = await self._database.call(lambda c: _claim_in_order(c, values))
        except TooLong:
            row = await self._database.call(lambda c: _claim(c, _CLAIM_AROUND, values))
        if row is None:
            return None
        *record, number, abandoned, request_id = row
        return Claim(JobRecord(*record), number, abandoned, request_id)

    async def renew(self, held: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
        """Hold on to these claims, by job and number, for another lease; answers those that are left.

        An analysis under another one is to be stopped: its job was cancelled, or is run elsewhere. A claim of
        which nobody here knows, because the answer to it got lost, is left to run out.
        """
        ids, numbers = [job_id for job_id, _ in held], [number for _, number in held]
        rows = await self._database.call(lambda c: c.fetch(_RENEW, ids, numbers, self._lease))
        return {(row[0], row[1]) for row in rows}

    async def holds(self, claim: Claim) -> bool:
        """Whether it is still ours."""
        row: bool = await self._database.call(lambda c: c.fetchval(_HOLDS, claim.record.id, claim.number))
        return row

    async def ended(self, claim: Claim) -> bool:
        """Whether the job has ended under it."""
        row: bool = await self._database.call(lambda c: c.fetchval(_ENDED, claim.record.id, claim.number))
        return row

    async def excuse(self, claim: Claim) -> None:
        """Do not count this attempt, whatever becomes of this server now: it is told to end."""
        values = (claim.record.id, claim.number, claim.record.attempts - 1)
        await self._database.call(lambda c: c.execute(_EXCUSE, *values))

    async def forget(self, claim: Claim) -> bool:
        """Remove the job with its events, unless another server has it, or has ended it."""
        job_id = claim.record.id

        async def remove(connection: Any) -> bool:
            removed = await connection.fetchval(_FORGET, job_id, claim.number) is not None
            if removed:
                await notify(connection, EVENTS, job_id)
                await notify(connection, QUEUE, "")
            return removed

        return await self._database.call(remove)

    async def release(self, claim: Claim) -> bool:
        """Give a job back unharmed, for any server to take: this attempt does not count."""
        record = claim.record

        async def put_back(connection: Any) -> bool:
            values = (record.id, claim.number, record.attempts - 1)
            released = await connection.fetchval(_RELEASE, *values) is not None
            if released:
                await notify(connection, QUEUE, "")
            return released

        return await self._database.call(put_back)


async def _claim_in_order(connection: Any, values: Sequence[object]) -> Any:
    """The oldest, though its row be locked for a moment: one claim after the other, on all servers."""
    await connection.execute(_ORDER_WAIT)
    await connection.execute("SELECT pg_advisory_xact_lock($1)", CLAIMING)
    return await _claim(connection, _CLAIM, values)


async def _claim(connection: Any, query: str, values: Sequence[object]) -> Any:
    row = await connection.fetchrow(query, *values)
    if row is not None:
        await notify(connection, QUEUE, "")
    return row
