"""The short form of `make soak`."""

from pathlib import Path

import pytest

from bench import mix, soak
from bench.cgroup import NoCgroup
from bench.soak import Report, Sample

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


def _samples(**growing: float) -> list[Sample]:
    """A thousand, of which the named figures grow by so much each time."""
    still = {"rss_mib": 120.0, "anon_mib": 80.0, "files": 15, "threads": 9, "data_bytes": 0}
    return [
        Sample(**{**still, "database_bytes": 1 << 20, **{name: 100 + by * n for name, by in growing.items()}})  # type: ignore[arg-type]
        for n in range(1000)
    ]


@pytest.mark.parametrize(
    ("samples", "complaint"),
    [
        (_samples(rss_mib=0.005), "RSS grew"),
        (_samples(anon_mib=0.005), "anonymous grew"),
        (_samples(files=0.01), "open files grew"),
        (_samples(threads=0.01), "threads grew"),
        (_samples(database_bytes=10_000), "the store's files grew"),
    ],
)
def test_what_grows_is_named(samples: list[Sample], complaint: str) -> None:
    report = Report(samples=samples)
    soak.judge(report, 0.03)
    assert [line for line in report.broken if line.startswith(complaint)] == report.broken != []


def test_what_only_varies_is_not() -> None:
    report = Report(samples=_samples(rss_mib=0.002))
    soak.judge(report, 0.03)
    assert report.broken == []
