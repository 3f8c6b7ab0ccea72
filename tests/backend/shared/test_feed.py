"""The events of a job that one server after the other runs, as its readers have them."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import pytest

from backend.errors import Unavailable
from backend.events import Event, Narrator, failure
from backend.shared.claims import Claim, ClaimLost, Claims
from backend.shared.database import EVENTS, Bell, Database
from backend.shared.events import EventRows
from backend.shared.feed import SharedFeed
from backend.shared.store import PostgresStore
from backend.store import JobRecord, Outcome
from holdcheck import memory
from tests.postgres import Postgres

NOW = time.time()
END = failure("job_timed_out", "It took too long.", memory.snapshot())
FAILED = Outcome("failed", NOW + 2, NOW + 3600, "job_timed_out", "It took too long.")


class Server:
    def __init__(self, url: str, name: str, lease_s: float) -> None:
        self.database = Database(url)
        self.bell = Bell(url, EVENTS)
        self.jobs = PostgresStore(self.database)
        self.claims = Claims(self.database, name, lease_s)
        self.rows = EventRows(self.database, self.bell)

    async def take(self, patience_s: float = 20) -> SharedFeed:
        claim = await self.claims.claim(NOW)
        assert claim is not None
        return await self.feed(claim, patience_s)

    async def feed(self, claim: Claim, patience_s: float) -> SharedFeed:
        narrator = Narrator("job", "en", NOW)
        narrator.resume(await self.rows.last("job"), gap=False)
        return SharedFeed(self.rows, claim, narrator, patience_s)

    async def read(self) -> list[tuple[int, str, int]]:
        lines = [json.loads(line.json) async for line in await self.rows.read("job", 0)]
        return [(told["seq"], told["step"], told["progress"]) for told in lines]


def _with_servers(url: str, test: Callable[[Server, Server], Awaitable[None]], lease_s: float = 60) -> None:
    async def run() -> None:
        a, b = Server(url, "a", lease_s), Server(url, "b", lease_s)
        try:
            await a.jobs.add(JobRecord("job", NOW))
            await test(a, b)
        finally:
            for server in (a, b):
                await server.bell.close()
                await server.database.close()

    asyncio.run(run())


def _step(step: str, progress: int) -> Event:
    return Event(step, progress, {}, memory.snapshot())


def test_the_stream_goes_on_where_another_server_takes_the_job_up(url: str) -> None:
    async def test(a: Server, b: Server) -> None:
        reading = asyncio.create_task(b.read())
        first = await a.take()
        first.tell(_step("upload", 5))
        first.tell(_step("detection", 60))
        await first.flush()
        await asyncio.sleep(0.3)  # the lease is over
        second = await b.take()
        first.tell(_step("analysis", 70))
        await first.flush()
        assert isinstance(first.error, ClaimLost)
        with pytest.raises(ClaimLost):
            await first.end(END, FAILED)
        second.tell(_step("upload", 5))
        await second.end(END, FAILED)
        assert await asyncio.wait_for(reading, 5) == [
            (1, "upload", 5),
            (2, "detection", 60),
            (3, "upload", 60),
            (4, "error", 60),
        ]

    _with_servers(url, test, lease_s=0.2)


def test_what_is_told_while_the_database_is_away_is_written_once_it_is_back(
    url: str, postgres: Postgres
) -> None:
    async def test(a: Server, b: Server) -> None:
        feed = await a.take()
        feed.tell(_step("upload", 5))
        await feed.flush()
        await asyncio.to_thread(postgres.stop)
        feed.tell(_step("detection", 60))
        feed.tell(_step("analysis", 70))
        await asyncio.sleep(1)
        await asyncio.to_thread(postgres.start)
        await feed.end(END, FAILED)
        assert feed.error is None
        assert [seq for seq, *_ in await b.read()] == [1, 2, 3, 4]

    _with_servers(url, test)


def test_what_was_written_without_an_answer_is_not_there_twice(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(a: Server, b: Server) -> None:
        feed = await a.take()
        append, end = a.rows.append, a.rows.end
        lost = {"append", "end"}

        async def append_without_answer(*arguments: object) -> None:
            await append(*arguments)  # type: ignore[arg-type]
            if "append" in lost:
                lost.remove("append")
                raise Unavailable("as if")

        async def end_without_answer(*arguments: object) -> bool:
            ended = await end(*arguments)  # type: ignore[arg-type]
            if "end" in lost:
                lost.remove("end")
                raise Unavailable("as if")
            return ended

        monkeypatch.setattr(a.rows, "append", append_without_answer)
        monkeypatch.setattr(a.rows, "end", end_without_answer)
        feed.tell(_step("upload", 5))
        await feed.end(END, FAILED)
        assert not lost
        assert feed.error is None
        assert await b.read() == [(1, "upload", 5), (2, "error", 5)]

    _with_servers(url, test)


def test_a_database_that_stays_away_stops_the_analysis(url: str, postgres: Postgres) -> None:
    async def test(a: Server, b: Server) -> None:
        feed = await a.take(patience_s=0.5)
        await asyncio.to_thread(postgres.stop)
        feed.tell(_step("upload", 5))
        await feed.flush()
        assert isinstance(feed.error, Unavailable)
        await asyncio.to_thread(postgres.start)

    _with_servers(url, test)
