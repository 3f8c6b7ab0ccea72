"""The service when its analyses go wrong, each by its own fault: it says so, and recovers."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.backend.server import Server, on_this_machine, problem, start
from tests.backend.test_metrics import FAKES

_BREAKS = """
import pathlib
import backend.watch
from holdcheck import pipeline
backend.watch.QUIET_S = 2.0
whole = pipeline.analyze
def analyze(*arguments, **options):
    if pathlib.Path("broken").exists():
        raise ZeroDivisionError
    yield from whole(*arguments, **options)
pipeline.analyze = analyze
"""
_STUCK = """
import threading
import backend.relay
from holdcheck import pipeline
backend.relay._STUCK_S = 0.2
pipeline.analyze = lambda *_, **__: iter(threading.Event().wait, None)  # as in a decoder that does not return
"""


@pytest.fixture
def breakable_server(tmp_path: Path) -> Iterator[Server]:
    """Its analyses fail while there is a file `broken`."""
    server = start(tmp_path, FAKES, prelude=_BREAKS)
    yield server
    server.stop()


@pytest.fixture
def stuck_server(tmp_path: Path) -> Iterator[Server]:
    """Its analyses never return."""
    server = start(tmp_path, {**FAKES, "JOB_TIMEOUT_S": "1"}, prelude=_STUCK)
    yield server
    server.process.kill()
    server.process.wait()


def test_failures_in_a_row_make_it_not_ready_until_one_succeeds_or_time_has_passed(
    breakable_server: Server, wall: bytes
) -> None:
    server, broken = breakable_server, breakable_server.data_dir.parent / "broken"
    broken.touch()
    for _ in range(3):
        assert server.get("/readyz").status_code == 200
        assert problem(server.post(wall, "/api/analyze"))["code"] == "internal_error"
    refused = server.get("/readyz")
    assert (refused.status_code, problem(refused)["code"]) == (503, "not_ready")
    assert 1 <= int(refused.headers["retry-after"]) <= 2
    health = server.get("/api/health").json()
    assert (health["status"], health["ready"]) == ("degraded", False)
    assert "3 analyses failed" in health["error_reason"]
    metrics = server.get("/metrics").text
    assert "holdcheck_ready 0.0" in metrics
    assert 'holdcheck_jobs_ended_total{code="internal_error",outcome="failed"} 3.0' in metrics
    time.sleep(2.1)  # nothing was sent: it wants to try
    assert server.get("/readyz").status_code == 200
    server.post(wall, "/api/analyze")
    assert server.get("/readyz").status_code == 503
    broken.unlink()
    assert server.post(wall, "/api/analyze").status_code == 200  # it only advises
    assert server.get("/readyz").status_code == 200
    health = server.get("/api/health").json()
    assert health["ready"] is True
    assert "failed" not in health["error_reason"]  # only that it is a fake
    assert health["timings_ms"].keys() >= {"decode", "detection"}


@on_this_machine
def test_an_analysis_that_never_returns_is_said_and_so_is_what_to_do(
    stuck_server: Server, wall: bytes
) -> None:
    server = stuck_server
    assert problem(server.post(wall, "/api/analyze"))["code"] == "job_timed_out"
    waited = server.get("/readyz")
    for refused in (waited, server.post(wall), server.post(wall, "/api/jobs")):
        assert (refused.status_code, problem(refused)["code"]) == (503, "not_ready")
        assert "restart the server" in problem(refused)["detail"]
        assert int(refused.headers["retry-after"]) == 60
    health = server.get("/api/health").json()
    assert (health["status"], health["ready"]) == ("unavailable", False)
    assert "restart the server" in health["error_reason"]
    assert "holdcheck_worker_stuck 1.0" in server.get("/metrics").text
    assert httpx.get(f"{server.url}/livez").status_code == 200
