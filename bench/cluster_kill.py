"""`python -m bench.cluster_kill`: kill parts of a cluster at random instants, and account for every job.

As `bench.kill`, with ENGINE=ray and two services: a Ray cluster of two nodes with a replica on each, a real
PostgreSQL and an S3-compatible server, under real analyses. A kill hits a replica, the second node, which
another one replaces, or a service, which is started again. Exits 1 where a promise is broken.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from ray.cluster_utils import Cluster

from backend.blobs import open_blobs
from backend.shared.binding import bind
from backend.shared.database import Database
from backend.shared.files import SharedFiles
from backend.shared.housekeeping import SharedHousekeeping
from backend.shared.store import PostgresStore
from bench.kill import CLIENTS, END_S, Client, Kept, Report, Row, gradient, judge
from bench.server import Server, end_servers_too
from tests.postgres import running_postgres
from tests.s3 import running_s3

_SERVICES = 2
_SPREAD_S = 4.0
_LAST_LINES = 20
_REST_S = 3.0
"""After the last answer, for photos that go with it."""
_WEIGHTS = {"replica": 6, "node": 2, "service": 2}
_NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


class Victims:
    """What can be killed, and what it all stands on."""

    def __init__(self, folder: Path) -> None:
        self._postgres = running_postgres()
        self._database = self._postgres.new_database()
        os.environ.update(running_s3().environment)
        data_url = running_s3().new_folder()
        self._data_url = data_url
        self._blobs = open_blobs(data_url, folder / "spool")
        self._cluster = Cluster(initialize_head=True, head_node_args=_NODE)
        self._second: Any = self._add()
        settings = {
            "ENGINE": "ray",
            "RAY_ADDRESS": self._cluster.address,
            "RAY_MIN_REPLICAS": "2",
            "RAY_MAX_REPLICAS": "2",
            "DATABASE_URL": self._database,
            "DATA_URL": data_url,
            **running_s3().environment,
            "JOB_TTL_S": "86400",
        }
        self.services = [self._service(folder / f"service{number}", settings) for number in range(_SERVICES)]

    def _service(self, folder: Path, settings: Mapping[str, str]) -> Server:
        folder.mkdir()
        return Server(folder, settings)

    def kept(self) -> Kept:
        """What they left; they are running, and have nothing to do."""
        table = asyncio.run(self._tidied())
        folders = set(self._blobs.folders("jobs"))
        photos = [job for job in folders if self._blobs.total(f"jobs/{job}/inputs")]
        return Kept(table, folders, photos, self.services[0].url)

    async def _tidied(self) -> list[Row]:
        """Every job, after what services do every ten minutes: dead ones' half uploads go the second time."""
        database = Database(self._database)
        with tempfile.TemporaryDirectory() as spool:
            store_id = await bind(self._database, self._blobs, self._data_url)
            files = SharedFiles(
                self._blobs, Path(spool) / "spool", 2**40, store_id=store_id, keeps_corrections=False
            )
            housekeeping = SharedHousekeeping(3600, PostgresStore(database), files)
            await housekeeping.tidy()
            await housekeeping.tidy()
        table: list[Row] = await database.call(lambda c: c.fetch("SELECT * FROM jobs"))
        await database.close()
        return table

    def results(self) -> Counter[int]:
        """How many jobs have how many results."""
        return Counter(len(self._blobs.folders(f"jobs/{job}/outputs")) for job in self._blobs.folders("jobs"))

    def _add(self) -> Any:
        return self._cluster.add_node(num_cpus=1, object_store_memory=_NODE["object_store_memory"])

    def kill(self, kind: str, rng: random.Random) -> None:
        if kind == "service":
            service = rng.choice(self.services)
            service.kill()
            service.start()
        elif kind == "node":
            self._cluster.remove_node(self._second, allow_graceful=False)
            self._second = self._add()
        else:
            replicas = [
                process for process in psutil.Process().children(recursive=True) if _is_replica(process)
            ]
            if replicas:
                rng.choice(replicas).kill()

    def end(self) -> None:
        for service in self.services:
            if service.is_running:
                service.kill()
        self._cluster.shutdown()


def _is_replica(process: "psutil.Process") -> bool:
    with suppress(psutil.Error):
        return "ray::ServeReplica" in " ".join(process.cmdline())
    return False


def run(kills: int, seed: int, folder: Path) -> tuple[Report, Counter[str]]:
    """Kill that often, let the rest finish, and look at everything; answers also what was killed."""
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    victims = Victims(folder)
    try:
        return _run(kills, rng, victims)
    finally:
        victims.end()


def _run(kills: int, rng: random.Random, victims: Victims) -> tuple[Report, Counter[str]]:
    for service in victims.services:
        service.start()
        service.wait_until_ready()
    enough = threading.Event()
    urls = [service.url for service in victims.services]
    turns = [urls[number % len(urls) :] + urls[: number % len(urls)] for number in range(CLIENTS)]
    clients = [Client(turn, gradient(number), enough) for number, turn in enumerate(turns)]
    for client in clients:
        client.start()
    killed: Counter[str] = Counter()
    for number in range(kills):
        time.sleep(rng.uniform(0, _SPREAD_S))
        (kind,) = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        killed[kind] += 1
        seen = sum(len(client.jobs) for client in clients)
        print(f"kill {number + 1} of {kills}: {kind}, {seen} jobs so far", file=sys.stderr, flush=True)
        victims.kill(kind, rng)
    enough.set()
    for service in victims.services:
        service.wait_until_ready()
    for client in clients:
        client.join(END_S)
    time.sleep(_REST_S)
    report = Report(kills=kills)
    report.expect(not any(client.is_alive() for client in clients), "a client never got its answer")
    judge(report, [job for client in clients for job in client.jobs], victims.kept())
    report.expect(max(victims.results(), default=0) <= 1, f"results of a job: {victims.results()}")
    for service in victims.services:
        status = service.stop()
        last = service.log.read_text(encoding="utf-8").splitlines()[-_LAST_LINES:]
        report.expect(status == 0, "\n".join((f"a service ended with status {status}", *last)))
    return report, killed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cluster_kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    end_servers_too()
    with tempfile.TemporaryDirectory(prefix="holdcheck-kill-") as folder:
        report, killed = run(arguments.kills, arguments.seed, Path(folder))
    what = ", ".join(f"{count} of a {kind}" for kind, count in killed.items())
    print(
        f"{report.kills} kills ({what}): {report.jobs} jobs, {report.done} done, {report.set_aside} set "
        f"aside, {report.jobs - report.done - report.set_aside} lost, {report.retried} retried "
        f"elsewhere, {report.restarted} begun again"
    )
    print("\n".join(report.broken) or "every promise is kept", file=sys.stderr)
    return int(bool(report.broken))


if __name__ == "__main__":
    sys.exit(main())
