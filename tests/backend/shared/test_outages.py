"""What several servers make of a database or a store of files that answers late, or not at all."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from backend.errors import StorageUnavailable
from backend.shared import jobs
from tests.backend.shared.house import House

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


def test_a_claim_whose_answer_got_lost_runs_out(url: str, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        claims = house.jobs._runner._claims
        claims.claim = _answer_gets_lost(claims.claim)  # type: ignore[method-assign]
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
        late.jobs._runner._claims.renew = away  # type: ignore[method-assign]
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
        async with asyncio.timeout(20):
            while late.jobs._runner._runs:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert (await other.jobs.find(job.id, "")).status == "done"

    _with_houses(test, House(url, tmp_path), House(url, tmp_path))
