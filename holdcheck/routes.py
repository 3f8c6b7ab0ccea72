"""Boulder problems: holds of one colour in one place."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from holdcheck import difficulty
from holdcheck.classifier import COLOURS, UNKNOWN
from holdcheck.result import Colour, Kind, Point, Problem, WallAngle

MIN_ANALYSED = difficulty.MIN_HOLDS
"""A problem of fewer holds is listed, and not analysed."""
APART = 3.0
"""A gap this many times a colour's usual gap between neighbours splits it."""
APART_HOLDS = 7.0
"""And never a gap of fewer hold sizes than this: a long move is still a move."""
_CLIMBING_SHRINKS = 0.6
"""Height counts for less than width: problems go up, and stand side by side."""
_SMALLEST_SPLIT = 2
"""A split leaves at least so many holds on each side: one hold far off is a long move, or misnamed."""
_VOTE = 0.15
"""Probability of the group's colour from which a stray hold may be voted into it."""
_STRAY_LAB = 25.0
"""CIE76 difference to the group's median colour up to which it may."""
_FOOT_SIZE = 0.6
"""Holds smaller than this share of the problem's median area are feet: no start is made of them."""
_LEVEL = 0.12
"""Two holds within this share of the problem's height are level: both may be the start."""
_NEARBY: dict[str, tuple[str, ...]] = {
    "lime": ("green", "yellow", "mint"),
    "mint": ("green", "blue", "white"),
    "orange": ("red", "yellow", "brown", "pink"),
    "brown": ("red", "yellow", "black", "gray"),
    "pink": ("red", "purple"),
    "purple": ("blue", "black"),
    "gray": ("white", "black", "blue"),
    "white": ("yellow",),
    "black": ("blue", "green"),
}
"""Names that a light may turn into each other; each pair stands once."""


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
    """Estimated from place."""
    top_ids: tuple[int, ...]
    scale: float
    """Metres per pixel, estimated from all holds of the photo."""


def group(holds: Sequence[ColouredHold]) -> list[ProblemDraft]:
    """Group a photo's holds into problems, the largest first, numbered from 1.

    Holds of one colour name are one problem, unless two groups of them stand clearly apart: single linkage,
    cutting the minimum spanning tree's edges that are far longer than its usual one (Zahn 1971,
    Graph-theoretical methods for detecting and describing Gestalt clusters). A hold left alone, or without
    a colour, joins a nearby problem whose colour it may well have. Volumes, and unknown holds that no vote
    supports, join none.
    The same holds in another order give the same problems.
    """
    climbable = sorted((hold for hold in holds if hold.kind == "hold"), key=lambda hold: hold.id)
    if not climbable:
        return []
    hold_size = float(np.median([np.sqrt(hold.area) for hold in climbable]))
    groups = [
        part
        for colour in COLOURS
        for part in _split([hold for hold in climbable if hold.color == colour], hold_size)
    ]
    groups = _vote_strays_in(groups, [hold for hold in climbable if hold.color == UNKNOWN], hold_size)
    scale = difficulty.metres_per_pixel(climbable)
    drafts = sorted((_draft(part, scale) for part in groups), key=_rank)
    return [replace(draft, id=number) for number, draft in enumerate(drafts, start=1)]


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
    )


_Group = list[ColouredHold]


def _split(holds: _Group, hold_size: float) -> list[_Group]:
    """One colour's holds, cut where the gap between two parts is clearly wider than inside them."""
    if len(holds) < 2 * _SMALLEST_SPLIT:
        return [holds] if holds else []
    edges = _spanning_tree(_distances(holds, holds))
    usual = float(np.median([length for length, _, _ in edges]))
    limit = max(APART * usual, APART_HOLDS * hold_size)
    longest, first, second = max(edges)
    if longest <= limit:
        return [holds]
    kept = [(one, other) for length, one, other in edges if (one, other) != (first, second)]
    side = _component(first, kept)
    near, far = (
        [h for i, h in enumerate(holds) if i in side],
        [h for i, h in enumerate(holds) if i not in side],
    )
    if min(len(near), len(far)) < _SMALLEST_SPLIT:
        return [holds]
    return _split(near, hold_size) + _split(far, hold_size)


def _distances(some: Sequence[ColouredHold], others: Sequence[ColouredHold]) -> NDArray[np.float64]:
    """(N, M) pixels between centres, with climbing foreshortened."""
    weight = np.array([1.0, _CLIMBING_SHRINKS])
    one, other = (np.array([hold.center for hold in part]) * weight for part in (some, others))
    return np.asarray(np.hypot(*(one[:, None] - other[None]).transpose(2, 0, 1)))


def _spanning_tree(distances: NDArray[np.float64]) -> list[tuple[float, int, int]]:
    """Edges (length, node, node) of the minimum spanning tree: Prim's algorithm, ties to the lower index."""
    count = len(distances)
    nearest, parent = distances[0].copy(), np.zeros(count, dtype=int)
    outside = np.ones(count, dtype=bool)
    outside[0] = False
    edges = []
    for _ in range(count - 1):
        node = int(np.where(outside, nearest, np.inf).argmin())
        edges.append((float(nearest[node]), int(parent[node]), node))
        outside[node] = False
        closer = distances[node] < nearest
        nearest[closer], parent[closer] = distances[node][closer], node
    return edges


def _component(start: int, edges: Iterable[tuple[int, int]]) -> set[int]:
    links = list(edges)
    reached, grew = {start}, True
    while grew:
        before = len(reached)
        for one, other in links:
            if one in reached or other in reached:
                reached |= {one, other}
        grew = len(reached) > before
    return reached


def _vote_strays_in(groups: list[_Group], unknown: _Group, hold_size: float) -> list[_Group]:
    """Holds alone with their colour name, and holds without one, join a group that they fit."""
    settled = [list(part) for part in groups if len(part) > 1]
    lone = [part[0] for part in groups if len(part) == 1]
    left = []
    additions: list[tuple[int, ColouredHold]] = []
    for stray in sorted(lone + unknown, key=lambda hold: hold.id):
        home = _home(stray, settled, hold_size)
        if home is not None:
            additions.append((home, stray))
        elif stray.color != UNKNOWN:
            left.append([stray])
    # Joined only now, so that one stray's move cannot draw the next one along.
    for home, stray in additions:
        settled[home].append(stray)
    return settled + left


def _home(stray: ColouredHold, groups: Sequence[_Group], hold_size: float) -> int | None:
    """The group that a stray belongs to: likely its colour, close to it in Lab, and within a move."""
    best: tuple[float, int] | None = None
    for index, members in enumerate(groups):
        colour = _vote(members)
        probability = float(stray.probabilities[COLOURS.index(colour)])
        if probability < _VOTE or not _may_be(stray, colour):
            continue
        off = float(np.linalg.norm(np.median([hold.lab for hold in members], axis=0) - stray.lab))
        gap = float(_distances([stray], members).min())
        if off > _STRAY_LAB or gap > APART_HOLDS * hold_size:
            continue
        best = min(best or (np.inf, -1), (gap, index))
    return None if best is None else best[1]


def _may_be(stray: ColouredHold, colour: Colour) -> bool:
    nearby = colour in _NEARBY.get(stray.color, ()) or stray.color in _NEARBY.get(colour, ())
    return nearby or stray.color in (UNKNOWN, colour)


def _vote(members: _Group) -> Colour:
    total = np.sum([hold.probabilities for hold in members], axis=0)
    return COLOURS[int(total.argmax())]


def _draft(members: _Group, scale: float) -> ProblemDraft:
    upwards = tuple(sorted(members, key=lambda hold: (-hold.center[1], hold.center[0], hold.id)))
    analysed = len(members) >= MIN_ANALYSED
    return ProblemDraft(
        id=0,
        color=_vote(members),
        rgb=_typical_rgb(upwards),
        holds=upwards,
        start_ids=_start(upwards) if analysed else (),
        top_ids=(upwards[-1].id,) if analysed else (),
        scale=scale,
    )


def _start(upwards: Sequence[ColouredHold]) -> tuple[int, ...]:
    """The lowest hold that is no foot chip, and the next one up where the two are level."""
    median_area = float(np.median([hold.area for hold in upwards]))
    hands = [hold for hold in upwards[:-1] if hold.area >= _FOOT_SIZE * median_area] or [upwards[0]]
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
