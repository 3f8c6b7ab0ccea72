"""The Postgres that several servers share: its schema, its connections, and what its failures are called."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import asyncpg

from backend.errors import StorageFull, StorageUnavailable
from backend.store import StoreUnusable

log = logging.getLogger(__name__)

_T = TypeVar("_T")

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE jobs (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id text NOT NULL UNIQUE,
        status text NOT NULL CHECK (status IN ('queued', 'running', 'done', 'failed', 'cancelled')),
        created_at double precision NOT NULL,
        started_at double precision,
        finished_at double precision,
        wall_angle text,
        language text NOT NULL,
        owner text NOT NULL,
        idempotency_key text,
        photo_sha256 text NOT NULL,
        attempts integer NOT NULL,
        error_code text,
        error_message text,
        expires_at double precision,
        claim bigint NOT NULL DEFAULT 0,
        claimed_by text,
        lease_until timestamptz,
        data_bytes bigint NOT NULL DEFAULT 0,
        request_id text NOT NULL DEFAULT ''
    );
    CREATE UNIQUE INDEX jobs_by_key ON jobs (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
    CREATE INDEX jobs_unfinished ON jobs (number) WHERE status IN ('queued', 'running');
    CREATE INDEX jobs_by_expiry ON jobs (expires_at) WHERE expires_at IS NOT NULL;
    CREATE TABLE job_events (
        job_id text NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        seq bigint NOT NULL,
        json bytea NOT NULL,
        PRIMARY KEY (job_id, seq)
    );
    -- Uncompressed: a part of a long event is read without the rest of it.
    ALTER TABLE job_events ALTER COLUMN json SET STORAGE EXTERNAL;
    -- Which store of files these jobs are kept in, and whether that has been told.
    CREATE TABLE holdcheck_store (id text NOT NULL, bound boolean NOT NULL);
    INSERT INTO holdcheck_store VALUES (gen_random_uuid()::text, false);
    """,
)
"""The schema's history; holdcheck_schema says how many of these the database has seen. Only ever append."""

EVENTS = "holdcheck_events"
"""The channel that names each job whose events or status changed."""
QUEUE = "holdcheck_queue"
"""The channel that tells where the queue moved, by the empty name, and of each job that was taken from the
server that runs it, by its id."""

_MIGRATING = 0x686F6C64
"""An advisory lock: servers that start together migrate one after the other."""
ADDING = _MIGRATING + 1
"""An advisory lock: two servers never find the same last place in the queue."""
CLAIMING = _MIGRATING + 2
"""An advisory lock: jobs are claimed in their order, also where rows are locked for a moment."""
BINDING = _MIGRATING + 3
"""An advisory lock: servers that start together give a new store of files one id."""
_CONNECTIONS = 5
_TIMEOUT_S = 30.0
_FROZEN_AFTER = "10s"
_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


async def prepare(url: str, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Bring the schema up to date.

    Raises:
        StoreUnusable: the database cannot be used, and why.
    """
    try:
        connection = await asyncpg.connect(url, timeout=_TIMEOUT_S)
        try:
            async with connection.transaction():
                await _migrate(connection, migrations)
        finally:
            await connection.close()
    except _FAILURES as error:
        raise StoreUnusable(str(error)) from None
    except ValueError:  # its text may have a part of the password in it
        raise StoreUnusable("it is no URL of a database") from None


async def _migrate(connection: Any, migrations: Sequence[str]) -> None:
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _MIGRATING)
    await connection.execute("CREATE TABLE IF NOT EXISTS holdcheck_schema (version integer NOT NULL)")
    version = await connection.fetchval("SELECT version FROM holdcheck_schema")
    if version is None:
        version = 0
        await connection.execute("INSERT INTO holdcheck_schema VALUES (0)")
    if version > len(migrations):
        raise StoreUnusable(
            f"a newer version of holdcheck made them (schema {version}; this one knows {len(migrations)}): "
            "run that version, or restore a backup from before it"
        )
    for migration in migrations[version:]:
        await connection.execute(migration)
    await connection.execute("UPDATE holdcheck_schema SET version = $1", len(migrations))


class TooLong(Exception):
    """A lock was not to be had within the time that `action` set; nothing was changed."""


class Database:
    """Connections to a prepared database, made when they are first needed. All calls on one event loop."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._ahead_s = 0.0
        """By how much the database's clock is ahead of ours."""
        self._pool: Any = None
        self._opening = asyncio.Lock()
        self._calls: set[asyncio.Task[Any]] = set()

    def now(self) -> float:
        """What its clock says, seconds since the epoch, as near as we know."""
        return time.time() + self._ahead_s

    def says(self, at: float, asked: float) -> None:
        """It was `at` there between `asked` and now."""
        self._ahead_s = at - (asked + time.time()) / 2

    async def call(self, action: Callable[[Any], Awaitable[_T]]) -> _T:
        """Run `action` with a connection, in a transaction. It happens, even where the caller is cancelled.

        Raises:
            TooLong: where it set a lock_timeout.
            StorageFull, StorageUnavailable: what it did is undone, unless the connection broke at the very
                end: then nobody can tell.
        """
        task = asyncio.create_task(self._transact(action))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        while self._calls:
            await asyncio.wait(self._calls)
        if self._pool is not None:
            await self._pool.close()

    async def _transact(self, action: Callable[[Any], Awaitable[_T]]) -> _T:
        try:
            pool = await self._opened()
            async with pool.acquire(timeout=_TIMEOUT_S) as connection, connection.transaction():
                return await action(connection)
        except asyncpg.LockNotAvailableError:
            raise TooLong from None
        except asyncpg.DiskFullError as error:
            log.error("the job store failed: %s", error)
            raise StorageFull("The server's disk is full: try again later.", 60) from None
        except _FAILURES as error:  # TimeoutError is an OSError
            log.error("the job store failed: %s", error)
            raise StorageUnavailable("The server cannot store jobs now: try again later.", 60) from None

    async def _opened(self) -> Any:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self.url,
                    min_size=0,
                    max_size=_CONNECTIONS,
                    timeout=_TIMEOUT_S,
                    command_timeout=_TIMEOUT_S,
                    # Whatever the server's own default: an accepted photo outlives a power cut.
                    server_settings={
                        "application_name": "holdcheck",
                        "synchronous_commit": "on",
                        # A server that freezes in mid-transaction does not keep its locks from the others.
                        "idle_in_transaction_session_timeout": _FROZEN_AFTER,
                    },
                )
            return self._pool


class Bell:
    """Tells what waits here what any server has written: one connection that listens.

    A notice may be missed while that connection is broken: who waits looks again after a while in any case.
    """

    def __init__(self, url: str, channel: str) -> None:
        self._url = url
        self._channel = channel
        self._waiting: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        """Only as long as somebody waits."""
        self._listener: asyncio.Task[None] | None = None

    def expect(self, name: str) -> asyncio.Event:
        """What is set at the next notice of that name. Asked for before looking, nothing is missed."""
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen())
        return self._waiting.setdefault(name, asyncio.Event())

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_once()
            except _FAILURES as error:
                log.warning("the database's notices do not come: %s", error)
            await asyncio.sleep(_LISTEN_AGAIN_S)

    async def _listen_once(self) -> None:
        broken = asyncio.Event()
        connection = await asyncpg.connect(self._url, timeout=_TIMEOUT_S)
        try:
            connection.add_termination_listener(lambda _: broken.set())
            await connection.add_listener(self._channel, lambda *heard: self._ring(heard[-1]))
            self.ring_all()  # what was written before we listened
            await broken.wait()
        finally:
            connection.terminate()

    def ring_all(self) -> None:
        """Let everything that waits look again."""
        for name in list(self._waiting):
            self._ring(name)

    def _ring(self, name: str) -> None:
        waiting = self._waiting.pop(name, None)
        if waiting is not None:
            waiting.set()


_LISTEN_AGAIN_S = 1.0
