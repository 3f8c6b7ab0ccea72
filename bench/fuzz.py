"""`python -m bench.fuzz`: thousands of damaged photos through the real decoder, each within its bounds.

Every file goes through `holdcheck.image.probe` and `decode` with the service's limits, in a worker whose
memory is limited to a container's. It must come out as a picture of the right shape or as a PhotoError, in
time, in no more memory than was estimated from its header, with nothing left behind. Then files and uploads
of all shapes go to a real server (`bench.fuzz_http`). Exits 1 where a promise is broken, and names the file:
`--only N --out FILE` writes it.
"""

import argparse
import contextlib
import json
import math
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench import fuzz_http, fuzz_photos
from bench.fuzz_worker import Outcome
from bench.mutate import Mutant, mutant
from holdcheck import image
from tests.cgroup import MemoryCgroup, memory_limit

LIMIT_MIB = 256
TIME_BOUND_S = 10.0
PROBE_MIB = 12.0
"""What reading a header may take at its peak; nothing is estimated before it."""
GROWTH_MIB = 8.0
"""What a worker's RSS may grow by over its life, after its first files: libraries load, tables are made."""
_WARM_FILES = 300
_SHOWN = 10


@dataclass(slots=True)
class Examined:
    """One file and what became of it."""

    number: int
    mutant: Mutant
    outcome: Outcome


@dataclass(slots=True)
class Report:
    """What came of all of them."""

    seed: int
    examined: list[Examined] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    limited: bool = True
    """Whether a memory cgroup held the workers."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, number: int, mutant: Mutant, outcome: Outcome) -> None:
        with self.lock:
            self.examined.append(Examined(number, mutant, outcome))
            wrong = outcome.broken or _out_of_bounds(mutant.kind, outcome)
            if wrong:
                self.broken.append(f"seed {self.seed} file {number} ({mutant.recipe}): {wrong}")
                print(self.broken[-1], file=sys.stderr, flush=True)


def _out_of_bounds(kind: str, outcome: Outcome) -> str:
    if outcome.seconds > TIME_BOUND_S:
        return f"took {outcome.seconds:.1f} s"
    if outcome.probe_mib > PROBE_MIB:
        return f"reading its header took {outcome.probe_mib:.1f} MiB"
    # Their containers can lie about the size of what is coded in them; then the guard of `decode` holds it.
    slack = image.SLACK_MIB if kind in ("AVIF", "HEIC") else 0
    if outcome.estimate_mib and outcome.peak_mib > outcome.estimate_mib + slack:
        return f"took {outcome.peak_mib:.1f} MiB, estimated were {outcome.estimate_mib:.1f}"
    return ""


class Worker:
    """A `bench.fuzz_worker`, started again when a file has ended it."""

    def __init__(self, folder: Path, cgroup: MemoryCgroup | None) -> None:
        self._folder = folder
        self._cgroup = cgroup
        self._photo = folder / "photo"
        self._files = 0
        self._rss: list[float] = []
        self.growth_mib = 0.0
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-m", "bench.fuzz_worker"]
        with (self._folder / "stderr").open("ab") as errors:
            self._process = subprocess.Popen(
                self._cgroup.command(*command) if self._cgroup else command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._rss.clear()
        for kind in fuzz_photos.FORMATS:  # libraries and their tables are there before anything is measured
            for whole in fuzz_photos.photos(kind).values():
                self._ask(whole)

    def examine(self, data: bytes) -> Outcome:
        outcome = self._ask(data)
        if outcome is None:
            status = self._process.wait()
            why = (
                "took longer than a minute"
                if status == -9 and self._timed_out
                else f"ended the process: {status}"
            )
            self._start()
            return Outcome(result="crash", broken=why)
        self._rss.append(outcome.rss_mib)
        if len(self._rss) > _WARM_FILES:
            self.growth_mib = self._rss[-1] - self._rss[_WARM_FILES]
        return outcome

    def _ask(self, data: bytes) -> Outcome | None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._photo.write_bytes(data)
        self._timed_out = False
        timer = threading.Timer(6 * TIME_BOUND_S, self._give_up)
        timer.start()
        try:
            self._process.stdin.write(f"{self._photo}\n".encode())
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            return None
        finally:
            timer.cancel()
        return Outcome(**json.loads(line)) if line else None

    def _give_up(self) -> None:
        self._timed_out = True
        self._process.kill()

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


def run(files: int, seed: int, jobs: int, folder: Path, first: int = 0, within_s: float = math.inf) -> Report:
    """Examine files `first` to `first + files` of a series, or as many of them as time allows."""
    report = Report(seed)
    end = time.monotonic() + within_s
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(first, first + files):
        numbers.put(number)
    with contextlib.ExitStack() as stack:
        workers = []
        for name in range(jobs):
            cgroup = stack.enter_context(_limit())
            report.limited = cgroup is not None
            (folder / str(name)).mkdir()
            workers.append(Worker(folder / str(name), cgroup))
            stack.callback(workers[-1].stop)
        threads = [threading.Thread(target=_drain, args=(numbers, worker, report, end)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for worker in workers:
            if worker.growth_mib > GROWTH_MIB:
                report.broken.append(f"seed {seed}: a worker grew by {worker.growth_mib:.1f} MiB")
    return report


@contextlib.contextmanager
def _limit() -> Iterator[MemoryCgroup | None]:
    """A real memory limit where one can be made."""
    with contextlib.ExitStack() as stack:
        try:
            group = stack.enter_context(memory_limit(LIMIT_MIB, cold=False))
        except pytest.skip.Exception:
            group = None
        yield group


def _drain(numbers: "queue.SimpleQueue[int]", worker: Worker, report: Report, end: float) -> None:
    while time.monotonic() < end:
        try:
            number = numbers.get_nowait()
        except queue.Empty:
            return
        made = mutant(report.seed, number)
        outcome = worker.examine(made.data)
        report.add(number, Mutant(made.kind, made.recipe, b""), outcome)
        if len(report.examined) % 1000 == 0:
            print(f"{len(report.examined)} files, {len(report.broken)} broken", file=sys.stderr, flush=True)


def summary(report: Report) -> str:
    """What the whole run came to, in lines."""
    kinds = Counter(one.mutant.kind for one in report.examined)
    results = Counter(one.outcome.result for one in report.examined)
    decoded = Counter(one.mutant.kind for one in report.examined if one.outcome.result == "decoded")
    lines = [
        "files: "
        + ", ".join(f"{kind} {count} ({decoded[kind]} decoded)" for kind, count in sorted(kinds.items())),
        "outcomes: " + ", ".join(f"{result} {count}" for result, count in results.most_common()),
    ]
    slowest = sorted(report.examined, key=lambda one: -one.outcome.seconds)[:_SHOWN]
    lines += ["slowest:", *(f"  {one.outcome.seconds:6.2f} s  {_name(one)}" for one in slowest)]
    judged = [one for one in report.examined if one.outcome.estimate_mib]
    largest = sorted(judged, key=lambda one: -one.outcome.peak_mib / one.outcome.estimate_mib)[:_SHOWN]
    beyond = sum(one.outcome.peak_mib > one.outcome.estimate_mib for one in judged)
    lines += [f"most memory against the estimate ({beyond} beyond it, held by the guard):"]
    lines += [
        f"  {one.outcome.peak_mib:6.1f} of {one.outcome.estimate_mib:6.1f} MiB  {_name(one)}"
        for one in largest
    ]
    probed = max(report.examined, key=lambda one: one.outcome.probe_mib)
    lines.append(f"most memory for a header: {probed.outcome.probe_mib:.1f} MiB  {_name(probed)}")
    if not report.limited:
        lines.append("NO REAL MEMORY LIMIT: no memory cgroup can be made here")
    return "\n".join(lines)


def _name(one: Examined) -> str:
    return f"{one.number}: {one.mutant.recipe} -> {one.outcome.result}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="workers")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after so many")
    parser.add_argument("--requests", type=int, default=400, help="requests to a real server")
    parser.add_argument("--only", type=int, help="make this one file, and write it with --out")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.only is not None:
        made = mutant(arguments.seed, arguments.only)
        print(made.kind, made.recipe)
        if arguments.out:
            arguments.out.write_bytes(made.data)
        return 0
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="holdcheck-fuzz-") as folder:
        place, within_s = Path(folder), 60 * arguments.minutes
        report = run(arguments.files, arguments.seed, arguments.jobs, place, arguments.first, within_s)
        print(summary(report), flush=True)
        with _limit() as cgroup:
            answered = fuzz_http.run(arguments.requests, arguments.seed, place, cgroup)
    print(fuzz_http.summary(answered))
    report.broken += answered.broken
    print(
        f"{len(report.examined)} files in {time.monotonic() - start:.0f} s, "
        f"{len(report.broken)} promises broken"
    )
    return int(bool(report.broken))


if __name__ == "__main__":
    sys.exit(main())
