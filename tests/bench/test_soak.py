"""The short form of `make soak`."""

from pathlib import Path

import pytest

from bench import mix, soak
from bench.cgroup import NoCgroup

IN_A_ROW = 120


def test_nothing_grows_over_a_hundred_photos_of_every_kind(tmp_path: Path, true_size_models: Path) -> None:
    # Six holds each: what may leak does so per photo, per crop and per event, and all three are here.
    settings = {"MAX_HOLDS": "6"}
    photos = [*mix.small(), *mix.unwelcome()]
    try:
        report = soak.run(
            tmp_path, true_size_models, photos, lambda analyses, _: analyses >= IN_A_ROW, settings,
            ttl_s=3, max_growth=0.05,
        )  # fmt: skip
    except NoCgroup as error:
        pytest.skip(str(error))
    soak.print_report(report)
    assert report.broken == []
    assert report.refused > 0
    assert report.failed > 0
