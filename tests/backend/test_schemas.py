"""A DATA_DIR of every earlier schema, as its own server left it, is taken up; a newer one is not touched."""

import hashlib
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from backend.store import MIGRATIONS
from tests.backend import frozen
from tests.backend.frozen import FAKES, archive, rows, unpack
from tests.backend.server import Server, start
from tests.backend.stores import SqliteStores
from tests.backend.test_settings import start_and_end
from tests.backend.test_store import _open_and_close

_VERSIONS = range(1, len(MIGRATIONS) + 1)
_TWO_VERSIONS_LATER = """
from backend import store
later = (
    *store.MIGRATIONS,
    "ALTER TABLE jobs ADD COLUMN note TEXT; UPDATE jobs SET note = 'first'",
    "CREATE INDEX jobs_by_note ON jobs (note); UPDATE jobs SET note = note || ', second'",
)
store.SqliteStore.__init__.__defaults__ = (later,)
"""
"""A server that knows two schemas more than today's."""


def test_a_data_dir_of_every_schema_is_kept() -> None:
    missing = [str(archive(version)) for version in _VERSIONS if not archive(version).is_file()]
    assert missing == [], f"make it: python -m {frozen.__name__}"


@pytest.mark.parametrize("version", _VERSIONS)
def test_no_migration_was_changed_since_its_data_dir_was_made(tmp_path: Path, version: int) -> None:
    data = unpack(version, tmp_path)
    _open_and_close(SqliteStores(tmp_path), "anew", MIGRATIONS[:version])
    assert SqliteStores(data).schema("jobs") == SqliteStores(tmp_path).schema("anew")
    assert _user_version(data) == version


@pytest.mark.parametrize("version", _VERSIONS)
def test_todays_server_takes_up_what_an_earlier_one_left(tmp_path: Path, version: int) -> None:
    data = unpack(version, tmp_path)
    before = _Left(data)
    with _started(tmp_path) as server:
        before.require_kept(server)
        before.require_finished(server)
    assert _user_version(data) == len(MIGRATIONS)


def test_two_schemas_at_once_are_caught_up_and_there_is_no_way_back_but_a_backup(tmp_path: Path) -> None:
    data = unpack(len(MIGRATIONS), tmp_path)
    before = _Left(data)
    shutil.copytree(data, tmp_path / "backup")
    with _started(tmp_path, prelude=_TWO_VERSIONS_LATER) as newer:
        before.require_kept(newer)
        before.require_finished(newer)
    assert _user_version(data) == len(MIGRATIONS) + 2
    assert {row["note"] for row in rows(data).values()} == {"first, second"}

    (data / "lock").write_text("another boot")  # the server that takes its jobs up has still to notice
    was = _contents(data)
    ended = start_and_end(tmp_path, "--port", "0", DATA_DIR=str(data))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "a newer version of holdcheck made them" in line
    assert "restore a backup from before it" in line
    assert _contents(data) == was

    shutil.rmtree(data)
    (tmp_path / "backup").rename(data)
    with _started(tmp_path) as server:
        before.require_kept(server)
        before.require_finished(server)


class _Left:
    """What a DATA_DIR holds before a server touches it, and what has to come of it."""

    def __init__(self, data: Path) -> None:
        self._rows: dict[str, dict[str, Any]] = rows(data)
        assert {key: row["status"] for key, row in self._rows.items()} == {
            name: name for name in frozen.STATUSES
        }
        self._result = json.loads(self._file(data, "done", "outputs/result.json"))
        self._events = {key: self._file(data, key, "interim/events") for key in ("done", "failed")}

    def _file(self, data: Path, key: str, name: str) -> str:
        job = data / "jobs" / str(self._rows[key]["id"])
        return (job / name).read_text(encoding="utf-8")

    def require_kept(self, server: Server) -> None:
        """Jobs that have ended are what they were."""
        for key in ("done", "failed", "cancelled"):
            assert self._job(server, key)["status"] == key
        assert self._job(server, "done")["result"] == self._result
        assert self._job(server, "failed")["error"]["code"] == self._rows["failed"]["error_code"]
        for key, log in self._events.items():
            arrivals = server.follow(self._rows[key]["id"], "0")
            assert [f"{event.id} {event.data}" for event in arrivals] == [
                f"{number} {json.loads(event)}"
                for number, _, event in (line.partition(" ") for line in log.splitlines())
            ]
        assert not (server.data_dir / "jobs" / self._rows["cancelled"]["id"]).exists()

    def require_finished(self, server: Server) -> None:
        """Jobs that ran or waited are done, once, each with numbers that go on after those before."""
        for key in ("running", "queued"):
            deadline = time.monotonic() + 60
            while (job := self._job(server, key))["status"] != "done":
                assert time.monotonic() < deadline, job
                time.sleep(0.05)
            assert job["result"]["statistics"]["holds_kept"] > 0
            arrivals = server.follow(self._rows[key]["id"], "0")
            numbers = [int(event.id) for event in arrivals]
            assert numbers == sorted(set(numbers))
            assert [event.step for event in arrivals].count("complete") == 1
        server.wait_until_photos_are_gone()

    def _job(self, server: Server, key: str) -> dict[str, Any]:
        answer: dict[str, Any] = server.get(f"/api/jobs/{self._rows[key]['id']}").json()
        return answer


@contextmanager
def _started(folder: Path, prelude: str = "") -> Iterator[Server]:
    server = start(folder, FAKES, prelude=prelude)
    try:
        yield server
    finally:
        assert server.stop() == 0


def _user_version(data: Path) -> int:
    connection = sqlite3.connect(data / "jobs.sqlite3")
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    return version


def _contents(data: Path) -> dict[str, str]:
    return {
        str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in data.rglob("*")
    }
