"""The job store: what it keeps, in which order, and from which earlier versions."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from backend import store
from backend.errors import StorageFull, StorageUnavailable
from backend.store import JobRecord, JobStore, Outcome, SqliteStore, StoreUnusable
from tests.backend.stores import PostgresStores, SqliteStores, Stores

NOW = time.time()
JOB = JobRecord("one", NOW, "ko", "slab", "owner", "key", "sha")
DONE = Outcome("done", NOW + 2, NOW + 3600)


@pytest.fixture(params=["sqlite", "postgres"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    """Where stores can be opened by name, as often as wanted: each kind keeps the same promises."""
    if request.param == "sqlite":
        return SqliteStores(tmp_path)
    return PostgresStores(request.getfixturevalue("postgres"))


def _with_store(stores: Stores, test: Callable[[JobStore], Awaitable[None]]) -> None:
    async def run() -> None:
        opened = await stores.open("jobs")
        try:
            await test(opened)
        finally:
            await opened.close()

    asyncio.run(run())


def _open_and_close(stores: Stores, name: str, migrations: Sequence[str] | None = None) -> None:
    async def run() -> None:
        await (await stores.open(name, migrations)).close()

    asyncio.run(run())


def test_a_job_is_read_back_as_it_was_written_by_the_next_process(stores: Stores) -> None:
    async def write(jobs: JobStore) -> None:
        assert await jobs.add(JOB) == JOB

    async def read(jobs: JobStore) -> None:
        assert await jobs.get("one") == JOB
        assert await jobs.get("another") is None

    _with_store(stores, write)
    _with_store(stores, read)


def test_the_unfinished_come_oldest_first(stores: Stores) -> None:
    async def test(jobs: JobStore) -> None:
        for name in ("a", "b", "c", "d"):
            await jobs.add(replace(JOB, id=name, idempotency_key=None))
        await jobs.start("b", NOW)
        await jobs.finish("a", DONE)
        assert [(job.id, job.status) for job in await jobs.unfinished()] == [
            ("b", "running"),
            ("c", "queued"),
            ("d", "queued"),
        ]

    _with_store(stores, test)


def test_each_start_counts_an_attempt_until_it_is_taken_back(stores: Stores) -> None:
    async def test(jobs: JobStore) -> None:
        await jobs.add(JOB)
        await jobs.start("one", NOW)
        await jobs.requeue("one", attempts=1)
        await jobs.start("one", NOW + 5)
        again = await jobs.get("one")
        assert again is not None
        assert (again.status, again.attempts, again.started_at) == ("running", 2, NOW + 5)

    _with_store(stores, test)


def test_a_job_ends_once(stores: Stores) -> None:
    async def test(jobs: JobStore) -> None:
        await jobs.add(JOB)
        assert await jobs.finish("one", DONE)
        assert not await jobs.finish("one", Outcome("failed", NOW + 3, NOW + 9, "internal_error", "no"))
        ended = await jobs.get("one")
        assert ended is not None
        assert (ended.status, ended.error_code, ended.ended) == ("done", None, True)
        assert not await jobs.finish("nobody", DONE)

    _with_store(stores, test)


def test_one_owners_key_names_one_job(stores: Stores) -> None:
    async def test(jobs: JobStore) -> None:
        await jobs.add(JOB)
        assert (await jobs.add(replace(JOB, id="two"))).id == "one"
        assert (await jobs.add(replace(JOB, id="three", owner="else"))).id == "three"
        assert await jobs.get("two") is None
        found = await jobs.by_key("else", "key")
        assert found is not None
        assert found.id == "three"
        assert await jobs.by_key("nobody", "key") is None

    _with_store(stores, test)


def test_a_cancelled_job_forgets_photo_and_key(stores: Stores) -> None:
    async def test(jobs: JobStore) -> None:
        await jobs.add(JOB)
        await jobs.finish("one", Outcome("cancelled", NOW, NOW + 3600, "cancelled", "bye"))
        gone = await jobs.get("one")
        assert gone is not None
        assert (gone.photo_sha256, gone.idempotency_key) == ("", None)
        assert (await jobs.add(replace(JOB, id="two"))).id == "two"

    _with_store(stores, test)


def test_an_expired_job_is_not_there_even_before_it_is_removed(stores: Stores) -> None:
    async def test(jobs: JobStore) -> None:
        await jobs.add(replace(JOB, created_at=NOW - 100))
        await jobs.finish("one", Outcome("done", NOW - 90, NOW - 80))
        assert await jobs.get("one") is None
        assert await jobs.by_key("owner", "key") is None
        assert await jobs.expired(NOW) == ["one"]
        assert await jobs.statuses() == {"one": "done"}
        assert (await jobs.add(replace(JOB, id="two"))).id == "two"
        assert await jobs.expired(NOW) == ["one"]  # its files are still to be swept
        assert await jobs.statuses() == {"one": "done", "two": "queued"}

    _with_store(stores, test)


def test_a_key_is_free_from_the_moment_its_job_expires(stores: Stores) -> None:
    async def test(jobs: JobStore) -> None:
        await jobs.add(replace(JOB, created_at=NOW - 100))
        await jobs.finish("one", Outcome("done", NOW - 90, time.time()))
        # Its photo came before that moment, and is to be kept after it.
        assert (await jobs.add(replace(JOB, id="two", created_at=NOW - 50))).id == "two"

    _with_store(stores, test)


def test_durations_are_those_of_the_latest_done(stores: Stores) -> None:
    async def test(jobs: JobStore) -> None:
        for number in range(3):
            await jobs.add(replace(JOB, id=str(number), idempotency_key=None))
            await jobs.start(str(number), NOW)
            await jobs.finish(str(number), Outcome("done", NOW + number + 1, NOW + 3600))
        assert await jobs.recent_durations(2) == pytest.approx([3, 2], abs=0.01)

    _with_store(stores, test)


def test_every_earlier_version_becomes_this_one(stores: Stores) -> None:
    _open_and_close(stores, "new")
    assert stores.schema("new")
    for version in range(len(stores.migrations)):
        _open_and_close(stores, f"old{version}", stores.migrations[:version])
        _open_and_close(stores, f"old{version}")
        assert stores.schema(f"old{version}") == stores.schema("new")


def test_a_migration_keeps_the_rows_and_runs_once(stores: Stores) -> None:
    async def fill(jobs: JobStore) -> None:
        await jobs.add(JOB)

    _with_store(stores, fill)
    later = (*stores.migrations, "ALTER TABLE jobs ADD COLUMN note TEXT; UPDATE jobs SET note = 'moved'")
    for _ in range(2):
        _open_and_close(stores, "jobs", later)
    assert stores.rows("jobs", "SELECT id, note FROM jobs") == [("one", "moved")]
    assert stores.version("jobs") == len(later)


def test_a_migration_that_fails_changes_nothing(stores: Stores) -> None:
    broken = (*stores.migrations, "ALTER TABLE jobs ADD COLUMN note TEXT; SELECT 1 FROM nowhere")
    with pytest.raises(StoreUnusable, match="nowhere"):
        _open_and_close(stores, "jobs", broken)
    _open_and_close(stores, "jobs")
    _open_and_close(stores, "new")
    assert stores.schema("jobs") == stores.schema("new")


def test_a_store_of_a_newer_version_is_left_alone(stores: Stores) -> None:
    _open_and_close(stores, "jobs", (*stores.migrations, "CREATE TABLE later (x integer)"))
    with pytest.raises(StoreUnusable, match="a newer version of holdcheck made them"):
        _open_and_close(stores, "jobs")


def test_a_file_that_is_no_store_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite3").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreUnusable, match="not a database"):
        SqliteStore(tmp_path / "jobs.sqlite3")


def test_it_waits_for_the_disk_except_at_a_start_and_is_its_owners_only(tmp_path: Path) -> None:
    seen: list[int] = []
    modes: set[int] = set()

    async def test(jobs: JobStore) -> None:
        await jobs.add(JOB)
        await jobs.start("one", NOW)
        assert isinstance(jobs, SqliteStore)
        seen.append(await jobs._call(lambda c: c.execute("PRAGMA synchronous").fetchone()[0]))
        modes.update(file.stat().st_mode & 0o777 for file in list(tmp_path.iterdir()))  # noqa: ASYNC240

    _with_store(SqliteStores(tmp_path), test)
    assert seen == [2]  # FULL
    assert modes == {0o600}
    assert len(list(tmp_path.iterdir())) == 1  # a clean close leaves no write-ahead log


@pytest.mark.parametrize(
    ("code", "error"), [(sqlite3.SQLITE_FULL, StorageFull), (sqlite3.SQLITE_IOERR, StorageUnavailable)]
)
def test_a_disk_that_fails_is_an_error_with_a_status(
    tmp_path: Path, code: int, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = sqlite3.OperationalError("as if")
    failure.sqlite_errorcode = code

    def fail(*_: object) -> None:
        raise failure

    async def test(jobs: JobStore) -> None:
        monkeypatch.setattr(store, "_by_key", fail)
        with pytest.raises(error):
            await jobs.add(JOB)
        monkeypatch.undo()
        assert await jobs.add(JOB) == JOB  # nothing was left open

    _with_store(SqliteStores(tmp_path), test)
