"""A problem's difficulty, estimated from geometry alone. No setter's grade: docs/difficulty.md."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from holdcheck.result import ClimbType, Difficulty, Point, WallAngle

MIN_HOLDS = 3
TYPICAL_HOLD_M = 0.14
"""Square root of a hold's outline area, metres: the ruler, since a photo has no other."""
HARDEST = 10
"""Geometry says nothing of what lies above."""
MAX_CONFIDENCE = 0.4
"""Texture, hold shape, feet and the setter's intention are not on the photo."""
_ANGLE_GRADES: dict[WallAngle | None, float] = {"slab": 0.0, "face": 0.75, None: 0.75, "overhang": 2.5}
_EASY_REACH_M, _HARD_REACH_M, _REACH_GRADES = 0.5, 1.7, 5.0
_LARGE_HOLD_M, _SMALL_HOLD_M, _SIZE_GRADES = 0.20, 0.05, 4.0
_LONG_REACH_M, _SHORT_REACH_M, _DYNAMIC_REACH_M = 1.1, 0.6, 1.4
_SMALL_BELOW_M, _LARGE_ABOVE_M = 0.09, 0.18
_MANY_HOLDS, _FEW_HOLDS = 12, 4
_TRAVERSE_RATIO = 1.3


class PlacedHold(Protocol):
    """What is read of a hold. Pixels of the original photo, y downwards."""

    @property
    def center(self) -> Point: ...
    @property
    def area(self) -> float:
        """px² of the mask."""
        ...


def metres_per_pixel(holds: Sequence[PlacedHold]) -> float:
    """The photo's scale from all its holds: their median size is taken to be TYPICAL_HOLD_M.

    Raises:
        ValueError: there are no holds.
    """
    if not holds:
        raise ValueError("a scale needs at least one hold")
    return TYPICAL_HOLD_M / _typical_side(holds)


def estimate(holds: Sequence[PlacedHold], wall_angle: WallAngle | None, scale: float) -> Difficulty | None:
    """Estimate a V grade.

    A longer reach, smaller holds and a steeper wall never make the answer easier, all else being equal.

    Args:
        holds: the problem's, in any order.
        wall_angle: None is graded as a face, with a wider range.
        scale: metres per pixel (`metres_per_pixel`).

    Returns:
        None for fewer than MIN_HOLDS holds. `factors` are identifiers, listed in docs/difficulty.md.
    """
    if len(holds) < MIN_HOLDS:
        return None
    reach, size = hardest_reach(holds) * scale, _typical_side(holds) * scale
    grade = (
        _ANGLE_GRADES[wall_angle]
        + _REACH_GRADES * float(np.clip((reach - _EASY_REACH_M) / (_HARD_REACH_M - _EASY_REACH_M), 0, 1))
        + _SIZE_GRADES * float(np.clip(_shrinkage(size), 0, 1))
    )
    slack = 1.5 if wall_angle is not None else 2.5
    return Difficulty(
        grade=_v_scale(grade),
        low=_v_scale(grade - slack),
        high=_v_scale(grade + slack),
        confidence=_confidence(holds, wall_angle),
        factors=_factors(len(holds), reach, size, wall_angle),
    )


def climb_type(holds: Sequence[PlacedHold], wall_angle: WallAngle | None, scale: float) -> ClimbType | None:
    """What the moves look like: static, dynamic, traverse, crimpy, powerful or technical.

    Args and None as for `estimate`. `types` are all that fit, the most fitting first.
    """
    if len(holds) < MIN_HOLDS:
        return None
    reach, size = hardest_reach(holds) * scale, _typical_side(holds) * scale
    crimpy = _ramp(size, _LARGE_ABOVE_M, _SMALL_HOLD_M)
    steep = {"overhang": 1.0, "face": 0.3, None: 0.3, "slab": 0.0}[wall_angle]
    fits = {
        "static": _ramp(reach, _LONG_REACH_M, _SHORT_REACH_M) * 0.6,
        "dynamic": _ramp(reach, _LONG_REACH_M * 0.8, _DYNAMIC_REACH_M),
        "traverse": _ramp(_width_to_height(holds), _TRAVERSE_RATIO * 0.6, _TRAVERSE_RATIO * 1.4),
        "crimpy": crimpy,
        "powerful": steep * (0.5 + 0.5 * _ramp(reach, _SHORT_REACH_M, _LONG_REACH_M)),
        "technical": (1 - steep) * (0.4 + 0.6 * crimpy) * 0.8,
    }
    ranked = sorted(fits, key=lambda name: -fits[name])
    best = fits[ranked[0]]
    types = [name for name in ranked if fits[name] >= max(0.5, 0.7 * best)] or ranked[:1]
    return ClimbType(primary_type=types[0], types=types, confidence=round(MAX_CONFIDENCE * best, 2))


def hardest_reach(holds: Sequence[PlacedHold]) -> float:
    """The longest move that cannot be avoided from the lowest hold to the highest, in pixels.

    The minimax path: of all ways up, the one whose longest step is shortest. It is the longest edge on the
    path between both ends in the minimum spanning tree (Hu 1961, The maximum capacity route problem).
    """
    centres = np.array([hold.center for hold in holds], dtype=np.float64)
    start, top = int(centres[:, 1].argmax()), int(centres[:, 1].argmin())
    distances = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
    return _minimax(distances, start)[top]


def _minimax(distances: NDArray[np.float64], start: int) -> list[float]:
    """Each node's bottleneck from `start`: Dijkstra's algorithm with the maximum in place of the sum."""
    bottleneck = distances[start].copy()
    open_nodes = set(range(len(distances))) - {start}
    while open_nodes:
        nearest = min(open_nodes, key=lambda node: (bottleneck[node], node))
        open_nodes.remove(nearest)
        bottleneck = np.minimum(bottleneck, np.maximum(bottleneck[nearest], distances[nearest]))
    return [float(value) for value in bottleneck]


def _typical_side(holds: Sequence[PlacedHold]) -> float:
    return float(np.sqrt(np.median([max(hold.area, 1.0) for hold in holds])))


def _shrinkage(size: float) -> float:
    """0 at a large hold, 1 at a small one; equal steps for equal ratios."""
    return float(np.log(_LARGE_HOLD_M / size) / np.log(_LARGE_HOLD_M / _SMALL_HOLD_M))


def _ramp(value: float, zero_at: float, one_at: float) -> float:
    return float(np.clip((value - zero_at) / (one_at - zero_at), 0, 1))


def _width_to_height(holds: Sequence[PlacedHold]) -> float:
    centres = np.array([hold.center for hold in holds])
    width, height = np.ptp(centres, axis=0)
    return float(width / max(height, 1e-6))


def _confidence(holds: Sequence[PlacedHold], wall_angle: WallAngle | None) -> float:
    known = 1.0 if wall_angle is not None else 0.6
    return round(MAX_CONFIDENCE * known * min(1.0, 0.5 + len(holds) / 16), 2)


def _v_scale(grade: float) -> str:
    return f"V{int(np.clip(np.floor(grade + 0.5), 0, HARDEST))}"


def _factors(count: int, reach: float, size: float, wall_angle: WallAngle | None) -> list[str]:
    named = {
        "overhang": wall_angle == "overhang",
        "slab": wall_angle == "slab",
        "long_reaches": reach >= _LONG_REACH_M,
        "short_reaches": reach <= _SHORT_REACH_M,
        "small_holds": size <= _SMALL_BELOW_M,
        "large_holds": size >= _LARGE_ABOVE_M,
        "many_holds": count >= _MANY_HOLDS,
        "few_holds": count <= _FEW_HOLDS,
        "unknown_wall_angle": wall_angle is None,
    }
    return [name for name, applies in named.items() if applies]
