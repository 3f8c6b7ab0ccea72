"""What is known of each job, kept where a killed process or a power cut does not reach it.

One SQLite file, one connection, one thread: writes cannot meet, and nothing waits for a lock. Another
database only has to keep the Protocol. docs/jobs.md has the measurements.
"""

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from backend.errors import StorageFull, StorageUnavailable
from backend.messages import DEFAULT_LANGUAGE, Language
from holdcheck.result import WallAngle

log = logging.getLogger(__name__)

Status = Literal["queued", "running", "done", "failed", "cancelled"]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One row. Times are seconds since the epoch."""

    id: str
    """uuid4: who knows it may read the job."""
    created_at: float
    language: Language = DEFAULT_LANGUAGE
    wall_angle: WallAngle | None = None
    owner: str = ""
    """Hash of the key that made it; empty where the service has no keys."""
    idempotency_key: str | None = None
    photo_sha256: str = ""
    status: Status = "queued"
    started_at: float | None = None
    """When its latest attempt began."""
    finished_at: float | None = None
    attempts: int = 0
    """Runs begun that the process did not live to end, the present one included."""
    error_code: str | None = None
    error_message: str | None = None
    """In English; a reader's language is applied when it is read."""
    expires_at: float | None = None
    """When row and files go; None while the job is queued or running."""

    @property
    def ended(self) -> bool:
        return self.status not in ("queued", "running")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended."""

    status: Literal["done", "failed", "cancelled"]
    at: float
    expires_at: float
    error_code: str | None = None
    error_message: str | None = None


class JobStore(Protocol):
    """Jobs by id. What has returned is durable, `start` excepted; no call leaves half a change.

    Every method may raise StorageFull or StorageUnavailable.
    """

    async def add(self, record: JobRecord) -> JobRecord:
        """Keep a new job; answers the one that has its owner's idempotency key already, if any."""
        ...

    async def get(self, job_id: str) -> JobRecord | None: ...

    async def by_key(self, owner: str, idempotency_key: str) -> JobRecord | None: ...

    async def unfinished(self) -> list[JobRecord]:
        """Queued and running jobs, oldest first."""
        ...

    async def start(self, job_id: str, at: float) -> None:
        """Count an attempt. It outlives the process, not a power cut: that is nobody's crash."""
        ...

    async def requeue(self, job_id: str, *, attempts: int) -> None: ...

    async def finish(self, job_id: str, outcome: Outcome) -> bool:
        """End a job; False where it has ended already, or is gone."""
        ...

    async def remove(self, job_id: str) -> None: ...

    async def expired(self, now: float) -> list[str]: ...

    async def statuses(self) -> dict[str, Status]:
        """Every job that is known, expired ones included."""
        ...

    async def counts(self) -> dict[Status, int]:
        """How many jobs there are of each status; one that none has is left out."""
        ...

    async def recent_durations(self, count: int) -> list[float]:
        """Seconds that the latest finished jobs took, newest first."""
        ...

    async def close(self) -> None: ...


class StoreUnusable(Exception):
    """The file is no store, is damaged, or was made by a newer version."""


MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'done', 'failed', 'cancelled')),
        created_at REAL NOT NULL,
        started_at REAL,
        finished_at REAL,
        wall_angle TEXT,
        language TEXT NOT NULL,
        owner TEXT NOT NULL,
        idempotency_key TEXT,
        photo_sha256 TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        error_code TEXT,
        error_message TEXT,
        expires_at REAL
    );
    CREATE UNIQUE INDEX jobs_by_key ON jobs (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
    CREATE INDEX jobs_unfinished ON jobs (number) WHERE status IN ('queued', 'running');
    CREATE INDEX jobs_by_expiry ON jobs (expires_at) WHERE expires_at IS NOT NULL;
    """,
)
"""The schema's history: the file's user_version says how many of these it has seen. Only ever append.

The number stands for all of DATA_DIR: where the form of a job's files changes so that an older version could
not read them, that too takes a migration here, if need be an empty one. tests/backend/test_schemas.py wants a
DATA_DIR of each number, made by the version of its time.
"""

COLUMNS = tuple(column.name for column in fields(JobRecord))
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM jobs "  # noqa: S608 - our own names
_INSERT = f"INSERT INTO jobs ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
_LIVES = "(expires_at IS NULL OR expires_at > ?)"
_FULL_CODES = frozenset({sqlite3.SQLITE_FULL})


class SqliteStore:
    """The store in one SQLite file, readable by its owner only.

    Raises:
        StoreUnusable: the file cannot be used, and why.
    """

    def __init__(self, file: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        try:
            self._connection = self._thread.submit(_open, file, migrations).result()
        except BaseException:
            self._thread.shutdown()
            raise

    async def add(self, record: JobRecord) -> JobRecord:
        values = [getattr(record, name) for name in COLUMNS]

        def insert(connection: sqlite3.Connection) -> JobRecord:
            if record.idempotency_key is not None:
                now = time.time()
                # An expired job has left its key. Its row stays until its files are swept: they go by it.
                connection.execute(
                    "UPDATE jobs SET idempotency_key = NULL "
                    "WHERE owner = ? AND idempotency_key = ? AND expires_at <= ?",
                    (record.owner, record.idempotency_key, now),
                )
                held = _by_key(connection, record.owner, record.idempotency_key, now)
                if held is not None:
                    return held
            connection.execute(_INSERT, values)
            return record

        return await self._write(insert)

    async def get(self, job_id: str) -> JobRecord | None:
        query = f"{_SELECT}WHERE id = ? AND {_LIVES}"
        return await self._call(lambda connection: _one(connection, query, (job_id, time.time())))

    async def by_key(self, owner: str, idempotency_key: str) -> JobRecord | None:
        return await self._call(lambda connection: _by_key(connection, owner, idempotency_key, time.time()))

    async def unfinished(self) -> list[JobRecord]:
        query = f"{_SELECT}WHERE status IN ('queued', 'running') ORDER BY number"
        return await self._call(lambda connection: [JobRecord(*row) for row in connection.execute(query)])

    async def start(self, job_id: str, at: float) -> None:
        change = (
            "UPDATE jobs SET status = 'running', started_at = ?, attempts = attempts + 1 "
            "WHERE id = ? AND status IN ('queued', 'running')"
        )
        await self._write(lambda connection: connection.execute(change, (at, job_id)), synced=False)

    async def requeue(self, job_id: str, *, attempts: int) -> None:
        change = "UPDATE jobs SET status = 'queued', attempts = ? WHERE id = ? AND status = 'running'"
        await self._write(lambda connection: connection.execute(change, (attempts, job_id)))

    async def finish(self, job_id: str, outcome: Outcome) -> bool:
        # What was cancelled is to be forgotten: the same photo may come again under the same key.
        forget = ", idempotency_key = NULL, photo_sha256 = ''" if outcome.status == "cancelled" else ""
        change = (
            "UPDATE jobs SET status = ?, finished_at = ?, expires_at = ?, error_code = ?, error_message = ?"  # noqa: S608
            f"{forget} WHERE id = ? AND status IN ('queued', 'running')"
        )
        values = (outcome.status, outcome.at, outcome.expires_at, outcome.error_code, outcome.error_message)
        cursor = await self._write(lambda connection: connection.execute(change, (*values, job_id)))
        return cursor.rowcount == 1

    async def remove(self, job_id: str) -> None:
        await self._write(lambda connection: connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,)))

    async def expired(self, now: float) -> list[str]:
        query = "SELECT id FROM jobs WHERE expires_at <= ? ORDER BY expires_at"
        return await self._call(lambda connection: [row[0] for row in connection.execute(query, (now,))])

    async def statuses(self) -> dict[str, Status]:
        query = "SELECT id, status FROM jobs"
        return await self._call(lambda connection: dict(connection.execute(query).fetchall()))

    async def counts(self) -> dict[Status, int]:
        query = "SELECT status, count(*) FROM jobs GROUP BY status"
        return await self._call(lambda connection: dict(connection.execute(query).fetchall()))

    async def recent_durations(self, count: int) -> list[float]:
        query = (
            "SELECT finished_at - started_at FROM jobs WHERE status = 'done' "
            "ORDER BY finished_at DESC LIMIT ?"
        )
        return await self._call(lambda connection: [row[0] for row in connection.execute(query, (count,))])

    async def close(self) -> None:
        await self._call(sqlite3.Connection.close)
        self._thread.shutdown()

    async def _call(self, action: Callable[[sqlite3.Connection], _T]) -> _T:
        """Once handed over it happens, even where the caller is cancelled meanwhile."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._guarded, action)

    async def _write(self, action: Callable[[sqlite3.Connection], _T], *, synced: bool = True) -> _T:
        def transact(connection: sqlite3.Connection) -> _T:
            with _transaction(connection, synced):
                return action(connection)

        return await self._call(transact)

    def _guarded(self, action: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            return action(self._connection)
        except sqlite3.Error as error:
            log.error("the job store failed: %s", error)
            if getattr(error, "sqlite_errorcode", None) in _FULL_CODES:
                raise StorageFull("The server's disk is full: try again later.", 60) from None
            raise StorageUnavailable("The server cannot store jobs now: try again later.", 60) from None


def _open(file: Path, migrations: Sequence[str]) -> sqlite3.Connection:
    try:
        # SQLite gives its other files the rights of this one.
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(file, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnusable(str(error)) from None
    try:
        _prepare(connection, migrations)
    except sqlite3.Error as error:
        connection.close()
        raise StoreUnusable(str(error)) from None
    except StoreUnusable:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(migrations):
        raise StoreUnusable(
            f"a newer version of holdcheck made them (schema {version}; this one knows {len(migrations)}): "
            "run that version, or restore a backup from before it"
        )
    connection.execute("PRAGMA journal_mode = WAL")
    # NORMAL would lose the last commits in a power cut: an accepted photo could be gone.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA cache_size = -256")
    connection.execute("PRAGMA journal_size_limit = 1048576")
    for number, migration in enumerate(migrations[version:], start=version + 1):
        with _transaction(connection, synced=True):
            for statement in filter(str.strip, migration.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")


@contextmanager
def _transaction(connection: sqlite3.Connection, synced: bool) -> Iterator[None]:
    if not synced:
        connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if not synced:
            connection.execute("PRAGMA synchronous = FULL")


def _one(connection: sqlite3.Connection, query: str, values: tuple[Any, ...]) -> JobRecord | None:
    row = connection.execute(query, values).fetchone()
    return None if row is None else JobRecord(*row)


def _by_key(connection: sqlite3.Connection, owner: str, idempotency_key: str, now: float) -> JobRecord | None:
    query = f"{_SELECT}WHERE owner = ? AND idempotency_key = ? AND {_LIVES}"
    return _one(connection, query, (owner, idempotency_key, now))
