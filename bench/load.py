"""`make load`: 60 clients, 300 photos of every kind, 256 MiB: is every accepted photo answered, once?

Some clients lose their streams and resume, some send a photo twice, some delete; some photos are over a
limit. Before, between and after, one client alone sends each kind once: what the server does in a crowd is
held against that. The server has one processor to itself where there are two. Exits 1 where a promise is
broken.
"""

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bench import account, crowd, mix
from bench.account import Account
from bench.cgroup import MemoryCgroup, NoCgroup, Usage, memory_limit
from bench.crowd import Visit
from bench.inputs import random_models
from bench.mix import Photo
from bench.phone import Phone, events
from bench.process import AnonPeak, status_mib
from bench.promises import Promises
from bench.server import Server, end_servers_too

LIMIT_MIB = 256
_LEAST_RATIO = 0.95
_ASK_EVERY_S = 0.25


@dataclass(slots=True)
class Alone:
    """What one client measured, by photo."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)

    def mean_s(self, photo: Photo) -> float:
        return float(np.mean(self.seconds[photo.name]))


@dataclass(slots=True)
class Report(Promises):
    clients: int = 0
    account: Account = field(default_factory=Account)
    visits: list[Visit] = field(default_factory=list)
    alone: Alone = field(default_factory=Alone)
    crowd_s: float = 0.0
    restarts: int = 0
    usage: Usage = field(default_factory=lambda: Usage(0, 0, 0))
    ready_rss_mib: float = 0.0
    peak_rss_mib: float = 0.0
    peak_anon_mib: float = 0.0
    livez_s: list[float] = field(default_factory=list)

    @property
    def expected_s(self) -> float:
        """What one client alone would have needed for the same answers, one after the other."""
        return sum(self.alone.mean_s(visit.photo) for visit in self.visits if _was_answered(visit))

    @property
    def ratio(self) -> float:
        return self.expected_s / self.crowd_s if self.crowd_s else 0.0


def run(
    folder: Path,
    models: Path,
    photos: Sequence[Photo],
    *,
    clients: int,
    count: int,
    rounds: int = 2,
    seed: int = 1,
    settings: Mapping[str, str] | None = None,
    least_ratio: float = _LEAST_RATIO,
) -> Report:
    """Alone, crowd, alone, ..., then look at everything.

    Args:
        photos: the kinds; the crowd sends `count` of them, each kind as often as the others.
        rounds: of the crowd.
        settings: of the server, beside the defaults.

    Raises:
        NoCgroup: there is no memory limit to be had.
    """
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    visits = crowd.plan((photos[number % len(photos)] for number in range(count)), rng)
    rng.shuffle(visits)
    report = Report(clients=clients, visits=visits)
    told = {"MODELS_DIR": str(models.resolve()), "JOB_TTL_S": "86400", **(settings or {})}
    with (
        _processor_apart() as cpus,
        memory_limit(LIMIT_MIB) as cgroup,
        Server(folder, told, cgroup, cpus) as server,
    ):
        pid = server.pid
        report.ready_rss_mib = status_mib(pid, "VmRSS")
        with AnonPeak(pid) as anon, suppress(httpx.TransportError):  # of a server that died
            _measure_alone(report, server, photos)
            for number in range(rounds):
                _let_them_in(report, server, clients, visits[number::rounds])
                _measure_alone(report, server, photos)
        report.restarts = int(not server.is_running)
        report.expect(server.is_running, f"the server died:\n{server.log.read_text()[-2000:]}")
        if server.is_running:
            _look_at(report, server, cgroup)
            report.peak_anon_mib = anon.mib
            report.expect(server.stop() == 0, "the server did not end with status 0")
    _judge(report, server, least_ratio)
    return report


@contextmanager
def _processor_apart() -> Iterator[set[int]]:
    """One for the server; this process, which shall not take the server's, keeps to the others meanwhile."""
    cpus = os.sched_getaffinity(0)
    if len(cpus) < 2:
        yield set()
        return
    servers = {min(cpus)}
    os.sched_setaffinity(0, cpus - servers)
    try:
        yield servers
    finally:
        os.sched_setaffinity(0, cpus)


def _measure_alone(report: Report, server: Server, photos: Iterable[Photo]) -> None:
    with Phone(server.url) as phone:
        for photo in photos:
            if photo.refused:
                continue
            begin = time.perf_counter()
            with phone.stream(photo) as response:
                response.raise_for_status()
                *_, last = events(response)
            report.alone.seconds.setdefault(photo.name, []).append(time.perf_counter() - begin)
            report.expect(last.code == photo.fails, f"{photo.name}, alone: {last.step} {last.code}")
            if last.result is not None:
                report.alone.answers[photo.name] = last.result


def _let_them_in(report: Report, server: Server, clients: int, visits: Sequence[Visit]) -> None:
    done = threading.Event()
    asking = threading.Thread(target=_ask_livez, args=(server.url, done, report.livez_s), daemon=True)
    asking.start()
    begin = time.perf_counter()
    crowd.run(server, clients, visits)
    took_s = time.perf_counter() - begin
    done.set()
    asking.join()
    report.crowd_s += took_s
    print(f"{clients} clients, {len(visits)} photos: {took_s:.0f} s", file=sys.stderr, flush=True)


def _ask_livez(url: str, done: threading.Event, took_s: list[float]) -> None:
    with httpx.Client(base_url=url, timeout=60) as client:
        while not done.wait(_ASK_EVERY_S):
            begin = time.perf_counter()
            try:
                client.get("/livez").raise_for_status()
            except httpx.HTTPError:
                took_s.append(float("inf"))
                return
            took_s.append(time.perf_counter() - begin)


def _look_at(report: Report, server: Server, cgroup: MemoryCgroup) -> None:
    report.account = account.settle(report.visits, report.alone.answers, server)
    report.usage = cgroup.usage()
    report.peak_rss_mib = status_mib(server.pid, "VmHWM")


def _was_answered(visit: Visit) -> bool:
    last = visit.events[-1].step if visit.events else ""
    return not visit.photo.refused and (visit.result is not None or last == "error" or bool(visit.refused))


def _judge(report: Report, server: Server, least_ratio: float) -> None:
    kept = report.account
    report.broken += kept.broken
    log = server.log.read_text(encoding="utf-8")
    ended = kept.done + kept.failed + kept.cancelled + kept.erased
    report.expect(kept.accepted == ended + kept.lost, f"{kept.accepted} accepted, {ended} ended")
    report.expect(kept.gave_up == 0, f"{kept.gave_up} clients were never let in")
    report.expect(report.usage.oom_kills == 0, f"{report.usage.oom_kills} out-of-memory kills")
    report.expect("Traceback" not in log, f"a traceback in the log: {log[log.find('Traceback') :][:2000]}")
    report.expect(
        report.ratio >= least_ratio, f"throughput {report.ratio:.2f} of a single client's, not {least_ratio}"
    )


def print_report(report: Report) -> None:
    kept, usage = report.account, report.usage
    print(f"{report.clients} clients, {len(report.visits)} photos, {report.crowd_s:.0f} s, {LIMIT_MIB} MiB")
    print(f"accepted {kept.accepted}: {kept.done} done, {kept.failed} damaged ones failed,")
    print(f"  {kept.cancelled} cancelled and {kept.erased} erased by their clients")
    print(f"refused: {_counts(kept.refused)}")
    print(f"told to come back, and did: {_counts(kept.turned_away)}; gave up: {kept.gave_up}")
    print(f"taken up again after hanging up: {kept.resumed}; connections that broke: {kept.broken_lines}")
    print(f"lost {kept.lost}, duplicated {kept.duplicated}, restarts {report.restarts},", end=" ")
    print(f"OOM kills {usage.oom_kills}")
    print(
        f"memory: {report.ready_rss_mib:.0f} MiB RSS when ready, {report.peak_rss_mib:.0f} at most,", end=" "
    )
    print(f"{report.peak_anon_mib:.0f} anonymous at most; the group {usage.peak_mib:.0f} with page cache")
    print("| seconds | p50 | p90 | p99 |\n| --- | ---: | ---: | ---: |")
    for name, values in _latencies(report).items():
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in np.percentile(values, (50, 90, 99)))} |")
    answered = sum(_was_answered(visit) for visit in report.visits)
    print(
        f"throughput: {answered / report.crowd_s:.3f} answers a second in the crowd, "
        f"{answered / report.expected_s:.3f} alone: {report.ratio:.2f}"
    )


def _latencies(report: Report) -> dict[str, list[float]]:
    kept = report.account
    return {
        "until accepted, refusals included": kept.until_accepted_s,
        "in the queue": kept.in_queue_s,
        "the analysis": kept.analysis_s,
        "the same photos alone, whole": [s for each in report.alone.seconds.values() for s in each],
        "`/livez` meanwhile": report.livez_s,
    }


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{code} {count}" for code, count in counter.most_common()) or "none"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--clients", type=int, default=60)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--models", type=Path, help="a MODELS_DIR with a ViT-B/32 (random weights of true size)"
    )
    arguments = parser.parse_args()
    end_servers_too()
    try:
        with tempfile.TemporaryDirectory(prefix="holdcheck-load-") as folder:
            report = run(
                Path(folder),
                arguments.models or random_models(),
                mix.deck(),
                clients=arguments.clients,
                count=arguments.photos,
                seed=arguments.seed,
            )
    except NoCgroup as error:
        print(f"load: {error}", file=sys.stderr)
        return 1
    print_report(report)
    print("\n".join(report.broken) or "every promise is kept", file=sys.stderr)
    return int(bool(report.broken))


if __name__ == "__main__":
    sys.exit(main())
