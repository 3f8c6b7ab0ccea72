"""A model file that is not what its manifest says: the server ends, and touches no job."""

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from backend.store import JobRecord
from tests.backend.server import environment
from tests.backend.test_jobs import House
from tests.backend.test_jobs import _run as run_async
from tests.holdcheck.test_registry import HOLDCLIP, with_a_bit_changed

_TRIES_IN_VAIN_S = 20


def test_it_ends_with_one_line_and_keeps_its_jobs(tmp_path: Path) -> None:
    folder = with_a_bit_changed(HOLDCLIP, tmp_path / "models" / "clip" / "vit-b-32")
    job = _queued_job(tmp_path / "data")
    settings = {"MODELS_DIR": str(tmp_path / "models"), "DATA_DIR": str(tmp_path / "data")}
    ended = subprocess.run(
        [sys.executable, "-m", "backend", "--port", "0"],
        env=environment(settings),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=_TRIES_IN_VAIN_S,
        check=False,
    )
    assert ended.returncode == os.EX_CONFIG
    lines = ended.stderr.splitlines()
    assert lines[-1].startswith(
        f"holdcheck: {folder / 'model.ort'} is not the file that its manifest describes"
    )
    assert "restore it, or prepare it again" in lines[-1]
    assert sum("model.ort" in line for line in lines) == 1
    assert "Traceback" not in ended.stderr
    with sqlite3.connect(tmp_path / "data" / "jobs.sqlite3") as connection:
        rows = connection.execute("SELECT id, status, attempts FROM jobs").fetchall()
    connection.close()
    assert rows == [(job.id, "queued", 0)]
    assert (tmp_path / "data" / "jobs" / job.id / "inputs" / "photo").read_bytes() == b"photo"


def _queued_job(folder: Path) -> JobRecord:
    """What a server accepted that did not come to it."""
    jobs: list[JobRecord] = []

    async def accept() -> None:
        house = House(folder, held=True)
        await house.open(run=False)
        jobs.append(await house.post(sha=str(time.time())))
        await house.die()

    folder.mkdir()
    run_async(accept)
    return jobs[0]


def test_the_command_line_says_the_same(tmp_path: Path) -> None:
    folder = with_a_bit_changed(HOLDCLIP, tmp_path / "clip" / "vit-b-32", "prompts.npy")
    done = subprocess.run(
        [sys.executable, "-m", "holdcheck", "analyze", "samples/plywood.jpg"],
        env=environment({"MODELS_DIR": str(tmp_path)}),
        capture_output=True,
        text=True,
        timeout=_TRIES_IN_VAIN_S,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"holdcheck: {folder / 'prompts.npy'} is not the file that its manifest describes")
