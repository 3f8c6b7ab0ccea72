"""`python -m bench.kill`: kill -9 the real server at random instants, and account for every job.

Clients send photos and follow their events through every death of the server. In the end each accepted
photo must have been answered once, each client must have seen each event once, and nothing may be left over.
Exits 1 where a promise is broken.
"""

import argparse
import io
import json
import random
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from bench.account import rows
from bench.promises import Promises
from bench.server import FAKES, Server, end_servers_too

Row = Mapping[str, Any]
"""Of the jobs table."""
CLIENTS = 3
END_S = 600.0
_WHILE_STARTING = 0.2
"""So many of the kills hit a server that is not ready yet."""
_SPREAD_S = 4.0
"""The others come within so many seconds of its being ready."""
_SETTINGS = {**FAKES, "JOB_TTL_S": "86400"}


@dataclass(slots=True)
class Followed:
    """A job as its client saw it."""

    key: str
    job_id: str
    events: list[tuple[int, str, int]] = field(default_factory=list)
    """Number, step, progress."""

    @property
    def end(self) -> str:
        return self.events[-1][1] if self.events else ""


@dataclass(slots=True)
class Report(Promises):
    """What came of it; `broken` says which promises were."""

    kills: int = 0
    jobs: int = 0
    done: int = 0
    set_aside: int = 0
    restarted: int = 0
    """Jobs whose steps began again after a kill."""
    retried: int = 0
    """Jobs that went on on another replica."""


class Client(threading.Thread):
    """Sends photo after photo, each until it is accepted, and follows each to its end."""

    def __init__(self, urls: Sequence[str], photo: bytes, enough: threading.Event) -> None:
        super().__init__(daemon=True)
        self.jobs: list[Followed] = []
        self._urls = cycle(urls)
        self._url = next(self._urls)
        self._photo = photo
        self._enough = enough
        self._http = httpx.Client(timeout=60)

    def run(self) -> None:
        with self._http:
            while not self._enough.is_set():
                job = self._post(str(uuid.uuid4()))
                self.jobs.append(job)
                while job.end not in ("complete", "error"):
                    self._follow(job)

    def _post(self, key: str) -> Followed:
        while True:
            try:
                answer = self._http.post(
                    f"{self._url}/api/jobs",
                    files={"image": self._photo},
                    headers={"Idempotency-Key": key},
                )
            except httpx.TransportError:
                self._turn_to_the_next()
                continue
            if answer.status_code == httpx.codes.ACCEPTED:
                return Followed(key, answer.json()["job_id"])
            time.sleep(0.2)

    def _follow(self, job: Followed) -> None:
        last = job.events[-1][0] if job.events else 0
        url = f"{self._url}/api/jobs/{job.job_id}/events"
        try:
            with self._http.stream("GET", url, headers={"Last-Event-ID": str(last)}) as stream:
                if stream.status_code == httpx.codes.NOT_FOUND:
                    job.events.append((last + 1, "error", 0))
                    return
                for event in _events(stream.iter_lines()):
                    job.events.append(event)  # one by one: what came before the line broke counts
                if job.end not in ("complete", "error"):
                    self._turn_to_the_next()  # it was told that the server ends
        except httpx.TransportError:
            self._turn_to_the_next()

    def _turn_to_the_next(self) -> None:
        time.sleep(0.1)
        self._url = next(self._urls)


def _events(lines: Iterator[str]) -> Iterator[tuple[int, str, int]]:
    for line in lines:
        if line.startswith("data:"):
            event = json.loads(line.removeprefix("data:"))
            if event.get("code") != "shutting_down":
                yield event["seq"], event["step"], event["progress"]


def run(kills: int, seed: int, folder: Path, spread_s: float = _SPREAD_S) -> Report:
    """Kill that often, let the rest finish, and look at everything."""
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    victim = Server(folder, _SETTINGS)
    with ExitStack() as stack:
        stack.push(victim)  # whatever happens, it ends
        return _run(kills, rng, victim, spread_s)


def _run(kills: int, rng: random.Random, victim: Server, spread_s: float) -> Report:
    enough = threading.Event()
    clients = [Client([victim.url], gradient(number), enough) for number in range(CLIENTS)]
    victim.start()
    for client in clients:
        client.start()
    for number in range(kills):
        if rng.random() < _WHILE_STARTING:
            time.sleep(rng.uniform(0, spread_s))
        else:
            victim.wait_until_ready()
            time.sleep(rng.uniform(0, spread_s))
        victim.kill()
        seen = sum(len(client.jobs) for client in clients)
        print(f"kill {number + 1} of {kills}, {seen} jobs so far", file=sys.stderr, flush=True)
        victim.start()
    enough.set()
    victim.wait_until_ready()
    for client in clients:
        client.join(END_S)
    report = Report(kills=kills)
    report.expect(not any(client.is_alive() for client in clients), "a client never got its answer")
    try:
        judge(report, [job for client in clients for job in client.jobs], _kept(victim))
    finally:
        report.expect(victim.stop() == 0, "the server did not end with status 0")
    return report


@dataclass(frozen=True, slots=True)
class Kept:
    """What lies in the store, by whatever reads it, and a server that can be asked."""

    rows: Sequence[Row]
    folders: set[str]
    photos: Sequence[str]
    url: str


def _kept(victim: Server) -> Kept:
    with rows(victim.data / "jobs.sqlite3") as kept:
        table: list[Row] = [dict(row) for row in kept]
    folders = {path.name for path in (victim.data / "jobs").iterdir()}
    photos = [str(path) for path in victim.data.glob("jobs/*/inputs/*")]
    return Kept(table, folders, photos, victim.url)


def judge(report: Report, jobs: list[Followed], kept: Kept) -> None:
    """Compare what the clients saw with what was kept; the server is running, and has nothing to do."""
    report.jobs = len(jobs)
    told, written = (job.key for job in jobs), (row["idempotency_key"] for row in kept.rows)
    report.expect(Counter(told) == Counter(written), "keys")
    by_id = {row["id"]: row for row in kept.rows}
    strangers = kept.folders ^ by_id.keys()
    report.expect(not strangers, f"folders without a job, or jobs without one: {strangers}")
    report.expect(not kept.photos, f"photos outlived their jobs: {kept.photos}")
    for job in jobs:
        _judge_job(report, job, by_id.get(job.job_id), kept.url)


def _judge_job(report: Report, job: Followed, row: Row | None, url: str) -> None:
    name = job.job_id
    if row is None:
        report.expect(False, f"{name} is lost")
        return
    answer: dict[str, Any] = httpx.get(f"{url}/api/jobs/{name}", timeout=60).json()
    replayed = list(
        _events(httpx.get(f"{url}/api/jobs/{name}/events", timeout=60).text.splitlines().__iter__())
    )
    report.expect(replayed == job.events, f"{name}: its client saw {job.events}, the log has {replayed}")
    numbers, steps, progress = zip(*replayed, strict=True) if replayed else ((), (), ())
    report.expect(list(numbers) == list(range(1, len(numbers) + 1)), f"{name}: numbers {numbers}")
    report.expect(list(progress) == sorted(progress), f"{name}: progress falls: {progress}")
    report.expect(steps.count("complete") + steps.count("error") == 1, f"{name}: ended not once: {steps}")
    report.restarted += int(steps.count("upload") > 1)
    report.retried += int("retry" in steps)
    if answer["status"] == "done":
        report.done += 1
        report.expect(answer["result"]["job_id"] == name, f"{name}: another job's result")
        report.expect(job.end == "complete", f"{name}: done, but its events end with {job.end}")
    else:
        report.set_aside += 1
        code = (answer["error"] or {}).get("code")
        told = (answer["status"], code)
        crashed = row["attempts"] >= 2 or steps.count("retry") == 1
        report.expect(told == ("failed", "job_crashed") and crashed, f"{name}: {told}, {steps}")


def gradient(number: int) -> bytes:
    """A small photo, another for each number."""
    file = io.BytesIO()
    Image.linear_gradient("L").resize((320, 240 + number)).convert("RGB").save(file, "JPEG")
    return file.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    end_servers_too()
    with tempfile.TemporaryDirectory(prefix="holdcheck-kill-") as folder:
        report = run(arguments.kills, arguments.seed, Path(folder))
    print(
        f"{report.kills} kills: {report.jobs} jobs, {report.done} done, {report.set_aside} set aside, "
        f"{report.jobs - report.done - report.set_aside} lost, {report.restarted} begun again"
    )
    print("\n".join(report.broken) or "every promise is kept", file=sys.stderr)
    return int(bool(report.broken))


if __name__ == "__main__":
    sys.exit(main())
