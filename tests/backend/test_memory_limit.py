"""The server under a real memory limit."""

from collections.abc import Iterator

import pytest

from tests.backend import photos
from tests.backend.server import Server, problem, start
from tests.cgroup import MemoryCgroup, memory_limit


@pytest.fixture(scope="module")
def cgroup() -> Iterator[MemoryCgroup]:
    with memory_limit(256, cold=False) as group:
        yield group


@pytest.fixture(scope="module")
def limited_server(cgroup: MemoryCgroup, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("limited"), {}, cgroup)
    yield server
    server.stop()


def test_the_memory_block_knows_the_limit(limited_server: Server) -> None:
    assert limited_server.get("/api/health").json()["memory"]["limit_mb"] == 256


@pytest.mark.parametrize("path", ["/api/analyze-stream", "/api/analyze"])
def test_a_photo_that_could_never_be_decoded_is_refused_with_the_reason(
    limited_server: Server, cgroup: MemoryCgroup, path: str
) -> None:
    answer = limited_server.post(photos.png(10000, 9000, "RGB"), path)
    assert answer.status_code == 413
    details = problem(answer)
    assert details["code"] == "photo_needs_too_much_memory"
    assert "90 megapixels" in details["detail"]
    assert cgroup.usage().oom_kills == 0


def test_a_wall_is_analysed_within_the_limit(
    limited_server: Server, cgroup: MemoryCgroup, wall: bytes
) -> None:
    assert limited_server.events(wall)[-1].step == "complete"
    assert cgroup.usage().oom_kills == 0
