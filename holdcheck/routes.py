"""Boulder problems: holds that look alike and stand together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from holdcheck import affinity, difficulty
from holdcheck.classifier import COLOURS, UNKNOWN
from holdcheck.result import Colour, Kind, Point, Problem, Tag, WallAngle

MIN_ANALYSED = difficulty.MIN_HOLDS
"""A problem of fewer holds is listed, and not analysed."""
_FOOT_SIZE = 0.6
"""Holds smaller than this share of the problem's median area are feet: no start is made of them."""
_LEVEL = 0.12
"""Two holds within this share of the problem's height are level: both may be the start."""


@dataclass(frozen=True, slots=True)
class ColouredHold:
    """A hold as grouping sees it. Pixels of the original photo, y downwards."""

    id: int
    center: Point
    bbox: tuple[float, float, float, float]
    """x1, y1, x2, y2."""
    area: float
    """px² of the mask."""
    kind: Kind
    color: Colour
    """Its own colour, seen alone."""
    probabilities: NDArray[np.float32]
    """(13,) in the order of COLOURS."""
    lab: tuple[float, float, float]
    rgb: tuple[int, int, int]
    embedding: NDArray[np.float32] | None = None
    """(D,), a unit vector: CLIP's; None without a CLIP."""
    tag: Tag | None = None
    """What a card beside it says."""


@dataclass(frozen=True, slots=True)
class ProblemDraft:
    """A problem before it is analysed."""

    id: int
    color: Colour
    """By vote of its holds' probabilities."""
    rgb: tuple[int, int, int]
    """Of its most typical hold."""
    holds: tuple[ColouredHold, ...]
    """From the lowest to the highest."""
    start_ids: tuple[int, ...]
    top_ids: tuple[int, ...]
    start_estimated: bool
    """From place: no card beside these holds says so."""
    top_estimated: bool
    scale: float
    """Metres per pixel, estimated from all holds of the photo."""


def group(holds: Sequence[ColouredHold]) -> list[ProblemDraft]:
    """Group a photo's holds into problems, the largest first, numbered from 1.

    Average linkage (Sokal & Michener 1958) of the log-odds that two holds belong to one problem: the two
    groups whose members have the highest mean are joined, as long as it is above zero. So the photo decides
    how many problems there are, and each two groups left are more likely two problems than one. Volumes, and
    groups of holds that all lack a colour, make none. In another order, holds give the same problems.
    """
    climbable = sorted((hold for hold in holds if hold.kind == "hold"), key=lambda hold: hold.id)
    if not climbable:
        return []
    groups = [[climbable[i] for i in part] for part in average_linkage(affinity.log_odds(climbable))]
    named = [part for part in groups if any(hold.color != UNKNOWN for hold in part)]
    scale = difficulty.metres_per_pixel(climbable)
    drafts = sorted((_draft(part, scale) for part in named), key=_rank)
    return [replace(draft, id=number) for number, draft in enumerate(drafts, start=1)]


def average_linkage(log_odds: NDArray[np.float64]) -> list[list[int]]:
    """Clusters of (N, N) symmetric log-odds: rows of each, every row in one."""
    mean = np.array(log_odds)
    np.fill_diagonal(mean, -np.inf)
    clusters = {row: [row] for row in range(len(mean))}
    while len(clusters) > 1:
        one, other = sorted(int(i) for i in np.unravel_index(mean.argmax(), mean.shape))
        if mean[one, other] <= 0:
            break
        heads = len(clusters[one]), len(clusters[other])
        # Lance & Williams (1967): the mean to the union is the members' mean of both means.
        union = np.average(mean[[one, other]], axis=0, weights=heads)
        mean[one], mean[:, one], mean[one, one] = union, union, -np.inf
        mean[other], mean[:, other] = -np.inf, -np.inf
        clusters[one] += clusters.pop(other)
    return list(clusters.values())


def analyse(draft: ProblemDraft, wall_angle: WallAngle | None) -> Problem:
    """Estimate difficulty and climbing type; both are None for fewer than MIN_ANALYSED holds."""
    return Problem(
        id=draft.id,
        color_name=draft.color,
        color_rgb=draft.rgb,
        hold_count=len(draft.holds),
        holds=[hold.id for hold in draft.holds],
        difficulty=difficulty.estimate(draft.holds, wall_angle, draft.scale),
        climb_type=difficulty.climb_type(draft.holds, wall_angle, draft.scale),
        start_ids=list(draft.start_ids),
        top_ids=list(draft.top_ids),
        start_estimated=draft.start_estimated,
        top_estimated=draft.top_estimated,
    )


_Group = list[ColouredHold]


def _vote(members: _Group) -> Colour:
    total = np.sum([hold.probabilities for hold in members], axis=0)
    return COLOURS[int(total.argmax())]


def _draft(members: _Group, scale: float) -> ProblemDraft:
    upwards = tuple(sorted(members, key=lambda hold: (-hold.center[1], hold.center[0], hold.id)))
    read = _ids(upwards, "start"), _ids(upwards, "top")
    starts, tops = read
    if len(members) >= MIN_ANALYSED:
        tops = tops or _top(upwards)
        starts = starts or _start([hold for hold in upwards if hold.id not in tops])
    return ProblemDraft(
        id=0,
        color=_vote(members),
        rgb=_typical_rgb(upwards),
        holds=upwards,
        start_ids=starts,
        top_ids=tops,
        start_estimated=starts != read[0],
        top_estimated=tops != read[1],
        scale=scale,
    )


def _ids(members: Sequence[ColouredHold], tag: Tag) -> tuple[int, ...]:
    return tuple(hold.id for hold in members if hold.tag == tag)


def _top(upwards: Sequence[ColouredHold]) -> tuple[int, ...]:
    """The highest hold that no card calls a start."""
    return tuple(hold.id for hold in upwards if hold.tag != "start")[-1:]


def _start(upwards: Sequence[ColouredHold]) -> tuple[int, ...]:
    """The lowest hold that is no foot chip, and the next one up where the two are level."""
    if not upwards:
        return ()
    median_area = float(np.median([hold.area for hold in upwards]))
    hands = [hold for hold in upwards if hold.area >= _FOOT_SIZE * median_area]
    height = upwards[0].center[1] - upwards[-1].center[1]
    level = [hold for hold in hands[:2] if hands[0].center[1] - hold.center[1] <= _LEVEL * height]
    return tuple(hold.id for hold in level)


def _typical_rgb(members: Sequence[ColouredHold]) -> tuple[int, int, int]:
    """The colour of the hold nearest to the median one: a mean of shades may be none of them."""
    labs = np.array([hold.lab for hold in members])
    nearest = np.linalg.norm(labs - np.median(labs, axis=0), axis=1).argmin()
    return members[int(nearest)].rgb


def _rank(draft: ProblemDraft) -> tuple[int, int, int]:
    return -len(draft.holds), COLOURS.index(draft.color), min(hold.id for hold in draft.holds)
