"""The short form of `make load`."""

from pathlib import Path

import pytest

from bench import load, mix
from bench.cgroup import NoCgroup


def test_a_crowd_is_answered_photo_by_photo_once_each(tmp_path: Path, true_size_models: Path) -> None:
    photos = [*mix.small()[5:], *mix.unwelcome()]
    try:
        report = load.run(
            tmp_path,
            true_size_models,
            photos,
            clients=15,
            count=3 * len(photos),
            rounds=1,
            settings={"MAX_HOLDS": "6", "MAX_QUEUE": "3"},
            least_ratio=0.5,  # of so few photos, beside whatever else this machine does
        )
    except NoCgroup as error:
        pytest.skip(str(error))
    load.print_report(report)
    assert report.broken == []
    kept = report.account
    assert kept.accepted == kept.done + kept.failed + kept.cancelled + kept.erased == 3 * 8
    assert (kept.lost, kept.duplicated, report.restarts, report.usage.oom_kills) == (0, 0, 0, 0)
    assert kept.resumed > 0
    assert kept.turned_away["queue_full"] > 0
