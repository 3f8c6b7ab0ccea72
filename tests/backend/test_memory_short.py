"""Where something else took the memory that an analysis needs: refused or kept waiting, not killed."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from tests.backend.server import Server, in_its_own_files, problem, start
from tests.cgroup import MemoryCgroup, memory_limit

_LIMIT_MIB = 256
_HOG = """
import sys
held = bytearray(int(sys.argv[1]) << 20)
held[::4096] = bytes(len(held[::4096])).replace(b"\\0", b"\\1")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cgroup() -> Iterator[MemoryCgroup]:
    with memory_limit(_LIMIT_MIB, cold=False) as group:
        yield group


@pytest.fixture(scope="module")
def limited_server(cgroup: MemoryCgroup, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("short"), {}, cgroup)
    yield server
    server.stop()


@contextmanager
def _hog(cgroup: MemoryCgroup, server: Server) -> Iterator[None]:
    """Another process in the container that leaves 30 MiB."""
    available = server.get("/api/health").json()["memory"]["available_mb"]
    command = cgroup.command(sys.executable, "-c", _HOG, str(int(available) - 30))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as hog:
        assert hog.stdout is not None
        assert hog.stdout.readline() == b"held\n"
        yield
        hog.communicate(timeout=30)


def test_without_memory_a_photo_is_refused_before_it_is_sent(
    limited_server: Server, cgroup: MemoryCgroup, wall: bytes
) -> None:
    with _hog(cgroup, limited_server):
        answer = limited_server.post(wall, "/api/jobs")
        assert limited_server.get("/readyz").status_code == 503
    assert limited_server.get("/readyz").status_code == 200
    assert answer.status_code == 503
    assert problem(answer)["code"] == "memory_short"
    assert int(answer.headers["retry-after"]) > 0
    assert limited_server.events(wall)[-1].step == "complete"
    assert cgroup.usage().oom_kills == 0


@in_its_own_files
def test_a_photo_that_was_under_way_waits_for_memory(
    limited_server: Server, cgroup: MemoryCgroup, wall: bytes
) -> None:
    with ExitStack() as hog:

        def body() -> Iterator[bytes]:
            yield b"--b\r\nContent-Disposition: form-data; name=image\r\n\r\n" + wall[:1000]
            time.sleep(0.5)  # it is admitted by its headers
            hog.enter_context(_hog(cgroup, limited_server))
            yield wall[1000:] + b"\r\n--b--\r\n"

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        url = f"{limited_server.url}/api/jobs"
        accepted = httpx.post(url, content=body(), headers=headers, timeout=30)
        assert accepted.status_code == 202, accepted.text
        path = f"/api/jobs/{accepted.json()['job_id']}"
        time.sleep(2)
        waiting = limited_server.get(path).json()
        assert (waiting["status"], waiting["position"]) == ("queued", 0)
        events = limited_server.data_dir / "jobs" / accepted.json()["job_id"] / "interim" / "events"
        assert '"detection"' not in events.read_text()
        unready = limited_server.get("/readyz")
        assert (unready.status_code, problem(unready)["code"]) == (503, "not_ready")
        assert "memory" in problem(unready)["detail"]
        assert problem(limited_server.post(wall, "/api/jobs"))["code"] == "memory_short"
    assert limited_server.follow(accepted.json()["job_id"], "0")[-1].step == "complete"
    assert cgroup.usage().oom_kills == 0
