"""The short form of `python -m bench.kill`."""

from pathlib import Path

from bench import kill


def test_five_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    report = kill.run(5, seed=3, folder=tmp_path, spread_s=1.0)
    assert report.broken == []
    assert report.jobs == report.done + report.set_aside > 0
