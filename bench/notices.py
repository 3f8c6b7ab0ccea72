"""What one database takes of many services: `python -m bench.notices`, with PostgreSQL installed.

Processes as services would be, each with four analyses at once, write events of 450 bytes and ring for each,
as fast as they are committed; each also listens. Then what a service's look at the queue costs, and its look
at the bytes of all jobs, where many are kept. Writes build/notices.json for `python -m bench.simulate`.
"""

import argparse
import asyncio
import json
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from backend.event_log import Line
from backend.shared.board import Board
from backend.shared.database import EVENTS, QUEUE, Bell, Database, prepare
from backend.shared.events import EventRows
from backend.shared.store import PostgresStore
from backend.store import JobRecord
from tests.postgres import Postgres

OUTPUT = Path("build/notices.json")
_JOBS = 4
"""At once in each process: as many as it has connections to the database."""
_KEPT, _QUEUED = 100_000, 100
_LOOKS = 20
_FILL = """
INSERT INTO jobs (id, status, created_at, language, owner, photo_sha256, attempts)
SELECT 'job-' || number, CASE WHEN number <= $2 THEN 'queued' ELSE 'done' END, 0, 'en', '', repeat('x', 64), 1
FROM generate_series(1, $1) AS number
"""
_EVENT = b'{"x":"%s"}' % (b"x" * 440)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=int, default=500, help="of each analysis (500)")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    arguments = parser.parse_args()
    rates: dict[int, float] = {}
    server = Postgres()
    try:
        for processes in arguments.processes:
            rates[processes] = _rate(server.new_database(), processes, arguments.events)
        queue_s, bytes_s = asyncio.run(_look(server.new_database()))
    finally:
        server.remove()
    print(f"a look at the queue, {_QUEUED} waiting: {1000 * queue_s:.1f} ms; ", end="")
    print(f"at the bytes of {_KEPT:,} jobs: {1000 * bytes_s:.1f} ms")
    OUTPUT.parent.mkdir(exist_ok=True)
    told = {"events_per_s": max(rates.values()), "look_s": queue_s, "weigh_s_per_job": bytes_s / _KEPT}
    OUTPUT.write_text(json.dumps(told) + "\n", encoding="utf-8")


def _rate(url: str, processes: int, events: int) -> float:
    """Events a second of all processes together, from the first one's start to the last one's end."""
    asyncio.run(prepare(url))
    before = _database_s()
    with ProcessPoolExecutor(processes) as pool:
        spans = list(pool.map(_write, [url] * processes, range(processes), [events] * processes))
    took = max(end for _, end in spans) - min(begin for begin, _ in spans)
    count = processes * _JOBS * events
    cpu_ms = 1000 * (_database_s() - before) / count
    print(
        f"{processes} processes: {count / took:.0f} events a second, {1000 * took / count:.2f} ms each; ",
        end="",
    )
    print(f"the database's processor time {cpu_ms:.2f} ms each")
    return count / took


def _write(url: str, process: int, events: int) -> tuple[float, float]:
    return asyncio.run(_write_all(url, process, events))


async def _write_all(url: str, process: int, events: int) -> tuple[float, float]:
    database, bell = Database(url), Bell(url, EVENTS)
    rows, store = EventRows(database, bell), PostgresStore(database)
    names = [f"{process}-{number}" for number in range(_JOBS)]
    for name in names:
        await store.add(JobRecord(name, time.time()))
    bell.expect(names[0])
    begin = time.monotonic()
    await asyncio.gather(*(_append(rows, name, events) for name in names))
    end = time.monotonic()
    await bell.close()
    await database.close()
    return begin, end


async def _append(rows: EventRows, job_id: str, events: int) -> None:
    for seq in range(1, events + 1):
        await rows.append(job_id, 0, [Line(seq, _EVENT)])


async def _look(url: str) -> tuple[float, float]:
    """Seconds of a look at the queue alone, and what one at the bytes adds to it; medians."""
    await prepare(url)
    database, bell = Database(url), Bell(url, QUEUE)
    await database.call(lambda connection: connection.execute(_FILL, _KEPT, _QUEUED))
    whole = [await _timed(Board(database, bell, lambda _: None)) for _ in range(_LOOKS)]
    board = Board(database, bell, lambda _: None)
    await board.look()
    queue = [await _timed(board) for _ in range(_LOOKS)]
    await database.close()
    return statistics.median(queue), statistics.median(whole) - statistics.median(queue)


async def _timed(board: Board) -> float:
    """A new one's first look also adds up the bytes, the next ones of some seconds do not."""
    begin = time.perf_counter()
    await board.look()
    return time.perf_counter() - begin


def _database_s() -> float:
    """Processor time of the database, its ended connections included, seconds."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        if process.name().startswith("postgres"):
            used = process.cpu_times()
            total += used.user + used.system
            if process.ppid() == psutil.Process().pid:
                total += used.children_user + used.children_system
    return total


if __name__ == "__main__":
    main()
