"""`make soak`: hundreds of photos, one after the other, on a server in 256 MiB: does anything grow?

After each analysis it notes memory, open files and threads; after the last it waits until everything has
expired and looks at what is left on the disk. Exits 1 where something grew.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench import mix
from bench.cgroup import NoCgroup, memory_limit
from bench.inputs import random_models
from bench.mix import Photo
from bench.phone import Phone, events
from bench.process import status_mib
from bench.promises import Promises
from bench.server import Server, end_servers_too

LIMIT_MIB = 256
_MAX_GROWTH = 0.03
_TTL_S = 20.0
"""Short, so that jobs expire all the time, as they do over months."""
_SWEPT_WITHIN_S = 60.0
_LOG_BYTES = 5 * 2**20
"""SQLite's write-ahead log grows to 1,000 pages, 4 MiB, and then begins again from its start."""
_DATABASE_SLACK = 128 * 1024
"""The store's file keeps freed pages, and so its largest size, which depends on how many jobs met in it."""
_POOLED_THREADS = 3
"""Pools are filled by and by, and have an end; what leaks has none."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The server after an analysis, at rest."""

    rss_mib: float
    anon_mib: float
    files: int
    threads: int
    data_bytes: int
    database_bytes: int


@dataclass(slots=True)
class Report(Promises):
    samples: list[Sample] = field(default_factory=list)
    refused: int = 0
    failed: int = 0
    seconds: float = 0.0
    oom_kills: int = 0
    peak_mib: float = 0.0
    """Of the group: page cache counts."""
    peak_rss_mib: float = 0.0
    left_bytes: int = 0
    """In jobs' folders, after everything has expired."""

    def early(self, figure: Callable[[Sample], float]) -> float:
        """Median of the analyses between 5% and 15%: by then everything that is made once is made."""
        count = len(self.samples)
        return statistics.median(figure(sample) for sample in self.samples[count // 20 : count * 3 // 20 + 1])

    def late(self, figure: Callable[[Sample], float]) -> float:
        """Median of the last tenth."""
        count = len(self.samples)
        return statistics.median(figure(sample) for sample in self.samples[-max(1, count // 10) :])

    def slope(self, figure: Callable[[Sample], float]) -> float:
        """Least squares, per thousand analyses, without the first twentieth."""
        values = [figure(sample) for sample in self.samples[len(self.samples) // 20 :]]
        return float(np.polyfit(range(len(values)), values, 1)[0]) * 1000


def run(
    folder: Path,
    models: Path,
    photos: Sequence[Photo],
    enough: Callable[[int, float], bool],
    settings: Mapping[str, str] | None = None,
    *,
    ttl_s: float = _TTL_S,
    max_growth: float = _MAX_GROWTH,
) -> Report:
    """Send round after round of the photos, each round in another order.

    Args:
        enough: told how many were analysed, and the seconds so far.
        settings: of the server, beside the defaults.

    Raises:
        NoCgroup: there is no memory limit to be had.
    """
    report = Report()
    told = {"MODELS_DIR": str(models.resolve()), "JOB_TTL_S": str(ttl_s), **(settings or {})}
    with (
        memory_limit(LIMIT_MIB) as cgroup,
        Server(folder, told, cgroup) as server,
        Phone(server.url) as phone,
    ):
        begin = time.monotonic()
        for photo in _rounds(photos):
            _send(report, phone, photo)
            if not photo.refused:
                _wait_until_idle(phone)
                report.samples.append(_sample(server))
                _print_progress(report.samples)
            report.seconds = time.monotonic() - begin
            if enough(len(report.samples), report.seconds):
                break
        _wait_until_expired(report, server, ttl_s)
        usage = cgroup.usage()
        report.oom_kills, report.peak_mib = usage.oom_kills, usage.peak_mib
        report.peak_rss_mib = status_mib(server.pid, "VmHWM")
        report.expect(server.stop() == 0, "the server did not end with status 0")
    judge(report, max_growth)
    return report


def _rounds(photos: Sequence[Photo]) -> Iterator[Photo]:
    rng = random.Random(1)  # noqa: S311 - repeatable, not secret
    while True:
        yield from rng.sample(photos, len(photos))


def _send(report: Report, phone: Phone, photo: Photo) -> None:
    with phone.stream(photo) as response:
        if response.status_code != 200:
            code = response.read() and response.json()["code"]
            report.refused += 1
            report.expect(code == photo.refused, f"{photo.name}: refused with {code}")
            return
        *_, last = events(response)
    report.expect(not photo.refused, f"{photo.name}: it was accepted")
    report.failed += last.step == "error"
    report.expect(last.code == photo.fails, f"{photo.name}: ended with {last.step} {last.code}")
    size = (last.result["image_width"], last.result["image_height"]) if last.result else (0, 0)
    report.expect(size == photo.size, f"{photo.name}: the result is about a photo of {size}")


def _wait_until_idle(phone: Phone) -> None:
    # The last event comes a moment before the memory is given back.
    while phone.http.get("/api/health").json()["queue"] != {"running": 0, "waiting": 0}:
        time.sleep(0.005)


def _sample(server: Server) -> Sample:
    process = Path("/proc") / str(server.pid)
    return Sample(
        rss_mib=status_mib(server.pid, "VmRSS"),
        anon_mib=status_mib(server.pid, "RssAnon"),
        files=len(list((process / "fd").iterdir())),
        threads=len(list((process / "task").iterdir())),
        data_bytes=_bytes_of_jobs(server),
        database_bytes=sum(path.stat().st_size for path in server.data.glob("jobs.sqlite3*")),
    )


def _bytes_of_jobs(server: Server) -> int:
    total = 0
    for folder, _, names in os.walk(server.data / "jobs"):  # it passes over what expires meanwhile
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(folder) / name).stat().st_size
    return total


def _wait_until_expired(report: Report, server: Server, ttl_s: float) -> None:
    deadline = time.monotonic() + 2 * ttl_s + _SWEPT_WITHIN_S
    while any((server.data / "jobs").iterdir()) and time.monotonic() < deadline:
        time.sleep(1)
    left = [path.name for path in (server.data / "jobs").iterdir()]
    report.left_bytes = _bytes_of_jobs(server)
    report.expect(not left, f"{len(left)} jobs' folders outlived their time: {left[:3]}")


def _print_progress(samples: Sequence[Sample]) -> None:
    if len(samples) % 50 == 0:
        last = samples[-1]
        line = f"{len(samples)} analyses: RSS {last.rss_mib:.1f} MiB, anonymous {last.anon_mib:.1f}"
        print(f"{line}, {last.files} files, {last.threads} threads", file=sys.stderr, flush=True)


def judge(report: Report, max_growth: float) -> None:
    """Note what grew: memory by more than that part, anything countable by one."""
    report.expect(report.oom_kills == 0, f"{report.oom_kills} out-of-memory kills")
    for name, figure in _MEMORY.items():
        early, late = report.early(figure), report.late(figure)
        report.expect(
            late <= early * (1 + max_growth),
            f"{name} grew from {early:.1f} to {late:.1f} MiB: more than {max_growth:.0%}",
        )
    for name, figure in _COUNTS.items():
        early, late = report.early(figure), report.late(figure)
        slack = _POOLED_THREADS if name == "threads" else 0
        report.expect(late <= early + slack, f"{name} grew from {early:.0f} to {late:.0f}")
    early, late = report.early(_database_bytes), report.late(_database_bytes)
    report.expect(
        late <= max(early + _DATABASE_SLACK, _LOG_BYTES),
        f"the store's files grew from {early:.0f} to {late:.0f} bytes",
    )


_MEMORY: dict[str, Callable[[Sample], float]] = {
    "RSS": lambda sample: sample.rss_mib,
    "anonymous": lambda sample: sample.anon_mib,
}
_COUNTS: dict[str, Callable[[Sample], float]] = {
    "open files": lambda sample: sample.files,
    "threads": lambda sample: sample.threads,
}


def _database_bytes(sample: Sample) -> float:
    return sample.database_bytes


def print_report(report: Report) -> None:
    count = len(report.samples)
    minutes = report.seconds / 60
    print(f"{count} analyses in {minutes:.0f} minutes, {report.failed} of them of damaged photos;")
    print(f"{report.refused} photos refused; {report.oom_kills} out-of-memory kills in {LIMIT_MIB} MiB")
    early = f"analyses {count // 20} to {count * 3 // 20}"
    print(f"| median | {early} | the last {max(1, count // 10)} | growth | slope per 1,000 |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, figure in _MEMORY.items():
        print(_row(report, f"{name}, MiB", figure, 1))
    for name, figure in _COUNTS.items():
        print(_row(report, name, figure, 0))
    print(_row(report, "the store's files, KiB", lambda sample: sample.database_bytes / 1024, 0))
    most = max(sample.data_bytes for sample in report.samples) / 2**20
    print(f"peak {report.peak_rss_mib:.0f} MiB RSS, {report.peak_mib:.0f} MiB with page cache")
    print(f"jobs' folders held {most:.1f} MiB at most, {report.left_bytes} bytes after they expired")


def _row(report: Report, name: str, figure: Callable[[Sample], float], digits: int) -> str:
    early, late = report.early(figure), report.late(figure)
    growth = f"{late / early - 1:+.1%} | {report.slope(figure):+.1f}"
    return f"| {name} | {early:.{digits}f} | {late:.{digits}f} | {growth} |"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--analyses", type=int, default=1000, metavar="N", help="so many (1000)")
    length.add_argument("--minutes", type=float, metavar="M", help="so long, instead")
    parser.add_argument("--holds", type=int, help="MAX_HOLDS of the server: fewer take less time")
    arguments = parser.parse_args()
    end_servers_too()
    settings = {"MAX_HOLDS": str(arguments.holds)} if arguments.holds else {}

    def enough(analyses: int, seconds: float) -> bool:
        if arguments.minutes is not None:
            return bool(seconds >= arguments.minutes * 60)
        return bool(analyses >= arguments.analyses)

    try:
        with tempfile.TemporaryDirectory(prefix="holdcheck-soak-") as folder:
            report = run(Path(folder), random_models(), mix.deck(), enough, settings)
    except NoCgroup as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    print_report(report)
    print("\n".join(report.broken) or "every promise is kept", file=sys.stderr)
    return int(bool(report.broken))


if __name__ == "__main__":
    sys.exit(main())
