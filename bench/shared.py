"""What sharing jobs between servers costs: memory of its libraries, and how long an event is on its way.

`python -m bench.shared`, with PostgreSQL and Swift installed. Libraries that were left out are measured where
they are installed.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec

from backend.event_log import Line
from backend.shared.database import EVENTS, Bell, Database, prepare
from backend.shared.events import EventRows
from backend.shared.store import PostgresStore
from backend.store import JobRecord
from tests.postgres import Postgres
from tests.s3 import S3

_LIBRARIES = (["asyncpg"], ["psycopg"], ["fsspec", "obstore.fsspec"], ["s3fs"])
_EVENTS = 200
_EVENT = b'{"x":"%s"}' % (b"x" * 440)
_RSS = """
import sys
def rss():
    with open("/proc/self/smaps_rollup") as lines:
        told = dict(line.split()[:2] for line in lines if ":" in line.split()[0])
    return int(told["Rss:"]) / 1024, int(told["Anonymous:"]) / 1024
import backend.app, backend.serve
before = rss()
exec(sys.argv[1])
after = rss()
print("RSS +%.1f MiB, of which anonymous +%.1f" % tuple(b - a for a, b in zip(before, after)))
"""
_OPEN_DATABASE = """
import asyncio
from backend.shared.database import Bell, Database
from backend.shared.store import PostgresStore
async def ask():
    database = Database(sys.argv[2])
    bell = Bell(sys.argv[2], "x")
    bell.expect("x")
    await PostgresStore(database).counts()
    await asyncio.sleep(0.5)
asyncio.run(ask())
"""
_USE_BLOBS = """
import pathlib, tempfile
from backend.blobs import open_blobs
with tempfile.TemporaryDirectory() as folder:
    photo = pathlib.Path(folder) / "photo"
    photo.write_bytes(bytes(4 * 2**20))
    blobs = open_blobs(sys.argv[2], pathlib.Path(folder))
    blobs.put_file("job/inputs/photo", photo)
    blobs.fetch("job/inputs/photo", photo)
    blobs.erase("job")
"""


def main() -> None:
    for modules in _LIBRARIES:
        if all(find_spec(name.split(".")[0]) for name in modules):
            program = f"import {', '.join(modules)}"
            print(f"{program}: {_memory(program)}")
    server = Postgres()
    try:
        url = server.new_database()
        asyncio.run(prepare(url))
        print(f"database and notices open: {_memory(_OPEN_DATABASE, url)}")
        asyncio.run(_time_events(url))
    finally:
        server.remove()
    storage = S3()
    os.environ.update(storage.environment)
    try:
        print(f"a photo of 4 MiB to S3 and back: {_memory(_USE_BLOBS, storage.new_folder())}")
    finally:
        storage.remove()


def _memory(program: str, *arguments: str) -> str:
    """What the program adds to a service that has been imported."""
    command = [sys.executable, "-c", _RSS, program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


async def _time_events(url: str) -> None:
    """One server writes, another one's reader waits for each event."""
    databases, bells = [Database(url) for _ in range(2)], [Bell(url, EVENTS) for _ in range(2)]
    here, there = (EventRows(*parts) for parts in zip(databases, bells, strict=True))
    await PostgresStore(databases[0]).add(JobRecord("job", time.time()))
    came: dict[int, float] = {}

    async def read() -> None:
        async for line in await there.read("job", 0):
            came[line.seq] = time.perf_counter()

    reading = asyncio.create_task(read())
    await asyncio.sleep(1)
    began, took = {}, []
    for seq in range(1, _EVENTS + 1):
        began[seq] = time.perf_counter()
        await here.append("job", 0, [Line(seq, _EVENT)])
        took.append(time.perf_counter() - began[seq])
    await asyncio.sleep(1)
    print(f"an event of 450 bytes is written: {_spread(took)}")
    print(f"another server's reader has it: {_spread([came[seq] - began[seq] for seq in began])}")
    reading.cancel()
    for bell, database in zip(bells, databases, strict=True):
        await bell.close()
        await database.close()


def _spread(seconds: Sequence[float]) -> str:
    p95 = statistics.quantiles(seconds, n=20)[-1]
    return f"median {1000 * statistics.median(seconds):.1f} ms, 95th percentile {1000 * p95:.1f} ms"


if __name__ == "__main__":
    main()
