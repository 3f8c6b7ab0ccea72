"""Backups by the very commands of docs/deploy.md, of the real server: stopped, and while it works."""

import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backend.store import MIGRATIONS
from tests.backend import photos
from tests.backend.frozen import FAKES, HOLD, SLOWLY, rows, unpack
from tests.backend.server import Server, start
from tests.deploy.documents import block_after

_DOCUMENT = "docs/deploy.md"
_STOPPED = block_after(_DOCUMENT, "Stopped, `DATA_DIR` is files like others")
_RUNNING = block_after(_DOCUMENT, "While the server runs, the database has to be copied")
_RESTORE = block_after(_DOCUMENT, "To restore, with the server stopped")


def test_a_backup_of_a_stopped_server_is_restored(tmp_path: Path) -> None:
    job = str(rows(unpack(len(MIGRATIONS), tmp_path))["done"]["id"])
    result = json.loads((tmp_path / "data" / "jobs" / job / "outputs" / "result.json").read_text())
    _run(_STOPPED, tmp_path)
    (tmp_path / "data" / "jobs.sqlite3").write_bytes(b"as a broken disk would leave it")
    _run(_RESTORE, tmp_path)
    with _started(tmp_path) as server:
        assert server.get(f"/api/jobs/{job}").json()["result"] == result


def test_a_backup_of_a_working_server_is_restored(tmp_path: Path) -> None:
    """One analysis runs, others wait, readers follow; then the server is gone, and all of its data."""
    with _started(tmp_path, prelude=SLOWLY) as server:
        answered = _answers(server, 2)
        (tmp_path / HOLD).touch()
        accepted = [_post(server) for _ in range(3)]
        _wait_for(server, accepted[0], "running")
        _run(_RUNNING, tmp_path)
        later = _post(server)
        server.process.kill()
        server.process.wait()
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "data").mkdir()
    with tarfile.open(tmp_path / "backup.tar.gz") as backup:
        names = {name.removeprefix("./") for name in backup.getnames()}
        backup.extractall(tmp_path / "seen", filter="tar")
    assert "jobs.sqlite3" in names
    assert not names & {"lock", "jobs.sqlite3-wal", "jobs.sqlite3-shm"}
    _run(_RESTORE, tmp_path)
    with _started(tmp_path) as server:
        _require(server, answered)
        for job in accepted:
            _wait_for(server, job, "done")
        before = _numbers(tmp_path / "seen", accepted[0])
        events = [event.id for event in server.follow(accepted[0], "0")]
        assert events[: len(before)] == before
        assert int(events[len(before)]) > 10_000  # none that a client may have seen comes again
        assert server.get(f"/api/jobs/{later}").status_code == 404
        server.wait_until_photos_are_gone()


def _run(commands: str, folder: Path) -> None:
    done = subprocess.run(
        ["sh", "-euc", commands],
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(folder / "data")},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def _started(folder: Path, prelude: str = "") -> Iterator[Server]:
    server = start(folder, FAKES, prelude=prelude)
    try:
        yield server
    finally:
        server.stop()


def _post(server: Server) -> str:
    answer = server.post(photos.wall(480, 360), "/api/jobs")
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


def _answers(server: Server, count: int) -> dict[str, Any]:
    """What some jobs answered, by their ids."""
    jobs = [_post(server) for _ in range(count)]
    return {job: _wait_for(server, job, "done") for job in jobs}


def _require(server: Server, answered: dict[str, Any]) -> None:
    assert {job: server.get(f"/api/jobs/{job}").json() for job in answered} == answered
    for job in answered:
        assert server.follow(job, "0")[-1].step == "complete"


def _wait_for(server: Server, job: str, status: str) -> Any:
    deadline = time.monotonic() + 60
    while (answer := server.get(f"/api/jobs/{job}").json())["status"] != status:
        assert time.monotonic() < deadline, answer
        time.sleep(0.02)
    return answer


def _numbers(data: Path, job: str) -> list[str]:
    """Of the events that a job has in its log."""
    log = (data / "jobs" / job / "interim" / "events").read_text(encoding="utf-8")
    return [line.partition(" ")[0] for line in log.splitlines()]
