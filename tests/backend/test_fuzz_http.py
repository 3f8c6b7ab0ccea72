"""The short form of what `python -m bench.fuzz` sends to a real server."""

from pathlib import Path

from bench import fuzz_http


def test_forty_damaged_uploads_get_an_answer_and_leave_nothing(tmp_path: Path) -> None:
    report = fuzz_http.run(40, seed=2, folder=tmp_path, cgroup=None)
    assert report.broken == []
    assert {"200", "202", "400"} <= report.statuses.keys()
