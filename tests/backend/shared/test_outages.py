"""What several servers make of a database or a store of files that answers late, or not at all."""

import asyncio
import json
import signal
import threading
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from backend.errors import StorageUnavailable
from backend.shared import jobs
from backend.shared.claims import Claim
from backend.store import Outcome
from tests.backend.shared.house import House
from tests.postgres import Postgres

AWAY = StorageUnavailable("The server cannot store jobs now: try again later.", 60)
LEASE_S = 0.6


@pytest.fixture(autouse=True)
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_LEASE_S", LEASE_S)


def _with_houses(test: Callable[..., Awaitable[None]], *houses: House) -> None:
    async def run() -> None:
        try:
            await test(*houses)
        finally:
            for house in houses:
                await house.jobs.stop()

    asyncio.run(run())


def _answer_gets_lost(action: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """What it does is done, and the first answer that says so does not arrive."""
    lost = False

    async def act(*arguments: Any) -> Any:
        nonlocal lost
        answer = await action(*arguments)
        if answer and not lost:
            lost = True
            raise AWAY
        return answer

    return act


async def _until_nothing_runs(house: House) -> None:
    async with asyncio.timeout(20):
        while house.jobs._runner._runs:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_a_claim_whose_answer_got_lost_runs_out(url: str, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        claims = house.jobs._runner._claims
        claims.claim = _answer_gets_lost(claims.claim)  # type: ignore[assignment, method-assign]
        await house.open()
        job = await house.post()
        done = await house.until(job.id, "done")
        assert done.attempts == 2

    _with_houses(test, House(url, tmp_path))


def test_a_server_that_comes_late_for_the_photo_does_not_remove_what_another_has_done(
    url: str, tmp_path: Path
) -> None:
    async def test(late: House, other: House) -> None:
        go_on, fetch = threading.Event(), late.files.fetch_photo

        def fetch_late(job_id: str, claim: int) -> Path:
            go_on.wait(20)
            return fetch(job_id, claim)

        async def away(_: object) -> set[tuple[str, int]]:
            raise AWAY

        late.files.fetch_photo = fetch_late  # type: ignore[method-assign]
        late.jobs._runner._claims.renew = away  # type: ignore[assignment, method-assign]
        await late.open()
        job = await late.post()
        await late.until(job.id, "running")
        await asyncio.sleep(LEASE_S)
        await other.open()
        await other.until(job.id, "done")
        async with asyncio.timeout(20):
            while (tmp_path / "blobs" / "jobs" / job.id / "inputs" / "photo").exists():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        go_on.set()
        await _until_nothing_runs(late)
        assert (await other.jobs.find(job.id, "")).status == "done"

    _with_houses(test, House(url, tmp_path), House(url, tmp_path))


def test_a_result_stays_where_the_answer_to_its_end_got_lost(url: str, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        rows = house.jobs._runner._rows
        end = rows.end

        async def end_unheard(job_id: str, claim: int, outcome: Outcome, *lines: Any) -> bool:
            ended = await end(job_id, claim, outcome, *lines)
            if outcome.status == "done":
                raise AWAY
            return ended

        rows.end = end_unheard  # type: ignore[assignment, method-assign]
        await house.open()
        job = await house.post()
        done = await house.until(job.id, "done")
        await _until_nothing_runs(house)
        (await house.jobs.open_result(done)).close()
        assert not (tmp_path / "blobs" / "jobs" / job.id / "inputs" / "photo").exists()

    _with_houses(test, House(url, tmp_path))


def test_a_result_of_which_the_database_does_not_hear_goes_when_its_job_fails(
    url: str, tmp_path: Path
) -> None:
    async def test(house: House) -> None:
        rows = house.jobs._runner._rows
        end = rows.end

        async def end_late(job_id: str, claim: int, outcome: Outcome, *lines: Any) -> bool:
            if outcome.status == "done":
                raise AWAY
            return await end(job_id, claim, outcome, *lines)

        rows.end = end_late  # type: ignore[assignment, method-assign]
        await house.open()
        job = await house.post()
        await house.until(job.id, "failed")
        await _until_nothing_runs(house)
        assert not list((tmp_path / "blobs").rglob("result.json"))

    _with_houses(test, House(url, tmp_path))


def test_a_server_that_claims_a_job_again_before_it_has_let_go_of_it_lives(url: str, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        claims = house.jobs._runner._claims
        renew = claims.renew
        away = True

        async def renew_late(held: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
            if away:
                raise AWAY
            return await renew(held)

        claims.renew = renew_late  # type: ignore[method-assign]
        await house.open()
        await house.post()
        async with asyncio.timeout(20):
            while len(house.jobs._runner._runs) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        away = False
        house.engine.go()
        await _until_nothing_runs(house)
        await house.until((await house.post()).id, "done")
        assert not any(consumer.done() for consumer in house.jobs._runner._consumers)

    house = House(url, tmp_path, held=True)
    house.engine.slots = 2
    _with_houses(test, house)


def test_a_claim_that_comes_after_the_signal_is_given_back(url: str, tmp_path: Path) -> None:
    async def test(ending: House, other: House) -> None:
        claims = ending.jobs._runner._claims
        claim = claims.claim
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def claim_late(at: float) -> Claim | None:
            claimed = await claim(at)
            if claimed is not None:
                asked.set()
                await go_on.wait()
            return claimed

        claims.claim = claim_late  # type: ignore[method-assign]
        await ending.open()
        job = await ending.post()
        await asked.wait()
        ending.jobs.drain(10)
        go_on.set()
        await ending.until(job.id, "queued")
        assert not ending.engine.jobs
        await other.open()
        assert (await other.until(job.id, "done")).attempts == 1

    _with_houses(test, House(url, tmp_path, held=True), House(url, tmp_path))


def test_who_waits_for_a_job_waits_on_while_the_database_is_away(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(house: House) -> None:
        await house.open()
        job = await house.post()
        await house.until(job.id, "running")
        store = house.jobs._store
        get, asked = store.get, asyncio.Event()

        async def away(_: str) -> None:
            asked.set()
            raise AWAY

        monkeypatch.setattr(store, "get", away)
        waiting = asyncio.create_task(house.jobs.wait(job.id))
        await asked.wait()
        monkeypatch.setattr(store, "get", get)
        house.engine.go()
        await waiting
        assert (await house.jobs.find(job.id, "")).status == "done"

    _with_houses(test, House(url, tmp_path, held=True))


def test_a_reader_that_has_the_end_hears_nothing_of_what_becomes_of_the_job(url: str, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        await house.open()
        job = await house.post()
        steps = []
        lines = await house.jobs.follow(job.id, 0)
        house.engine.go()
        async for line in lines:
            steps.append(json.loads(line.json)["step"])
            if steps[-1] == "complete":
                await house.jobs.delete(await house.jobs.find(job.id, ""))
        assert steps[-1] == "complete"

    _with_houses(test, House(url, tmp_path, held=True))


def test_what_is_erased_while_it_is_being_kept_stays_erased(url: str, tmp_path: Path) -> None:
    async def test(sweeping: House, asked: House) -> None:
        await sweeping.open()
        job = await sweeping.post()
        done = await sweeping.until(job.id, "done")
        sweeping.blobs.put(f"jobs/{job.id}/outputs/1/photo.jpg", b"copy")
        await sweeping.jobs.write_corrections(done, b"{}", share=True)
        keeping, go_on = threading.Event(), threading.Event()

        def put_slowly(name: str, file: Path) -> None:
            if name.endswith("/shared"):
                keeping.set()
                go_on.wait(20)
            put_file(name, file)

        put_file = sweeping.blobs.put_file
        sweeping.blobs.put_file = put_slowly  # type: ignore[method-assign]
        expiring = asyncio.create_task(sweeping.jobs._housekeeping._expire(job.id))
        await asyncio.to_thread(keeping.wait, 20)
        erasing = asyncio.create_task(asked.jobs.forget_shared(job.id, ""))
        await asyncio.sleep(0.3)
        go_on.set()
        await asyncio.gather(expiring, erasing)
        assert not list((tmp_path / "blobs").rglob("shared"))

    houses = [House(url, tmp_path, keep_corrections=True) for _ in range(2)]
    _with_houses(test, *houses)


def test_what_the_database_did_not_take_is_there_before_the_end(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(house: House) -> None:
        await house.open()
        job = await house.post()
        await house.until(job.id, "running")
        rows = house.jobs._runner._rows
        append, end, away = rows.append, rows.end, True

        async def append_nothing(*_: Any) -> None:
            raise AWAY

        async def end_late(*arguments: Any) -> bool:
            nonlocal away
            if away:
                away = False
                raise AWAY
            return await end(*arguments)

        monkeypatch.setattr(rows, "append", append_nothing)
        monkeypatch.setattr(rows, "end", end_late)
        house.engine.go()
        await house.until(job.id, "done")
        monkeypatch.setattr(rows, "append", append)
        events = await house.events(job.id)
        assert [event["step"] for event in events] == ["queued", "upload", "detection", "complete"]
        assert [event["seq"] for event in events] == [1, 2, 3, 4]

    _with_houses(test, House(url, tmp_path, held=True))


def test_an_analysis_during_which_the_database_was_away_for_long_is_run_again(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: Postgres
) -> None:
    monkeypatch.setattr(jobs, "_LEASE_S", 0.5)

    async def test(house: House) -> None:
        house.engine.script = lambda _: ("upload", "detection", "detection", "complete")
        await house.open()
        job = await house.post()
        await house.until(job.id, "running")
        house.engine.go(1)
        await asyncio.sleep(0.2)
        await asyncio.to_thread(postgres.stop, signal.SIGQUIT)
        house.engine.go(1)
        async with asyncio.timeout(20):
            while house.jobs.trouble() is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)  # longer than its events are insisted on
        house.engine.go()
        await asyncio.to_thread(postgres.start)
        await house.until(job.id, "done")
        events = await house.events(job.id)
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert [event["step"] for event in events].count("complete") == 1
        async with asyncio.timeout(20):
            while house.jobs.trouble() is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    _with_houses(test, House(url, tmp_path, held=True))


def test_a_store_of_files_that_hangs_keeps_no_other_jobs_stream(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(house: House) -> None:
        await house.open()
        done = await house.post()
        house.engine.go()
        done = await house.until(done.id, "done")
        house.engine.step = asyncio.Semaphore(0)
        other = await house.post()
        async with asyncio.timeout(20):
            while len(house.engine.jobs) < 2:  # noqa: ASYNC110 - its photo has been fetched
                await asyncio.sleep(0.01)
        over = threading.Event()
        monkeypatch.setattr(house.blobs, "open", lambda _: over.wait(30))
        readers = [asyncio.create_task(house.jobs.open_result(done)) for _ in range(50)]
        try:
            async with asyncio.timeout(5):
                lines = await house.jobs.follow(other.id, 0)
                house.engine.go(1)
                while json.loads((await anext(lines)).json)["step"] != "upload":
                    pass
            refused = [reader for reader in readers if reader.done()]
            assert {type(reader.exception()) for reader in refused} == {StorageUnavailable}
            assert 0 < len(refused) < 50
        finally:
            over.set()
            await asyncio.gather(*readers, return_exceptions=True)
            house.engine.go()

    _with_houses(test, House(url, tmp_path, held=True))
