"""Outlines of holds and volumes, as a maker draws them."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
AnyPoints = NDArray[np.float32] | NDArray[np.float64]
Style = Literal["jug", "crimp", "sloper", "pinch", "pocket", "foot", "macro"]

#: Smallest and largest radius, metres, of a circle as large as the hold.
RADIUS: Final[dict[Style, tuple[float, float]]] = {
    "jug": (0.065, 0.105),
    "crimp": (0.040, 0.070),
    "sloper": (0.085, 0.160),
    "pinch": (0.060, 0.100),
    "pocket": (0.055, 0.085),
    "foot": (0.022, 0.038),
    "macro": (0.150, 0.230),
}
_POINTS = 56


def outline(style: Style, rng: np.random.Generator) -> tuple[Points, bool]:
    """A closed curve for one hold.

    Returns:
        N x 2 points (metres, around 0, no turn applied beyond what the style needs), and whether the hold
        is cut in flat facets (then the curve is convex).
    """
    shape, facets = _SHAPES[style](rng)
    shape = shape - shape.mean(axis=0)
    low, high = RADIUS[style]
    radius = rng.uniform(low, high)
    return shape * radius / np.sqrt(area(shape) / np.pi), facets


def area(points: AnyPoints) -> float:
    """Area of a closed polygon (N x 2), in its own units squared (shoelace formula)."""
    x, y = points[:, 0], points[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def turned(points: Points, angle: float) -> Points:
    """The points turned around 0 by `angle` radians, clockwise in a picture."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(points @ turn.T, np.float64)


def convex(rng: np.random.Generator, corners: int, stretch: float) -> Points:
    """A convex polygon about 0 of radius about 1: corners spread around an ellipse."""
    gaps = rng.uniform(0.55, 1.45, corners)
    angles = np.cumsum(gaps) / gaps.sum() * 2 * np.pi + rng.uniform(0, 2 * np.pi)
    return np.column_stack([np.cos(angles) * stretch, np.sin(angles) / stretch])


def rounded(points: Points, rounds: int = 3, corner: float = 0.25) -> Points:
    """Corners cut again and again (Chaikin 1974), which ends in a smooth curve."""
    for _ in range(rounds):
        following = np.roll(points, -1, axis=0)
        near = (1 - corner) * points + corner * following
        far = corner * points + (1 - corner) * following
        points = np.stack([near, far], axis=1).reshape(-1, 2)
    return points


def _blob(rng: np.random.Generator, stretch: float, bumps: float) -> Points:
    """A circle whose radius is a low-order Fourier series, then stretched."""
    angle = np.linspace(0, 2 * np.pi, _POINTS, endpoint=False)
    orders = np.arange(2, 6)
    sizes = bumps * rng.standard_normal(4) / orders
    phases = rng.uniform(0, 2 * np.pi, 4)
    radius = 1 + (sizes[:, None] * np.cos(orders[:, None] * angle + phases[:, None])).sum(axis=0)
    radius = np.clip(radius, 0.55, 1.6)
    return np.column_stack([radius * np.cos(angle) * stretch, radius * np.sin(angle) / stretch])


def _half_moon(rng: np.random.Generator) -> Points:
    """Flat above, round below: the profile of most jugs."""
    points = _blob(rng, rng.uniform(1.05, 1.35), 0.10)
    lip = rng.uniform(-0.35, 0.1)
    above = points[:, 1] < lip
    points[above, 1] = lip + (points[above, 1] - lip) * rng.uniform(0.15, 0.45)
    return points


def _bean(rng: np.random.Generator, bend: float) -> Points:
    """An ellipse bent along an arc: bananas and crescents."""
    angle = np.linspace(0, 2 * np.pi, _POINTS, endpoint=False)
    along, across = rng.uniform(1.5, 2.0) * np.cos(angle), rng.uniform(0.55, 0.7) * np.sin(angle)
    across = across * (1 + rng.uniform(-0.25, 0.25) * np.cos(angle))
    return np.column_stack([np.sin(along * bend) * (1 / bend + across), np.cos(along * bend) / bend
                            + across * np.cos(along * bend) - 1 / bend])  # fmt: skip


def _teardrop(rng: np.random.Generator) -> Points:
    angle = np.linspace(0, 2 * np.pi, _POINTS, endpoint=False)
    taper = 1 - rng.uniform(0.25, 0.5) * np.sin(angle)
    return np.column_stack([np.cos(angle) * taper * 0.85, np.sin(angle) * rng.uniform(1.1, 1.4)])


def _bar(rng: np.random.Generator, slim: float) -> Points:
    corners = np.array([[-1, -slim], [1, -slim * rng.uniform(0.6, 1)], [1, slim], [-1, slim * 0.9]])
    corners += rng.normal(0, 0.05, corners.shape)
    return rounded(_dense(corners), 3)


def _gem(rng: np.random.Generator) -> Points:
    return _dense(convex(rng, int(rng.integers(4, 7)), rng.uniform(0.95, 1.3)))


def _dense(corners: Points) -> Points:
    """Points added close to each corner, so that rounding keeps the sides straight."""
    before, after = np.roll(corners, 1, axis=0), np.roll(corners, -1, axis=0)
    near = corners + 0.12 * (before - corners)
    far = corners + 0.12 * (after - corners)
    return np.stack([near, far], axis=1).reshape(-1, 2)


def _jug(rng: np.random.Generator) -> tuple[Points, bool]:
    if rng.random() < 0.25:
        return _bean(rng, -rng.uniform(0.25, 0.5)), False
    return (_half_moon(rng) if rng.random() < 0.7 else _blob(rng, rng.uniform(0.95, 1.25), 0.22)), False


def _crimp(rng: np.random.Generator) -> tuple[Points, bool]:
    if rng.random() < 0.3:
        return _bar(rng, rng.uniform(0.28, 0.42)), False
    return _blob(rng, rng.uniform(1.3, 1.6), 0.16), False


def _sloper(rng: np.random.Generator) -> tuple[Points, bool]:
    kind = rng.random()
    if kind < 0.25:
        return _gem(rng), True
    if kind < 0.45:
        return _half_moon(rng), False
    return _blob(rng, rng.uniform(0.92, 1.15), rng.choice([0.03, 0.14])), False


def _pinch(rng: np.random.Generator) -> tuple[Points, bool]:
    kind = rng.random()
    if kind < 0.3:
        return _gem(rng) * [0.72, 1.35], True
    if kind < 0.6:
        return _teardrop(rng), False
    return _blob(rng, rng.uniform(0.68, 0.8), 0.2), False


def _pocket(rng: np.random.Generator) -> tuple[Points, bool]:
    return _blob(rng, rng.uniform(0.95, 1.25), 0.16), False


def _foot(rng: np.random.Generator) -> tuple[Points, bool]:
    if rng.random() < 0.3:
        return _gem(rng), True
    return _blob(rng, rng.uniform(0.85, 1.35), 0.2), False


def _macro(rng: np.random.Generator) -> tuple[Points, bool]:
    if rng.random() < 0.5:
        return _bean(rng, rng.choice([-1, 1]) * rng.uniform(0.35, 0.75)), False
    return _half_moon(rng), False


_SHAPES: Final = {
    "jug": _jug, "crimp": _crimp, "sloper": _sloper, "pinch": _pinch, "pocket": _pocket, "foot": _foot,
    "macro": _macro,
}  # fmt: skip
