"""Many clients at once, each with its own manners; what each of them saw is kept."""

import random
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from bench.mix import Photo
from bench.phone import Event, Phone, events
from bench.server import Server

PATIENCE_S = 1800.0
"""A client that is told to come back does so for this long."""
_LONGEST_WAIT_S = 60.0
_IMPATIENT_S = 0.7
_PAUSE_S = 0.2
"""Before a client whose line broke tries again."""

Way = Literal["stream", "jobs", "analyze"]


@dataclass(frozen=True, slots=True)
class Manners:
    """How a client goes about one photo."""

    way: Way
    drops: tuple[int, ...] = ()
    """It hangs up after so many events, and comes back with Last-Event-ID. Where the way is `analyze`, it
    hangs up before the answer, and asks again with its Idempotency-Key."""
    repeats: bool = False
    """It sends the photo again, with the same Idempotency-Key, once it is accepted."""
    deletes: Literal["", "waiting", "ended"] = ""


@dataclass(slots=True)
class Visit:
    """One photo's way, as its client saw it. Times are seconds on the monotonic clock."""

    photo: Photo
    manners: Manners
    key: str
    job_id: str = ""
    also: set[str] = field(default_factory=set)
    """Job ids that other answers named: there must be none."""
    events: list[Event] = field(default_factory=list)
    result: dict[str, Any] | None = None
    turned_away: Counter[str] = field(default_factory=Counter)
    """Codes of the answers that said to come back."""
    broken_lines: int = 0
    resumed: int = 0
    refused: str = ""
    """The code of the answer that was final, where it was a refusal."""
    deleted: bool = False
    gave_up: bool = False
    began: float = 0.0
    accepted: float = 0.0
    ended: float = 0.0

    def name(self, job_id: str) -> None:
        """An answer says which job this is."""
        if not self.job_id:
            self.job_id, self.accepted = job_id, time.monotonic()
        elif job_id != self.job_id:
            self.also.add(job_id)


def plan(photos: Iterable[Photo], rng: random.Random) -> list[Visit]:
    """A visit for each photo."""
    return [
        Visit(photo, _manners(rng), str(uuid.UUID(int=rng.getrandbits(128), version=4))) for photo in photos
    ]


def _manners(rng: random.Random) -> Manners:
    way: Way = rng.choices(("stream", "jobs", "analyze"), (5, 3, 2))[0]
    drops = tuple(rng.randint(1, 8) for _ in range(rng.choices((0, 1, 2), (6, 3, 1))[0]))
    repeats = rng.random() < 0.15
    deletes: Literal["", "waiting", "ended"] = ""
    if way == "jobs":
        deletes = rng.choices(("", "waiting", "ended"), (8, 1, 1))[0]
    return Manners(way, drops, repeats, deletes)


def run(server: Server, clients: int, visits: Iterable[Visit], patience_s: float = PATIENCE_S) -> None:
    """Let so many clients, each at an address of its own, make the visits between them.

    They give up where the server's process has ended.
    """
    waiting = deque(visits)
    with ThreadPoolExecutor(clients) as threads:
        each = [
            threads.submit(_Client(server, _address(number), patience_s).make_all, waiting)
            for number in range(clients)
        ]
    for client in each:
        client.result()


def _address(number: int) -> str:
    """All of 127/8 is this machine."""
    return f"127.0.{1 + number // 250}.{1 + number % 250}"


class _Client:
    def __init__(self, server: Server, address: str, patience_s: float) -> None:
        self._server = server
        self._phone = Phone(server.url, address)
        self._patience_s = patience_s

    def make_all(self, waiting: deque[Visit]) -> None:
        with self._phone:
            while True:
                try:
                    visit = waiting.popleft()
                except IndexError:
                    return
                self._make(visit)

    def _make(self, visit: Visit) -> None:
        visit.began = time.monotonic()
        deadline = visit.began + self._patience_s
        drops = deque(visit.manners.drops)
        while not self._over(visit):
            if time.monotonic() > deadline or not self._server.is_running:
                visit.gave_up = True
                break
            try:
                self._advance(visit, drops)
            except httpx.TransportError:
                visit.broken_lines += 1
                time.sleep(_PAUSE_S)
        visit.ended = time.monotonic()
        if visit.manners.deletes == "ended" and visit.job_id and not visit.gave_up:
            self._delete(visit)

    def _over(self, visit: Visit) -> bool:
        answered = visit.result is not None or (visit.events and visit.events[-1].is_last)
        return bool(answered or visit.refused or visit.deleted)

    def _advance(self, visit: Visit, drops: deque[int]) -> None:
        """Send the photo, or take up the thread where the line broke."""
        if visit.manners.way == "analyze":
            self._analyze(visit, drops)
        elif visit.job_id:
            visit.resumed += 1
            self._follow(visit, drops)
        elif visit.manners.way == "stream":
            self._stream(visit, drops)
        else:
            self._post(visit)

    def _analyze(self, visit: Visit, drops: deque[int]) -> None:
        hangs_up = bool(drops) and drops.popleft() > 0
        try:
            answer = (
                self._phone.post("/api/analyze", visit.photo, visit.key, _IMPATIENT_S)
                if hangs_up
                else self._phone.post("/api/analyze", visit.photo, visit.key)
            )
        except httpx.ReadTimeout:
            visit.resumed += 1
            return
        if answer.status_code == httpx.codes.OK:
            visit.result = answer.json()
            visit.name(answer.json()["job_id"])
        else:
            self._hear_refusal(visit, answer)

    def _stream(self, visit: Visit, drops: deque[int]) -> None:
        with self._phone.stream(visit.photo, visit.key) as response:
            if response.status_code != httpx.codes.OK:
                response.read()
                self._hear_refusal(visit, response)
                return
            self._read(visit, events(response), drops)
        self._repeat(visit)

    def _post(self, visit: Visit) -> None:
        answer = self._phone.post("/api/jobs", visit.photo, visit.key)
        if answer.status_code != httpx.codes.ACCEPTED:
            self._hear_refusal(visit, answer)
            return
        visit.name(answer.json()["job_id"])
        self._repeat(visit)
        if visit.manners.deletes == "waiting":
            self._delete(visit)

    def _follow(self, visit: Visit, drops: deque[int]) -> None:
        after = visit.events[-1].seq if visit.events else 0
        self._read(visit, self._phone.follow(visit.job_id, after), drops)

    def _read(self, visit: Visit, coming: Iterable[Event], drops: deque[int]) -> None:
        enough = drops.popleft() if drops else 0
        for number, event in enumerate(coming, start=1):
            visit.name(event.job_id)
            visit.events.append(event)  # one by one: what came before the line broke counts
            visit.result = event.result or visit.result
            if number == enough:
                return

    def _repeat(self, visit: Visit) -> None:
        if visit.manners.repeats and visit.job_id and not visit.deleted:
            answer = self._phone.post("/api/jobs", visit.photo, visit.key)
            if answer.status_code == httpx.codes.ACCEPTED:
                visit.name(answer.json()["job_id"])
            else:
                visit.turned_away[answer.json()["code"]] += 1

    def _delete(self, visit: Visit) -> None:
        answer = self._phone.http.delete(f"/api/jobs/{visit.job_id}")
        answer.raise_for_status()
        visit.deleted = True

    def _hear_refusal(self, visit: Visit, answer: httpx.Response) -> None:
        code = answer.json()["code"]
        if "retry-after" not in answer.headers:
            visit.refused = code
            return
        visit.turned_away[code] += 1
        time.sleep(min(int(answer.headers["retry-after"]), _LONGEST_WAIT_S))
