"""What people put right in an answer: checked against it, and kept beside it."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backend.errors import CorrectionsInvalid
from holdcheck.result import Colour, Kind, Point, Result, Tag

MAX_BYTES = 2**20
"""Of one list of corrections: a hundred drawn holds and every other hold touched take a fifth of it."""
_MAX_CORRECTIONS = 2000
_MAX_POINTS = 500
_LEAST_AREA = 1.0


class _Correction(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    hold_id: int = Field(ge=1, le=1_000_000)


class SetColor(_Correction):
    op: Literal["set_color"]
    color: Colour


class SetKind(_Correction):
    op: Literal["set_kind"]
    kind: Kind


class SetProblem(_Correction):
    op: Literal["set_problem"]
    problem_id: int | None


class SetTag(_Correction):
    op: Literal["set_tag"]
    tag: Tag | None


class Delete(_Correction):
    op: Literal["delete"]


class Add(_Correction):
    """A hold that was missed, drawn around by hand."""

    op: Literal["add"]
    contour: list[Point] = Field(min_length=3, max_length=_MAX_POINTS, description="pixels of the photo")
    color: Colour
    kind: Kind
    problem_id: int | None


Correction = Annotated[SetColor | SetKind | SetProblem | SetTag | Delete | Add, Field(discriminator="op")]


class Corrections(BaseModel):
    """All of them, in order: a later one may be about a hold that an earlier one added."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [{"corrections": [{"op": "set_color", "hold_id": 1, "color": "orange"}]}]
        },
    )

    corrections: list[Correction] = Field(max_length=_MAX_CORRECTIONS)


def parse(body: bytes) -> Corrections:
    """Read a list of corrections.

    Raises:
        CorrectionsInvalid: it is not one; the message names the place.
    """
    try:
        return Corrections.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise CorrectionsInvalid(f"{place}: {first['msg']}") from None


def check(corrections: Corrections, result: Result) -> None:
    """Compare with the answer that they are about.

    Raises:
        CorrectionsInvalid: one is of a hold or problem that is not there, or draws outside the photo.
    """
    here = {hold.id for hold in result.hold_data}
    ever = set(here)
    problems = {problem.id for problem in result.problems}
    for number, correction in enumerate(corrections.corrections):
        _check_problem(number, correction, problems)
        if isinstance(correction, Add):
            if correction.hold_id in ever:
                raise CorrectionsInvalid(f"corrections.{number}: hold {correction.hold_id} was there already")
            _check_contour(number, correction.contour, result)
            here.add(correction.hold_id)
            ever.add(correction.hold_id)
        elif correction.hold_id not in here:
            raise CorrectionsInvalid(f"corrections.{number}: there is no hold {correction.hold_id}")
        elif isinstance(correction, Delete):
            here.remove(correction.hold_id)


def _check_problem(number: int, correction: _Correction, problems: set[int]) -> None:
    if isinstance(correction, SetProblem | Add):
        problem_id = correction.problem_id
        if problem_id is not None and problem_id not in problems:
            raise CorrectionsInvalid(f"corrections.{number}: there is no problem {problem_id}")


def _check_contour(number: int, contour: list[Point], result: Result) -> None:
    if not all(0 <= x <= result.image_width and 0 <= y <= result.image_height for x, y in contour):
        raise CorrectionsInvalid(f"corrections.{number}: the contour leaves the photo")
    if polygon_area(contour) < _LEAST_AREA:
        raise CorrectionsInvalid(f"corrections.{number}: the contour encloses nothing")


def polygon_area(contour: Iterable[Point]) -> float:
    """Of a closed polygon, px² (the shoelace formula)."""
    points = list(contour)
    following = [*points[1:], *points[:1]]
    return (
        abs(sum(x * next_y - next_x * y for (x, y), (next_x, next_y) in zip(points, following, strict=True)))
        / 2
    )
