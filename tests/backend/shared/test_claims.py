"""Several servers and one queue: each job is run by one of them, and by another one where that dies."""

import asyncio
import json
import random
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from backend.event_log import Line
from backend.shared import events, store
from backend.shared.claims import Claim, ClaimLost, Claims
from backend.shared.database import EVENTS, Bell, Database
from backend.shared.events import EventRows
from backend.shared.store import PostgresStore
from backend.store import JobRecord, Outcome
from tests.backend.shared.conftest import StartNode
from tests.backend.shared.node import MAX_ATTEMPTS
from tests.postgres import Postgres

NOW = time.time()
DONE = Outcome("done", NOW + 2, NOW + 3600)
LAST = Line(9, b'{"step":"complete"}')


class Node:
    """What one server has of the shared parts."""

    def __init__(self, url: str, name: str, lease_s: float = 60) -> None:
        self.database = Database(url)
        self.bell = Bell(url, EVENTS)
        self.jobs = PostgresStore(self.database)
        self.claims = Claims(self.database, name, lease_s)
        self.events = EventRows(self.database, self.bell)

    async def claim(self) -> Claim:
        claim = await self.claims.claim(NOW)
        assert claim is not None
        return claim

    async def close(self) -> None:
        await self.bell.close()
        await self.database.close()


def _with_nodes(
    url: str, test: Callable[[Node, Node], Awaitable[None]], jobs: int = 1, lease_s: float = 60
) -> None:
    async def run() -> None:
        a, b = Node(url, "a", lease_s), Node(url, "b", lease_s)
        try:
            for number in range(jobs):
                await a.jobs.add(JobRecord(str(number), NOW + number))
            await test(a, b)
        finally:
            await a.close()
            await b.close()

    asyncio.run(run())


def test_the_oldest_job_goes_to_one_server_and_the_next_to_another(url: str) -> None:
    async def test(a: Node, b: Node) -> None:
        first, second = await asyncio.gather(a.claim(), b.claim())
        assert {first.record.id, second.record.id} == {"0", "1"}
        assert (first.record.attempts, first.record.status, first.abandoned) == (1, "running", False)
        assert await a.claims.claim(NOW) is None

    _with_nodes(url, test, jobs=2)


def test_servers_that_ask_at_once_never_get_the_same_job(url: str) -> None:
    async def test(a: Node, b: Node) -> None:
        claims = await asyncio.gather(*((a, b)[n % 2].claims.claim(NOW) for n in range(60)))
        ids = [claim.record.id for claim in claims if claim is not None]
        assert len(ids) == len(set(ids))
        # Who finds the rest locked goes away empty, and asks again.
        while (claim := await a.claims.claim(NOW)) is not None:
            ids.append(claim.record.id)
        assert sorted(ids, key=int) == [str(number) for number in range(40)]

    _with_nodes(url, test, jobs=40)


def test_a_claim_that_is_renewed_is_nobody_elses(url: str) -> None:
    async def test(a: Node, b: Node) -> None:
        claim = await a.claim()
        for _ in range(4):
            await asyncio.sleep(0.3)
            assert await a.claims.renew([("0", claim.number)]) == {("0", claim.number)}
            assert await b.claims.claim(NOW) is None

    _with_nodes(url, test, lease_s=1)


def test_a_silent_servers_job_is_taken_up_elsewhere_and_the_late_one_changes_nothing(url: str) -> None:
    async def test(a: Node, b: Node) -> None:
        lost = await a.claim()
        await a.events.append("0", lost.number, [Line(1, b"{}")])
        await asyncio.sleep(0.3)
        taken = await b.claim()
        assert (taken.abandoned, taken.record.attempts) == (True, 2)
        assert await a.claims.renew([("0", lost.number)]) == set()
        with pytest.raises(ClaimLost):
            await a.events.append("0", lost.number, [Line(2, b"{}")])
        assert not await a.events.end("0", lost.number, DONE, LAST)
        assert not await a.claims.release(lost)
        assert await b.events.last("0") == Line(1, b"{}")
        assert await b.events.end("0", taken.number, DONE, LAST)

    _with_nodes(url, test, lease_s=0.2)


def test_who_takes_a_job_up_knows_every_event_that_was_written_before(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(a: Node, b: Node) -> None:
        lost = await a.claim()
        written, go_on = asyncio.Event(), asyncio.Event()

        async def before_commit(*_: object) -> None:
            written.set()
            await go_on.wait()

        monkeypatch.setattr(events, "notify", before_commit)
        writing = asyncio.create_task(a.events.append("0", lost.number, [Line(1, b"{}")]))
        await written.wait()
        await asyncio.sleep(0.3)  # the lease is over
        assert await b.claims.claim(NOW) is None
        go_on.set()
        await writing
        await b.claim()
        assert await b.events.last("0") == Line(1, b"{}")

    _with_nodes(url, test, lease_s=0.2)


def test_a_job_that_is_given_back_costs_no_attempt(url: str) -> None:
    async def test(a: Node, b: Node) -> None:
        assert await a.claims.release(await a.claim())
        again = await b.claim()
        assert (again.record.attempts, again.abandoned) == (1, False)

    _with_nodes(url, test)


def test_an_end_that_is_sent_again_is_the_same_end(url: str) -> None:
    async def test(a: Node, b: Node) -> None:
        claim = await a.claim()
        assert await a.events.end("0", claim.number, DONE, LAST)
        assert await a.events.end("0", claim.number, DONE, LAST)
        assert not await a.events.end("0", claim.number, DONE, Line(10, b"{}"))
        assert await b.events.last("0") == LAST

    _with_nodes(url, test)


def test_who_cancels_on_another_server_stops_the_one_that_runs_it(url: str) -> None:
    async def test(a: Node, b: Node) -> None:
        claim = await a.claim()
        await a.events.append("0", claim.number, [Line(1, b"{}")])
        assert await b.jobs.finish("0", Outcome("cancelled", NOW, NOW + 9, "cancelled", "bye"))
        assert await a.claims.renew([("0", claim.number)]) == set()
        with pytest.raises(ClaimLost):
            await a.events.append("0", claim.number, [Line(2, b"{}")])
        assert await b.events.last("0") is None

    _with_nodes(url, test)


def test_no_event_outlives_a_cancellation_that_it_met_halfway(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(a: Node, b: Node) -> None:
        claim = await a.claim()
        erased, go_on = asyncio.Event(), asyncio.Event()

        async def before_commit(*_: object) -> None:
            erased.set()
            await go_on.wait()

        monkeypatch.setattr(store, "notify", before_commit)
        cancelling = asyncio.create_task(b.jobs.finish("0", Outcome("cancelled", NOW, NOW + 9)))
        await erased.wait()
        writing = asyncio.create_task(a.events.append("0", claim.number, [Line(1, b"{}")]))
        await asyncio.sleep(0.3)
        go_on.set()
        assert await cancelling
        with pytest.raises(ClaimLost):
            await writing
        assert await b.events.last("0") is None

    _with_nodes(url, test)


def test_one_key_names_one_job_whichever_servers_it_reaches_at_once(url: str) -> None:
    async def test(a: Node, b: Node) -> None:
        for key in range(20):
            offered = [JobRecord(f"{key}-{n}", NOW, owner="o", idempotency_key=str(key)) for n in range(6)]
            held = await asyncio.gather(*((a, b)[n % 2].jobs.add(job) for n, job in enumerate(offered)))
            assert len({job.id for job in held}) == 1
        assert await a.jobs.counts() == {"queued": 20}

    _with_nodes(url, test, jobs=0)


def test_no_kill_loses_a_job_runs_it_to_two_ends_or_breaks_its_numbers(
    url: str, start_node: StartNode, postgres: Postgres
) -> None:
    jobs, kills, lease_s = 60, 10, "0.6"
    rng = random.Random(7)
    with asyncio.Runner() as runner:
        test = Node(url, "test")
        for number in range(jobs):
            runner.run(test.jobs.add(JobRecord(str(number), NOW)))
        nodes = [start_node("run", url, lease_s) for _ in range(3)]
        for kill in range(kills):
            time.sleep(rng.uniform(0.05, 0.3))
            nodes.pop(rng.randrange(len(nodes))).kill()
            if kill == kills // 2:
                postgres.stop(signal.SIGQUIT)  # as a crash: it recovers from its log
                postgres.start()
            nodes.append(start_node("run", url, lease_s))
        runner.run(asyncio.sleep(0.1))  # its own connections broke too
        deadline = time.monotonic() + 60
        while runner.run(test.jobs.unfinished()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        told = runner.run(_events(url))
        records = [runner.run(test.jobs.get(str(number))) for number in range(jobs)]
        runner.run(test.close())
    for record in records:
        assert record is not None
        _require_one_story(record, told[record.id])
    # Nothing was tested where no job was taken up again.
    assert any(record and record.attempts > 1 for record in records)


def _require_one_story(record: JobRecord, told: list[dict[str, Any]]) -> None:
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
    assert [event["progress"] for event in told] == sorted(event["progress"] for event in told)
    attempts = [event["attempt"] for event in told if "attempt" in event]
    assert attempts == sorted(attempts)
    ends = [event["step"] for event in told if event["step"] in ("complete", "error")]
    if record.status == "done":
        assert ends == [told[-1]["step"]] == ["complete"]
    else:
        assert ends == [told[-1]["step"]] == ["error"]
        assert record.attempts > MAX_ATTEMPTS


async def _events(url: str) -> dict[str, list[dict[str, Any]]]:
    """Of each job its events, in order."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT job_id, json FROM job_events ORDER BY job_id, seq")
    await connection.close()
    told: dict[str, list[dict[str, Any]]] = {}
    for job_id, event in rows:
        told.setdefault(job_id, []).append(json.loads(event))
    return told
