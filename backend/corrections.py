"""Corrections as they come: received within bounds, held against the result that they are about, stored."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from backend.addresses import client_of
from backend.errors import (
    CorrectionsInvalid,
    CorrectionsNotFound,
    CorrectionsTooManyBytes,
    JobNotDone,
)
from backend.jobs import Jobs
from backend.limits import capped_body
from backend.places import Places
from backend.store import JobRecord
from holdcheck.corrections import Corrections, membership
from holdcheck.result import Point

if TYPE_CHECKING:
    from backend.shared.jobs import SharedJobs

MAX_BYTES = 256 * 1024
"""Five hundred holds changed, and as many drawn with thirty points each."""
_TIME_LIMIT_S = 60.0
_MOST_ARRIVING = 4
"""Their bodies wait in memory."""
_MOST_OF_A_CLIENT = 2
_MIN_AREA_PX = 16.0
_MAX_AREA_SHARE = 0.5
"""Of the photo: nothing on a wall is larger."""
_UNION_BRANCHES = frozenset({"constrained-int", "constrained-str"})


class _HoldSeen(BaseModel):
    id: int


class _ProblemSeen(BaseModel):
    id: int
    holds: list[int]


class _ResultSeen(BaseModel):
    """The part of a result that corrections refer to: all of it would be megabytes of contours."""

    image_width: int
    image_height: int
    hold_data: list[_HoldSeen]
    problems: list[_ProblemSeen]


class CorrectionDesk:
    """Takes corrections and hands them out. All calls on the event loop."""

    def __init__(self) -> None:
        self._arriving = Places("corrections", _MOST_OF_A_CLIENT)
        self._checking = asyncio.Lock()

    async def take(self, request: Request, record: JobRecord, jobs: "Jobs | SharedJobs") -> BinaryIO:
        """Read, check and store the corrections of a job; answers the file as they are stored.

        Raises:
            JobNotDone: there is no result to correct.
            CorrectionsTooManyBytes, UploadTimedOut: the body.
            CorrectionsInvalid: what in it is wrong, and what is accepted.
            QueueFull: others are arriving; StorageFull, StorageUnavailable: the disk does not take them.
            JobNotFound: it was deleted or expired meanwhile.
        """
        if record.status != "done":
            raise JobNotDone(
                f"The job is {record.status}: only the result of one that is done can be corrected."
            )
        client = client_of(request.client.host if request.client else None)
        with self._arriving.take(client, _MOST_ARRIVING):
            body = await _receive(request)
            # One at a time: checking takes several times the memory of the body.
            async with self._checking:
                result = await jobs.open_result(record)
                checked = await asyncio.to_thread(_check_against, body, result)
                await jobs.write_corrections(record, checked.stored, share=checked.share)
                # Before the next ones replace them.
                return await self.find(record, jobs)

    async def find(self, record: JobRecord, jobs: "Jobs | SharedJobs") -> BinaryIO:
        """The corrections' file as they are stored.

        Raises:
            CorrectionsNotFound: none came.
        """
        try:
            return await jobs.open_corrections(record)
        except FileNotFoundError:
            raise CorrectionsNotFound("There are no corrections of this job.") from None


async def _receive(request: Request) -> bytes:
    too_many = CorrectionsTooManyBytes(
        f"The corrections are larger than {MAX_BYTES // 1024} KiB: draw with fewer points."
    )
    chunks = [chunk async for chunk in capped_body(request, MAX_BYTES, too_many, _TIME_LIMIT_S)]
    return b"".join(chunks)


def _check_against(body: bytes, result: BinaryIO) -> "Checked":
    with result:
        return check(body, result.read())


@dataclass(frozen=True, slots=True)
class Checked:
    """Corrections that fit their result."""

    stored: bytes
    """JSON with every field of `Corrections`."""
    share: bool


def check(body: bytes, result: bytes) -> Checked:
    """Hold corrections against the result that they are about, both as JSON.

    Raises:
        CorrectionsInvalid: the first field that is wrong, and what it takes.
    """
    try:
        said = Corrections.model_validate_json(body)
    except ValidationError as error:
        raise CorrectionsInvalid(_told(error)) from None
    seen = _ResultSeen.model_validate_json(result)
    wrong = next(_misfits(said, seen), None)
    if wrong is not None:
        raise CorrectionsInvalid(wrong)
    return Checked(said.model_dump_json().encode(), said.share)


def _told(error: ValidationError) -> str:
    """The first field that is wrong. Names come from our own fields: nothing of the body is repeated."""
    told: dict[str, list[str]] = {}
    for wrong in error.errors(include_input=False, include_url=False, include_context=False):
        field = ".".join(str(part) for part in wrong["loc"] if part not in _UNION_BRANCHES)
        told.setdefault(field or "the body", []).append(wrong["msg"].removeprefix("Value error, "))
    field, messages = next(iter(told.items()))
    return f"{field}: {', or '.join(messages)}"


def _misfits(said: Corrections, seen: _ResultSeen) -> Iterator[str]:
    """Everything that is wrong about corrections that are well-formed."""
    yield from _unknown_holds(said, seen)
    for number, added in enumerate(said.added):
        yield from _bad_contour(f"added.{number}.contour", added.contour, seen)
    yield from _bad_problems(said, seen)


def _unknown_holds(said: Corrections, seen: _ResultSeen) -> Iterator[str]:
    ids = {hold.id for hold in seen.hold_data}
    times = Counter(hold.id for hold in said.holds)
    for number, hold in enumerate(said.holds):
        if hold.id not in ids:
            yield f"holds.{number}.id: takes the id of a hold of this result, {_span(ids)}"
        if times[hold.id] > 1:
            yield f"holds.{number}.id: takes each hold once"


def _bad_contour(field: str, contour: Sequence[Point], seen: _ResultSeen) -> Iterator[str]:
    width, height = seen.image_width, seen.image_height
    if not all(0 <= x <= width and 0 <= y <= height for x, y in contour):
        yield f"{field}: takes points inside the photo, of {width} x {height} pixels"
    area = _area(contour)
    if not _MIN_AREA_PX <= area <= _MAX_AREA_SHARE * width * height:
        yield (
            f"{field}: encloses {area:.0f} px²; takes {_MIN_AREA_PX:.0f} px² to "
            f"{_MAX_AREA_SHARE:.0%} of the photo, drawn around the hold without crossing itself"
        )


def _bad_problems(said: Corrections, seen: _ResultSeen) -> Iterator[str]:
    members = membership({problem.id: problem.holds for problem in seen.problems}, said)
    times = Counter(problem.id for problem in said.problems)
    for number, problem in enumerate(said.problems):
        field = f"problems.{number}"
        if times[problem.id] > 1:
            yield f"{field}.id: takes each problem once"
        for name, refs in (("start", problem.start or []), ("top", problem.top or [])):
            if len(set(refs)) < len(refs):
                yield f"{field}.{name}: takes each hold once"
            for ref in refs:
                if members.get(ref) != problem.id:
                    yield (
                        f"{field}.{name}: takes holds that belong to problem {problem.id} after these "
                        f"corrections, by id, or `aN` for the Nth of added, from a0; {ref} is none of them"
                    )


def _span(ids: set[int]) -> str:
    return f"{min(ids)} to {max(ids)}" if ids else "of which there are none"


def _area(contour: Sequence[Point]) -> float:
    """The shoelace formula. px²."""
    closed = [*contour, contour[0]]
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise(closed))) / 2
