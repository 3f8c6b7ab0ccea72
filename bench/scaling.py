"""What each further replica brings: `python -m bench.scaling [--replicas 1 2] [--seconds 30] [--windows 6]`.

The real service with ENGINE=ray on a cluster of its own, with 1 to N replicas of one thread each, and the
embedded engine beside them. Clients that send their next photo when they have the last answer keep two more
photos in the service than it has replicas, so that none waits for work.

Clients, service, Ray and replicas share this machine's cores: the share of each is printed, and so is that of
whatever else ran. Each is measured for several windows of time; the one in which others took least counts,
with --again also among those of earlier runs. build/scaling.json gets it, for `python -m bench.simulate`.
"""

import argparse
import json
import math
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]

from bench.inputs import random_models, wall_photos
from bench.mix import Photo
from bench.phone import Phone, events
from bench.server import Server, end_servers_too

OUTPUT = Path("build/scaling.json")
_EXTRA_CLIENTS = 2
_WARM_UP = 2
"""Photos of each client before anything counts."""
_IDLE_S = 5.0
_QUIET = 0.02
"""Where others take no more of the machine, no further window is needed."""
_PATIENCE_S = 600.0
ANALYSIS, SERVICE, RAY, CLIENTS, OTHERS, IDLE = "analysis", "service", "Ray", "clients", "others", "idle"


@dataclass(frozen=True, slots=True)
class Visit:
    """One photo as its client saw it, seconds on this process's clock."""

    sent: float
    began: float
    """`upload`: a worker has it."""
    ended: float
    analysis_s: float
    """The stages' own times."""
    events: int

    def within(self, begin: float, end: float) -> float:
        """Seconds of the analysis that lie inside a window."""
        return max(0.0, min(self.ended, end) - max(self.began, begin))


@dataclass(frozen=True, slots=True)
class Run:
    """One saturated server for a while."""

    engine: str
    replicas: int
    seconds: float
    photos_per_min: float
    service_s: list[float]
    """From `upload` to `complete`, for each photo."""
    analysis_s: list[float]
    """The stages' own times, for each photo."""
    hand_over_s: float
    """What passes between two analyses of one worker, mean."""
    cpu: dict[str, float]
    """The part of the cores' time that each took."""
    analysis_cpu_s: float
    """Processor time of the replicas, or of the embedded server, for one photo: waiting is not in it."""
    service_cpu_s: float
    """Processor time of the service for one photo, without what it takes at rest. With ENGINE=ray alone."""
    ray_cpu_s: float
    """The same of Ray's own processes."""
    resting_cores: float
    """Cores that service, Ray and replicas take together while nobody asks."""
    ready_s: float
    photo_bytes: float
    events: float

    @property
    def slot_s(self) -> float:
        """What one photo takes of a worker."""
        return statistics.fmean(self.service_s) + self.hand_over_s


class Crowd:
    """Clients in threads; each sends its next photo when it has the last answer."""

    def __init__(self, url: str, photos: Sequence[Photo], clients: int) -> None:
        self.visits: list[Visit] = []
        self.failed: list[str] = []
        self._url = url
        self._photos = photos
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=self._be_client, args=(number,), daemon=True) for number in range(clients)
        ]

    def wait_for(self, count: int) -> None:
        """Until so many photos are answered."""
        deadline = time.perf_counter() + _PATIENCE_S
        while len(self.visits) < count:
            if self.failed or time.perf_counter() > deadline:
                raise SystemExit(f"scaling: {self.failed or 'no answers'}")
            time.sleep(0.02)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def leave(self) -> None:
        """Send no more, and wait for the last answers."""
        self._enough.set()
        for thread in self._threads:
            thread.join(_PATIENCE_S)

    def _be_client(self, number: int) -> None:
        try:
            with Phone(self._url) as phone:
                while not self._enough.is_set():
                    self.visits.append(_visit(phone, self._photos[number % len(self._photos)]))
                    number += 1
        except (httpx.HTTPError, RuntimeError) as error:
            self.failed.append(str(error))


def _visit(phone: Phone, photo: Photo) -> Visit:
    sent = time.perf_counter()
    began, count = sent, 0
    with phone.stream(photo) as response:
        response.raise_for_status()
        for event in events(response):
            count += 1
            if event.step == "upload":
                began = time.perf_counter()
            if event.step == "error":
                raise RuntimeError(f"{photo.name}: {event.code}")
    ended = time.perf_counter()
    assert event.result is not None
    return Visit(sent, began, ended, sum(event.result["timings_ms"].values()) / 1000, count)


class Processors:
    """Who took the cores' time since this was made."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._began = time.perf_counter()
        self._before = _processor_times(pid)
        self._busy = _busy_s()

    def seconds(self) -> dict[str, float]:
        """By group, seconds of one core."""
        took = dict.fromkeys((ANALYSIS, SERVICE, RAY, CLIENTS), 0.0)
        for pid, (group, now) in _processor_times(self._pid).items():
            took[group] += now - self._before.get(pid, (group, 0.0))[1]
        ours = sum(took.values())
        busy = _busy_s() - self._busy
        total = (time.perf_counter() - self._began) * _cores()
        return {**took, OTHERS: max(0.0, busy - ours), IDLE: max(0.0, total - max(busy, ours))}


def _processor_times(pid: int) -> dict[int, tuple[str, float]]:
    """User and system time of the server's processes and of this one, seconds."""
    server = psutil.Process(pid)
    family = [(SERVICE, server), (CLIENTS, psutil.Process())]
    family += [(_group(process), process) for process in server.children(recursive=True)]
    times = {}
    for group, process in family:
        with suppress(psutil.Error):  # it has ended
            used = process.cpu_times()
            times[process.pid] = (group, used.user + used.system)
    return times


def _group(process: "psutil.Process") -> str:
    with suppress(psutil.Error):
        return ANALYSIS if "ray::ServeReplica" in " ".join(process.cmdline()) else RAY
    return RAY


def _busy_s() -> float:
    """Time of this machine's cores that anybody took since it started."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def measure(replicas: int, models: Path, photos: Sequence[Photo], seconds: float, windows: int) -> Run:
    """Start a server, keep it busy, end it.

    Args:
        replicas: 0 is the embedded engine.
        windows: so many at most, each of `seconds`; that in which others took least counts.
    """
    settings = {"RAY_MIN_REPLICAS": str(replicas)} if replicas else {}
    with _server(replicas, models, settings) as server:
        workers = max(1, replicas)
        resting = Processors(server.pid)
        time.sleep(_IDLE_S)
        at_rest = resting.seconds()
        crowd = Crowd(server.url, photos, workers + _EXTRA_CLIENTS)
        crowd.start()
        crowd.wait_for(_WARM_UP * (workers + _EXTRA_CLIENTS))
        taken = [_watch(server, seconds)]
        while len(taken) < windows and _foreign(taken[-1]) > _QUIET:
            taken.append(_watch(server, seconds))
        crowd.leave()
        if crowd.failed:
            raise SystemExit(f"scaling: {crowd.failed}")
        quietest = min(taken, key=_foreign)
        return _run(replicas, quietest, crowd.visits, at_rest, server.ready_s, photos)


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, and who took how much of the cores in it."""

    begin: float
    end: float
    took: dict[str, float]


def _watch(server: Server, seconds: float) -> Window:
    begin, processors = time.perf_counter(), Processors(server.pid)
    time.sleep(seconds)
    took = processors.seconds()
    return Window(begin, time.perf_counter(), took)


def _foreign(window: Window) -> float:
    """The part of the machine that others took."""
    return window.took[OTHERS] / (window.end - window.begin) / _cores()


def _run(
    replicas: int,
    window: Window,
    visits: Sequence[Visit],
    at_rest: Mapping[str, float],
    ready_s: float,
    photos: Sequence[Photo],
) -> Run:
    begin, end, took = window.begin, window.end, window.took
    inside = [visit for visit in visits if visit.within(begin, end) > 0]
    # One that lies half inside counts half: whole ones would make short runs jump.
    done = sum(visit.within(begin, end) / (visit.ended - visit.began) for visit in inside)
    busy_s = sum(visit.within(begin, end) for visit in inside)
    # Of those that only reach into it the long ones would be too many.
    ended = [visit for visit in visits if begin <= visit.ended <= end]
    seconds, workers = end - begin, max(1, replicas)

    def for_one_photo(group: str) -> float:
        return max(0.0, took.get(group, 0.0) - at_rest.get(group, 0.0) / _IDLE_S * seconds) / done

    cpu = dict(took)
    if not replicas:
        cpu[ANALYSIS] = cpu.pop(SERVICE)  # one process is both
    return Run(
        engine="ray" if replicas else "embedded",
        replicas=workers,
        seconds=seconds,
        photos_per_min=60 * done / seconds,
        service_s=[visit.ended - visit.began for visit in ended],
        analysis_s=[visit.analysis_s for visit in ended],
        hand_over_s=max(0.0, workers * seconds - busy_s) / done,
        cpu={group: used / (seconds * _cores()) for group, used in cpu.items()},
        analysis_cpu_s=cpu[ANALYSIS] / done,
        service_cpu_s=for_one_photo(SERVICE) if replicas else 0.0,
        ray_cpu_s=for_one_photo(RAY),
        resting_cores=sum(at_rest.get(group, 0.0) for group in (SERVICE, RAY, ANALYSIS)) / _IDLE_S,
        ready_s=ready_s,
        photo_bytes=statistics.fmean(len(photo.body) for photo in photos),
        events=statistics.fmean(visit.events for visit in ended),
    )


def measure_scale_up(models: Path, photos: Sequence[Photo]) -> float:
    """Seconds from the first photo of a crowd to the second replica's first analysis."""
    with _server(2, models, {"RAY_MIN_REPLICAS": "1"}) as server:
        crowd = Crowd(server.url, photos, 2 + _EXTRA_CLIENTS)
        began = time.perf_counter()
        crowd.start()
        try:
            seen = 0
            while True:
                seen += 1
                crowd.wait_for(seen)
                second = _first_beside_another(crowd.visits)
                if second is not None:
                    return second - began
        finally:
            crowd.leave()


def _first_beside_another(visits: Sequence[Visit]) -> float | None:
    """When an analysis first began while another one ran, and not as its successor."""
    ordered = sorted(visits, key=lambda visit: visit.began)
    for one, other in pairwise(ordered):
        if min(one.ended, other.ended) - other.began > 0.25 * (other.ended - other.began):
            return other.began
    return None


@contextmanager
def _server(replicas: int, models: Path, settings: Mapping[str, str]) -> Iterator[Server]:
    told = {"MODELS_DIR": str(models.resolve()), "LOG_LEVEL": "warning", "MAX_QUEUE": str(8 + 2 * replicas)}
    if replicas:
        told |= {"ENGINE": "ray", "RAY_MAX_REPLICAS": str(replicas), **settings}
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), told) as server:
        yield server


def _photos() -> list[Photo]:
    bodies = []
    for path in wall_photos():
        request = httpx.Request("POST", "http://localhost", files={"image": (path.name, path.read_bytes())})
        bodies.append(Photo(path.name, request.read(), request.headers["content-type"], ""))
    return bodies


def _table(runs: Sequence[Run]) -> str:
    """The first run with Ray is what the others are held against."""
    one = next(run for run in runs if run.engine == "ray")
    shares = (ANALYSIS, SERVICE, RAY, CLIENTS, OTHERS, IDLE)
    lines = [
        "| engine, replicas | photos/min | speed-up | efficiency | a photo, s | its processor time, s "
        f"| {' | '.join(shares)} |",
        "| --- |" + " ---: |" * (5 + len(shares)),
    ]
    for run in runs:
        up = run.photos_per_min / one.photos_per_min
        efficiency = up / run.replicas * one.replicas
        parts = " | ".join(f"{100 * run.cpu.get(group, 0.0):.0f}%" for group in shares)
        lines.append(
            f"| {run.engine}, {run.replicas} | {run.photos_per_min:.1f} | {up:.2f} | {efficiency:.2f} "
            f"| {statistics.median(run.service_s):.2f} | {run.analysis_cpu_s:.2f} | {parts} |"
        )
    return "\n".join(lines)


def _details(run: Run) -> str:
    stages, service = statistics.fmean(run.analysis_s), statistics.fmean(run.service_s)
    ranked = statistics.quantiles(run.service_s, n=20)
    text = (
        f"{run.engine}, {run.replicas}: a worker has a photo for {run.slot_s:.3f} s: {stages:.3f} in the "
        f"stages, {service - stages:.3f} around them, {run.hand_over_s:.3f} until the next; "
        f"5 to 95% of photos {ranked[0]:.2f} to {ranked[-1]:.2f} s ({len(run.service_s)} photos)"
    )
    if run.engine == "ray":
        text += (
            f"; processor time for each photo: service {1000 * run.service_cpu_s:.0f} ms, Ray "
            f"{1000 * run.ray_cpu_s:.0f} ms; at rest all of it takes {run.resting_cores:.2f} cores; "
            f"ready after {run.ready_s:.1f} s"
        )
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--replicas", type=int, nargs="+", default=list(range(1, _cores() + 1)))
    parser.add_argument("--seconds", type=float, default=30, help="of a window (30)")
    parser.add_argument("--windows", type=int, default=6, help="for each, at most (6)")
    parser.add_argument("--again", action="store_true", help="earlier runs count, too")
    parser.add_argument("--models", type=Path, help="MODELS_DIR (a ViT-B/32 of true size is made)")
    arguments = parser.parse_args()
    end_servers_too()
    models, photos = arguments.models or random_models(), _photos()
    print(f"{_cores()} cores, {datetime.now(UTC):%H:%M} UTC, load {os.getloadavg()[0]:.1f}", flush=True)
    runs, scale_up_s = _earlier() if arguments.again else ([], math.inf)
    for count in (0, *arguments.replicas):
        runs.append(measure(count, models, photos, arguments.seconds, arguments.windows))
        print(_details(runs[-1]), flush=True)
    scale_up_s = min(scale_up_s, measure_scale_up(models, photos))
    best = _quietest(runs)
    print(f"\nthe quietest of all\n\n{_table(best)}\n")
    print("\n".join(_details(run) for run in best))
    print(f"a second replica has its first photo {scale_up_s:.1f} s after the first of a crowd")
    OUTPUT.parent.mkdir(exist_ok=True)
    report = {"cores": _cores(), "scale_up_s": scale_up_s, "runs": [asdict(run) for run in best]}
    OUTPUT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _earlier() -> tuple[list[Run], float]:
    """What the last run measured on this machine."""
    report = json.loads(OUTPUT.read_text(encoding="utf-8"))
    return [Run(**run) for run in report["runs"]], report["scale_up_s"]


def _quietest(runs: Sequence[Run]) -> list[Run]:
    """Of each kind the one in which others took least."""
    kinds = sorted({(run.engine, run.replicas) for run in runs})
    return [
        min((run for run in runs if (run.engine, run.replicas) == kind), key=lambda run: run.cpu[OTHERS])
        for kind in kinds
    ]


if __name__ == "__main__":
    main()
