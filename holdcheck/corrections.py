"""What a climber put right: its form, how it changes a result, and in which files both are kept.

The server writes these files (docs/corrections.md); `export-corrections` reads them. Coordinates are pixels
of the upright original photo, as in the result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, StringConstraints, model_validator

from holdcheck.result import Colour, Hold, Kind, Point, Problem, Result, Tag

KEPT_FOLDER = "corrections"
"""Inside DATA_DIR: a folder for each photo that may be trained on, named by its job, with these files."""
RESULT_NAME = "result.json"
CORRECTIONS_NAME = "corrections.json"
PHOTO_NAME = "photo.jpg"

MAX_HOLDS = 500
MAX_CONTOUR_POINTS = 500
MAX_PROBLEM_ID = 9999
NO_PROBLEM = 0
"""As `problem`: the hold belongs to none."""

_ProblemId = Annotated[int, Field(ge=1, le=MAX_PROBLEM_ID)]
_Membership = Annotated[int, Field(ge=NO_PROBLEM, le=MAX_PROBLEM_ID)]
_HoldId = Annotated[int, Field(ge=0, le=10**9)]
AddedRef = Annotated[str, StringConstraints(pattern=r"^a(0|[1-9][0-9]{0,2})$")]
HoldRef = _HoldId | AddedRef


class _Correction(BaseModel):
    # Unknown fields are refused, but not by extra="forbid": it notes an error for each of them, and half a
    # megabyte of them took 54 MiB. For the same reason the outer lists stop at their first.
    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        strict=True,
        allow_inf_nan=False,
        json_schema_extra={"additionalProperties": False},
    )

    @model_validator(mode="after")
    def _knows_its_fields(self) -> Self:
        if self.model_extra:
            raise ValueError(f"takes {', '.join(type(self).model_fields)}, and nothing else")
        return self


class HoldCorrection(_Correction):
    """What is to be changed of one hold of the result. Null or absent: unchanged."""

    id: _HoldId
    color: Colour | None = None
    kind: Kind | None = None
    problem: _Membership | None = Field(None, description="the problem it belongs to; 0: to none")
    deleted: bool = Field(False, description="there is no hold")


class AddedHold(_Correction):
    """A hold that was missed."""

    contour: list[Point] = Field(
        min_length=3, max_length=MAX_CONTOUR_POINTS, description="pixels of the upright original photo"
    )
    color: Colour
    kind: Kind
    problem: _Membership | None = Field(None, description="null or 0: none")


class ProblemCorrection(_Correction):
    """Where a problem starts and ends. Null or absent: as the result has it, which may be an estimate."""

    id: _ProblemId = Field(description="a problem of the result, or a new one")
    start: Annotated[list[HoldRef], Field(max_length=2 * MAX_HOLDS)] | None = Field(
        None, description="hold ids; `aN`: the Nth of added"
    )
    top: Annotated[list[HoldRef], Field(max_length=2 * MAX_HOLDS)] | None = Field(
        None, description="as start"
    )


class Corrections(_Correction):
    """All that a climber put right, relative to the result: the latest replaces the one before."""

    holds: Annotated[list[HoldCorrection], FailFast()] = Field([], max_length=MAX_HOLDS)
    added: Annotated[list[AddedHold], FailFast()] = Field([], max_length=MAX_HOLDS)
    problems: Annotated[list[ProblemCorrection], FailFast()] = Field([], max_length=2 * MAX_HOLDS)
    share: bool = Field(
        False,
        description="the climber allows that the corrected photo is kept for training (keeps_corrections)",
    )


@dataclass(frozen=True, slots=True)
class CorrectedHold:
    """A hold as the climber left it."""

    id: int
    """The result's, or the next free one for what was added."""
    kind: Kind
    color: Colour
    problem: int | None
    tag: Tag | None
    bbox: tuple[float, float, float, float]
    """x1, y1, x2, y2"""
    contour: list[Point]
    """At least 3 points."""


def apply(result: Result, corrections: Corrections) -> list[CorrectedHold]:
    """The holds of a result after what was put right, those added last."""
    tags = _tags(result.problems, corrections.problems)
    return [
        *_kept(result, corrections.holds, tags),
        *_added(corrections.added, 1 + max((hold.id for hold in result.hold_data), default=0), tags),
    ]


def membership(
    problems: Mapping[int, Sequence[int]], corrections: Corrections
) -> dict[int | str, int | None]:
    """Each hold that is left, as `start` and `top` name it -> its problem; not those that never had one.

    Args:
        problems: the result's, by id, each with its holds' ids.
    """
    members: dict[int | str, int | None] = {hold: id_ for id_, holds in problems.items() for hold in holds}
    for hold in corrections.holds:
        if hold.deleted:
            members.pop(hold.id, None)
        elif hold.problem is not None:
            members[hold.id] = hold.problem or None
    members.update((f"a{n}", hold.problem or None) for n, hold in enumerate(corrections.added))
    return members


def bounds(contour: Sequence[Point]) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2 of the points."""
    columns, rows = zip(*contour, strict=True)
    return min(columns), min(rows), max(columns), max(rows)


def _tags(
    problems: Sequence[Problem], corrected: Sequence[ProblemCorrection]
) -> dict[tuple[int, int | str], Tag]:
    """(problem, hold) -> what the hold is to it. A start that is a top too is a start, as in the result."""
    starts: dict[int, Sequence[int | str]] = {problem.id: problem.start_ids for problem in problems}
    tops: dict[int, Sequence[int | str]] = {problem.id: problem.top_ids for problem in problems}
    starts.update((problem.id, problem.start) for problem in corrected if problem.start is not None)
    tops.update((problem.id, problem.top) for problem in corrected if problem.top is not None)
    tags: dict[tuple[int, int | str], Tag] = {
        (id_, hold): "top" for id_, holds in tops.items() for hold in holds
    }
    tags.update(((id_, hold), "start") for id_, holds in starts.items() for hold in holds)
    return tags


def _kept(
    result: Result, corrections: Sequence[HoldCorrection], tags: Mapping[tuple[int, int | str], Tag]
) -> list[CorrectedHold]:
    corrected = {correction.id: correction for correction in corrections}
    colours = {problem.id: problem.color_name for problem in result.problems}
    found_in = {hold: problem.id for problem in result.problems for hold in problem.holds}
    kept = []
    for hold in result.hold_data:
        said = corrected.get(hold.id, HoldCorrection(id=hold.id))
        if said.deleted:
            continue
        problem = found_in.get(hold.id) if said.problem is None else said.problem or None
        # A hold that was moved is of its new problem's colour, where nobody said otherwise.
        color = said.color or colours.get(problem or NO_PROBLEM, hold.individual_color)
        tag = tags.get((problem, hold.id)) if problem else None
        contour = hold.contour if len(hold.contour) >= 3 else _corners(hold)
        kept.append(CorrectedHold(hold.id, said.kind or hold.kind, color, problem, tag, hold.bbox, contour))
    return kept


def _added(
    added: Sequence[AddedHold], first_id: int, tags: Mapping[tuple[int, int | str], Tag]
) -> list[CorrectedHold]:
    return [
        CorrectedHold(
            id=first_id + number,
            kind=hold.kind,
            color=hold.color,
            problem=hold.problem or None,
            tag=tags.get((hold.problem, f"a{number}")) if hold.problem else None,
            bbox=bounds(hold.contour),
            contour=hold.contour,
        )
        for number, hold in enumerate(added)
    ]


def _corners(hold: Hold) -> list[Point]:
    """The outline of a hold so thin that it has none."""
    x1, y1, x2, y2 = hold.bbox
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
