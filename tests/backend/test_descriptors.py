"""A crowd of readers takes file descriptors: it must not take those that a job needs for its end."""

import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from backend import descriptors
from backend.errors import StorageUnavailable
from backend.job_files import storage_errors, write_whole
from tests.backend.server import start
from tests.backend.test_metrics import FAKES

_FEW = """
import resource, time
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from holdcheck import pipeline
whole = pipeline.analyze
def analyze(*arguments, **options):
    for stage in whole(*arguments, **options):
        time.sleep(0.25)
        yield stage
pipeline.analyze = analyze
"""


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """The next one would be over the limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as lowest:
        free = lowest.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_crowd_of_readers_costs_no_accepted_job_its_end(tmp_path: Path, wall: bytes) -> None:
    server = start(tmp_path, FAKES, prelude=_FEW)
    address = urlsplit(server.url)
    try:
        jobs = [server.post(wall, "/api/jobs").json()["job_id"] for _ in range(2)]
        with ExitStack() as stack:
            for number in range(200):
                connection = socket.create_connection((address.hostname, address.port), timeout=10)
                stack.enter_context(connection)
                path = f"/api/jobs/{jobs[number % 2]}/events"
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            for descriptor_less in (jobs[0], jobs[1]):
                assert _last_event_of_a_reader(server.data_dir, descriptor_less) == "complete"
        assert [server.get(f"/api/jobs/{job}").json()["status"] for job in jobs] == ["done", "done"]
        assert "Too many open files" not in server.log()
    finally:
        server.stop()


def _last_event_of_a_reader(data_dir: Path, job_id: str) -> str:
    """Read from the disk: the crowd has all the connections."""
    log = data_dir / "jobs" / job_id / "interim" / "events"
    for _ in range(600):
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        for step in ("complete", "error"):
            if lines and f'"step":"{step}"' in lines[-1]:
                return step
        threading.Event().wait(0.05)
    raise AssertionError("it does not end")


@pytest.mark.parametrize(("hard", "soft"), [(600, 600), (8000, 4096)])
def test_a_start_asks_for_more_descriptors_within_bounds(tmp_path: Path, hard: int, soft: int) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip("NOT TESTED: this machine's own limit is lower")
    few = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}))"
    server = start(tmp_path, FAKES, prelude=few)
    limits = Path(f"/proc/{server.process.pid}/limits").read_text().splitlines()
    server.stop()
    (files,) = (line.split() for line in limits if line.startswith("Max open files"))
    assert (int(files[3]), int(files[4])) == (soft, hard)


@pytest.mark.parametrize(("soft", "connections"), [(4096, 512), (1024, 462), (300, 100), (64, 1)])
def test_connections_leave_descriptors_for_jobs(
    monkeypatch: pytest.MonkeyPatch, soft: int, connections: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, 4096))
    assert descriptors.connections(512) == connections


def test_a_write_waits_for_a_descriptor(tmp_path: Path) -> None:
    with no_descriptor_left(), storage_errors():
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        more = (limit[0] + 8, limit[1])
        threading.Timer(0.3, resource.setrlimit, (resource.RLIMIT_NOFILE, more)).start()
        write_whole(tmp_path / "result", b"{}")
    assert (tmp_path / "result").read_bytes() == b"{}"


def test_it_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "_PATIENCE_S", 0.1)
    with no_descriptor_left(), pytest.raises(StorageUnavailable), storage_errors():
        write_whole(tmp_path / "result", b"{}")
