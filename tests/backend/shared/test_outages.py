"""What several servers make of a database or a store of files that answers late, or not at all."""

import asyncio
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
