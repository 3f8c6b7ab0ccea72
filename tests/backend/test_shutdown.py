"""The end of the server, also where an analysis never ends."""

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import httpx

from backend import __main__, serve
from tests.backend.server import ROOT, environment, in_its_own_files, on_this_machine, start

_STUCK = """
import threading
import backend.__main__
from holdcheck import pipeline
backend.__main__._GRACE_S = 1
pipeline.analyze = lambda *_, **__: iter(threading.Event().wait, None)  # as in a decoder that does not return
"""
_DOCKER_KILLS_AFTER_S = 10


@on_this_machine
@in_its_own_files
def test_an_analysis_that_never_ends_does_not_keep_the_process(tmp_path: Path, wall: bytes) -> None:
    server = start(tmp_path, {}, prelude=_STUCK)
    with httpx.Client(timeout=30) as client:
        stream = server.stream(client, wall)
        while next(stream).step != "upload":
            pass
        asked = time.monotonic()
        assert server.stop() == 1
        stream.close()  # type: ignore[attr-defined]
    assert time.monotonic() - asked < 1 + serve._STUCK_S + 1
    assert len(server.photos()) == 1  # of a job that is still to be answered
    assert "the running analysis does not end" in server.log()
    with closing(sqlite3.connect(server.data_dir / "jobs.sqlite3")) as store:
        assert store.execute("SELECT status, attempts FROM jobs").fetchall() == [("queued", 0)]


@on_this_machine
def test_an_abandoned_analysis_that_never_ends_does_not_either(tmp_path: Path, wall: bytes) -> None:
    server = start(tmp_path, {}, prelude=_STUCK)
    with httpx.Client(timeout=30) as client:
        stream = server.stream(client, wall)
        while next(stream).step != "upload":
            pass
        stream.close()  # type: ignore[attr-defined]
    assert server.stop() == 1
    assert len(server.photos()) == 1


def test_even_then_it_is_sooner_than_docker_kills() -> None:
    assert __main__._GRACE_S + serve._STUCK_S < _DOCKER_KILLS_AFTER_S


def test_it_hears_that_it_shall_end_while_it_still_imports(tmp_path: Path) -> None:
    """As the first process of a container, which the kernel spares every signal without a handler."""
    command = [sys.executable, "-m", "backend", "--port", "0"]
    settings = {"DATA_DIR": str(tmp_path / "data")}
    log_file = tmp_path / "log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(settings), stderr=log)
    try:
        deadline = time.monotonic() + 30
        while not _handles(process.pid, signal.SIGTERM):
            assert time.monotonic() < deadline
        process.terminate()
        assert process.wait(10) == 0
        assert "listens" not in log_file.read_text()
    finally:
        process.kill()
        process.wait()


def _handles(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (number - 1) & 1)
