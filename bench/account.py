"""After the crowd has left: was every accepted photo answered once, and each client told the truth?"""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench.crowd import Visit
from bench.phone import Event, Phone
from bench.promises import Promises
from bench.server import Server

_ENDS = {"done": "complete", "failed": "error"}

Answers = Mapping[str, Mapping[str, Any]]
"""A photo's name -> the result that came of it when it was alone."""


@dataclass(slots=True)
class Account(Promises):
    """How the visits ended."""

    accepted: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    erased: int = 0
    """Answered, then deleted by their clients."""
    lost: int = 0
    duplicated: int = 0
    gave_up: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    turned_away: Counter[str] = field(default_factory=Counter)
    resumed: int = 0
    broken_lines: int = 0
    until_accepted_s: list[float] = field(default_factory=list)
    in_queue_s: list[float] = field(default_factory=list)
    analysis_s: list[float] = field(default_factory=list)


def settle(visits: Sequence[Visit], alone: Answers, server: Server) -> Account:
    """Compare what each client saw with what the server kept.

    The server is still running, and has nothing to do any more.
    """
    account = Account()
    with rows(server.data / "jobs.sqlite3") as kept:
        by_key = {row["idempotency_key"]: row for row in kept}
        by_id = {row["id"]: row for row in kept}
    with Phone(server.url) as phone:
        for visit in visits:
            account.resumed += visit.resumed
            account.broken_lines += visit.broken_lines
            account.turned_away += visit.turned_away
            row = by_id.get(visit.job_id) or by_key.get(visit.key)
            _settle_visit(account, visit, row, alone, phone)
    ours = {visit.job_id for visit in visits}
    strangers = [job_id for job_id, row in by_id.items() if job_id not in ours and row["idempotency_key"]]
    account.duplicated += len(strangers)
    account.expect(not strangers, f"jobs that no client knows: {strangers}")
    _look_at_folders(account, server, by_id)
    return account


@contextmanager
def rows(file: Path) -> Iterator[list[sqlite3.Row]]:
    """The store's jobs."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection.execute("SELECT * FROM jobs").fetchall()


def _settle_visit(
    account: Account, visit: Visit, row: sqlite3.Row | None, alone: Answers, phone: Phone
) -> None:
    photo = visit.photo
    if row is not None and not visit.job_id:
        visit.job_id = row["id"]  # a failure over POST /api/analyze does not name its job
    account.duplicated += len(visit.also)
    account.expect(not visit.also, f"{photo.name}: more than one job: {visit.job_id} {visit.also}")
    if visit.gave_up:
        account.gave_up += 1
    elif photo.refused:
        account.refused[visit.refused] += 1
        told = visit.refused or "accepted"
        account.expect(told == photo.refused, f"{photo.name}: {told} instead of {photo.refused}")
        account.expect(row is None, f"{photo.name}: refused, and kept as {visit.job_id}")
        return
    if not visit.job_id:
        account.refused[visit.refused] += 1
        account.expect(False, f"{photo.name}: refused with {visit.refused or 'a time to come back'}")
        return
    account.accepted += 1
    if visit.accepted and visit.manners.way != "analyze":
        account.until_accepted_s.append(visit.accepted - visit.began)
    if visit.deleted:
        _settle_deleted(account, visit, row, phone)
    elif row is None or row["id"] != visit.job_id or row["status"] not in _ENDS:
        account.lost += 1
        kept = "gone" if row is None else f"kept as {row['id']}, {row['status']}"
        account.expect(False, f"{visit.job_id} ({photo.name}) is lost: {kept}")
    else:
        _settle_ended(account, visit, row, alone, phone)


def _settle_deleted(account: Account, visit: Visit, row: sqlite3.Row | None, phone: Phone) -> None:
    status = None if row is None else row["status"]
    answer = phone.http.get(f"/api/jobs/{visit.job_id}")
    if status == "cancelled":
        account.cancelled += 1
        told = answer.json()["status"] == "cancelled"
    else:
        account.erased += 1
        told = status is None and answer.status_code == httpx.codes.NOT_FOUND
    account.expect(told, f"{visit.job_id} was deleted, and is {status}: {answer.text[:200]}")


def _settle_ended(account: Account, visit: Visit, row: sqlite3.Row, alone: Answers, phone: Phone) -> None:
    photo, status = visit.photo, row["status"]
    who = f"{visit.job_id} ({photo.name}, {visit.manners.way})"
    account.done += status == "done"
    account.failed += status == "failed"
    account.expect(row["photo_sha256"] == photo.sha256, f"{who}: another photo's hash")
    account.expect(row["attempts"] == 1, f"{who}: analysed {row['attempts']} times")
    account.expect((row["error_code"] or "") == photo.fails, f"{who}: ended with {row['error_code']}")
    _settle_events(account, visit, status, list(phone.follow(visit.job_id)), who)
    if status == "done":
        told = phone.http.get(f"/api/jobs/{visit.job_id}").json()["result"]
        _settle_result(account, visit, told, alone.get(photo.name), who)


def _settle_events(account: Account, visit: Visit, status: str, kept: list[Event], who: str) -> None:
    steps, numbers = [event.step for event in kept], [event.seq for event in kept]
    progress = [event.progress for event in kept]
    account.expect(numbers == list(range(1, len(kept) + 1)), f"{who}: numbers {numbers}")
    account.expect(progress == sorted(progress), f"{who}: progress falls: {progress}")
    account.expect(steps[-1:] == [_ENDS[status]], f"{who}: {status}, but its events end with {steps[-1:]}")
    again = max(steps.count(step) for step in ("upload", "complete", "error"))
    account.duplicated += again > 1
    account.expect(again <= 1, f"{who}: answered more than once: {steps}")
    if visit.manners.way != "analyze":
        seen = [event.seq for event in visit.events]
        account.expect(seen == numbers, f"{who}: its client saw {seen} of {numbers}")
    at = {event.step: event.elapsed_ms / 1000 for event in kept}
    if status == "done":
        account.in_queue_s.append(at["upload"])
        account.analysis_s.append(at["complete"] - at["upload"])


def _settle_result(
    account: Account,
    visit: Visit,
    told: Mapping[str, Any],
    alone: Mapping[str, Any] | None,
    who: str,
) -> None:
    size = (told["image_width"], told["image_height"])
    account.expect(size == visit.photo.size, f"{who}: a result of {size} for a photo of {visit.photo.size}")
    account.expect(told["job_id"] == visit.job_id, f"{who}: the result of {told['job_id']}")
    account.expect(visit.result == told, f"{who}: its client heard another result than is kept")
    if alone is not None:
        for part in ("statistics", "hold_data", "problems"):
            account.expect(told[part] == alone[part], f"{who}: {part} differ from when it was alone")


def _look_at_folders(account: Account, server: Server, by_id: Mapping[str, sqlite3.Row]) -> None:
    folders = {path.name for path in (server.data / "jobs").iterdir()}
    expected = {job_id for job_id, row in by_id.items() if row["status"] in _ENDS}
    account.expect(folders == expected, f"folders without a job, or jobs without one: {folders ^ expected}")
    photos = list(server.data.glob("jobs/*/inputs/*"))
    account.expect(not photos, f"{len(photos)} photos outlived their jobs")
