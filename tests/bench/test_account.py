"""What `make load` would say if the server had broken a promise."""

import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from bench import account, crowd, mix
from bench.crowd import Manners, Visit
from bench.server import FAKES, Server

Tamper = Callable[[list[Visit]], object]


@dataclass(frozen=True)
class Crowd:
    server: Server
    visits: list[Visit]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """Three photos in three ways, answered by fake models."""
    visits = crowd.plan(mix.small()[6:9], random.Random(1))
    for visit, way in zip(visits, ("stream", "jobs", "analyze"), strict=True):
        visit.manners = Manners(way, drops=(2,) if way == "stream" else ())  # type: ignore[arg-type]
    with Server(tmp_path_factory.mktemp("account"), {**FAKES, "JOB_TTL_S": "86400"}) as server:
        crowd.run(server, 3, visits, patience_s=60)
        yield Crowd(server, visits)


def test_a_crowd_that_was_served_has_nothing_to_complain_of(served: Crowd) -> None:
    settled = account.settle(copy.deepcopy(served.visits), {}, served.server)
    assert settled.broken == []
    assert (settled.accepted, settled.done, settled.resumed) == (3, 3, 2)


@pytest.mark.parametrize(
    ("tamper", "complaint"),
    [
        (lambda visits: visits[0].events.pop(3), "its client saw"),
        (lambda visits: visits[1].events.append(visits[1].events[-1]), "its client saw"),
        (lambda visits: setattr(visits[1], "job_id", "other"), "kept as"),
        (lambda visits: visits[2].also.add("other"), "more than one job"),
        (lambda visits: setattr(visits[2], "result", {}), "another result than is kept"),
        (lambda visits: _exchange_photos(visits), "another photo's hash"),
        (lambda visits: _exchange_photos(visits), "for a photo of"),
        (lambda visits: visits.pop(), "jobs that no client knows"),
        (lambda visits: _never_kept(visits[0]), "is lost"),
        (lambda visits: setattr(visits[0], "deleted", True), "was deleted, and is done"),
        (lambda visits: _should_be_refused(visits[0]), "accepted instead of"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(served: Crowd, tamper: Tamper, complaint: str) -> None:
    visits = copy.deepcopy(served.visits)
    tamper(visits)
    settled = account.settle(visits, {}, served.server)
    assert any(complaint in line for line in settled.broken), settled.broken


def test_another_answer_than_when_it_was_alone_is_named(served: Crowd) -> None:
    visits = copy.deepcopy(served.visits)
    result = visits[0].result
    assert result is not None
    alone = {visits[0].photo.name: {**result, "problems": ["another"]}}
    settled = account.settle(visits, alone, served.server)
    assert [line.partition(": ")[2] for line in settled.broken] == ["problems differ from when it was alone"]


def _exchange_photos(visits: list[Visit]) -> None:
    visits[0].photo, visits[1].photo = visits[1].photo, visits[0].photo


def _never_kept(visit: Visit) -> None:
    visit.job_id, visit.key = "00000000-0000-4000-8000-000000000000", "another"


def _should_be_refused(visit: Visit) -> None:
    visit.photo = replace(visit.photo, refused="photo_too_many_bytes")
