"""Events that one process writes and others follow: live, resumed, and after their connections broke."""

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable

import pytest

from backend.errors import LastEventIdInvalid, StorageUnavailable
from backend.event_log import PIECE_BYTES, Line
from backend.shared.database import EVENTS, Bell, Database
from backend.shared.events import EventRows
from backend.shared.store import PostgresStore
from backend.store import JobRecord, Outcome
from tests.backend.shared.conftest import StartNode
from tests.postgres import Postgres

NOW = time.time()
DONE = Outcome("done", NOW + 2, NOW + 3600)
LINES = [Line(seq, b'{"seq":%d}' % seq) for seq in (1, 2, 3)]
LAST = Line(4, b'{"step":"complete"}')


class Shared:
    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.bell = Bell(url, EVENTS)
        self.jobs = PostgresStore(self.database)
        self.events = EventRows(self.database, self.bell)

    async def read(self, after: int) -> list[Line]:
        return [line async for line in await self.events.read("job", after)]


def _with_job(url: str, test: Callable[[Shared], Awaitable[None]]) -> None:
    async def run() -> None:
        shared = Shared(url)
        try:
            await shared.jobs.add(JobRecord("job", NOW))
            await test(shared)
        finally:
            await shared.bell.close()
            await shared.database.close()

    asyncio.run(run())


async def _told(node: subprocess.Popen[str]) -> list[list[int]]:
    """What a following process printed, to its end."""
    told, _ = await asyncio.to_thread(node.communicate, timeout=30)
    return [[int(word) for word in line.split()] for line in told.splitlines()]


@pytest.mark.parametrize(("after", "numbers"), [(0, [1, 2, 3, 4]), (2, [3, 4]), (4, [])])
def test_another_process_goes_on_after_the_last_event_that_arrived(
    url: str, start_node: StartNode, after: int, numbers: list[int]
) -> None:
    async def test(here: Shared) -> None:
        await here.events.append("job", 0, LINES)
        assert await here.events.end("job", 0, DONE, LAST)
        node = await asyncio.to_thread(start_node, "follow", url, "job", str(after))
        assert [seq for seq, *_ in await _told(node)] == numbers

    _with_job(url, test)


def test_other_processes_see_each_event_soon_after_it_is_written(url: str, start_node: StartNode) -> None:
    async def test(here: Shared) -> None:
        nodes = [await asyncio.to_thread(start_node, "follow", url, "job", "0") for _ in range(2)]
        await asyncio.sleep(1)  # they wait now
        for line in LINES:
            start = time.monotonic()
            await here.events.append("job", 0, [line])
            for node in nodes:
                assert node.stdout is not None
                assert (await asyncio.to_thread(node.stdout.readline)).startswith(f"{line.seq} ")
            # By the notice: without it a reader looks every ten seconds.
            assert time.monotonic() - start < 5
        await here.events.end("job", 0, DONE, LAST)
        assert [await _told(node) for node in nodes] == [[[4, len(LAST.json), 1, 1]]] * 2

    _with_job(url, test)


def test_no_event_had_a_number_beyond_the_last(url: str) -> None:
    async def test(here: Shared) -> None:
        await here.events.append("job", 0, LINES)
        with pytest.raises(LastEventIdInvalid):
            await here.read(4)

    _with_job(url, test)


def test_a_long_event_comes_in_parts(url: str) -> None:
    async def test(here: Shared) -> None:
        long = Line(4, b'{"result":"%s"}' % (b"x" * 3 * PIECE_BYTES))
        await here.events.append("job", 0, LINES)
        await here.events.end("job", 0, DONE, long)
        parts = await here.read(3)
        assert b"".join(part.json for part in parts) == long.json
        assert max(len(part.json) for part in parts) == PIECE_BYTES
        assert [(part.begins, part.ends) for part in parts] == [
            (True, False),
            (False, False),
            (False, False),
            (False, True),
        ]

    _with_job(url, test)


@pytest.mark.parametrize("how", ["cancelled", "deleted"])
def test_a_reader_stops_where_the_job_is_erased_by_another(url: str, how: str) -> None:
    async def test(here: Shared) -> None:
        there = Shared(url)
        await here.events.append("job", 0, LINES)
        reading = asyncio.create_task(here.read(0))
        await asyncio.sleep(0.5)
        if how == "cancelled":
            await there.jobs.finish("job", Outcome("cancelled", NOW, NOW + 9))
        else:
            await there.jobs.remove("job")
        assert await asyncio.wait_for(reading, 5) == LINES
        assert await here.read(0) == []
        await there.database.close()

    _with_job(url, test)


def test_readers_and_writers_go_on_after_the_database_was_away(url: str, postgres: Postgres) -> None:
    async def test(here: Shared) -> None:
        await here.events.append("job", 0, LINES)
        seen: list[int] = []

        async def read() -> None:
            async for line in await here.events.read("job", 0):
                seen.append(line.seq)  # noqa: PERF401 - looked at while it grows

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.5)
        await asyncio.to_thread(postgres.stop)
        with pytest.raises(StorageUnavailable):
            await here.events.append("job", 0, [LAST])
        assert not reading.done()
        await asyncio.to_thread(postgres.start)
        assert await here.events.end("job", 0, DONE, LAST)
        await asyncio.wait_for(reading, 5)
        assert seen == [1, 2, 3, 4]

    _with_job(url, test)
