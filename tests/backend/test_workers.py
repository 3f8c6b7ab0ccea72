"""One process serves. Whoever asks for more is told why, and nothing starts."""

from pathlib import Path

import pytest

from tests.backend.server import start
from tests.backend.test_settings import start_and_end


@pytest.mark.parametrize("number", ["2", "many"])
def test_more_workers_than_one_are_refused_with_the_reason(tmp_path: Path, number: str) -> None:
    ended = start_and_end(tmp_path, f"--workers={number}")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert f"--workers {number}: takes 1" in line
    assert "one process serves; it takes one photo at a time on purpose" in line
    assert not list(tmp_path.iterdir())


def test_so_are_those_that_a_platform_asks_for(tmp_path: Path) -> None:
    ended = start_and_end(tmp_path, WEB_CONCURRENCY="4")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "WEB_CONCURRENCY=4: takes 1" in line
    assert "one photo at a time" in line


def test_one_is_what_there_is(tmp_path: Path) -> None:
    settings = {"WEB_CONCURRENCY": "1", "YOLO_WEIGHTS": "never-prepared"}
    server = start(tmp_path, settings, arguments=("--workers", "1"))
    assert server.stop() == 0
