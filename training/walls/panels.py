"""The bare wall: flat facets, their paint, and the hall above and below them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from training.walls.camera import Camera, Points
from training.walls.shapes import area
from training.walls.spec import WallSpec

Material = Literal["wood", "gray", "painted"]
Lab = tuple[float, float, float]

_WOODS: Final[tuple[Lab, ...]] = (
    (76, 5, 23), (72, 7, 27), (79, 4, 19), (66, 10, 28), (54, 16, 31), (61, 7, 18),
)  # fmt: skip
_GRAYS: Final[tuple[Lab, ...]] = ((70, 0, 4), (62, 0, 2), (54, 0, -1), (76, 1, 6), (44, 0, -2))
_PAINTS: Final[tuple[Lab, ...]] = (
    (40, -4, -28), (32, 2, -24), (84, 0, 4), (80, 2, 12), (48, -22, 2), (27, 0, -4), (58, -6, -16),
    (46, 40, 26),
)  # fmt: skip
_STOCK: Final[dict[str, tuple[Lab, ...]]] = {"wood": _WOODS, "gray": _GRAYS, "painted": _PAINTS}


@dataclass(frozen=True, eq=False)
class Facet:
    """One flat part of the wall.

    Attributes:
        polygon: convex outline, N x 2, metres on the wall plane.
        slope: how its surface rises to the right and down, relative to the wall plane.
        frame: 2 x 2, the facet's own metres (panels, T-nuts) to metres on the wall plane.
        material: what it is made of.
        lab: its L*a*b*.
        pitch: metres between T-nuts.
    """

    polygon: Points
    slope: tuple[float, float]
    frame: Points
    material: Material
    lab: NDArray[np.float32]
    pitch: float

    @property
    def centre(self) -> Points:
        """Where the facet's own metres start, metres on the wall plane (2 values)."""
        return np.asarray(self.polygon.mean(axis=0), np.float64)

    def holds_point(self, point: Points) -> bool:
        """Whether a point (2 values, metres) lies on the facet."""
        edge = np.roll(self.polygon, -1, axis=0) - self.polygon
        to = point - self.polygon
        side = edge[:, 0] * to[:, 1] - edge[:, 1] * to[:, 0]
        return bool(np.all(side >= 0) or np.all(side <= 0))


@dataclass(frozen=True, eq=False)
class Backdrop:
    """The wall and the hall around it.

    Attributes:
        facets: together they cover the climbable wall.
        ceiling: pixels above the wall, N x 2, or None.
        mat: pixels below the wall, N x 2, or None.
        wall: the climbable wall, N x 2 pixels, convex.
    """

    facets: tuple[Facet, ...]
    ceiling: Points | None
    mat: Points | None
    wall: Points

    def facet_at(self, point: Points) -> Facet:
        """The facet under a point (2 values, metres); the nearest one for points off the wall."""
        for facet in self.facets:
            if facet.holds_point(point):
                return facet
        return min(self.facets, key=lambda facet: float(np.linalg.norm(facet.centre - point)))


def build(spec: WallSpec, camera: Camera, rng: np.random.Generator) -> Backdrop:
    """Folds a wall that fills the view but for some ceiling above and some mat below."""
    width, height = camera.size
    # A little wider than the picture: the border is no fold.
    edge = 0.02 * max(width, height)
    frame = np.array(
        [[-edge, -edge], [width + edge, -edge], [width + edge, height + edge], [-edge, height + edge]],
        np.float64,
    )
    wall, ceiling, mat = frame, None, None
    if rng.random() < 0.45:
        edge = height * rng.uniform(0.03, 0.13)
        wall, ceiling = _cut(wall, np.array([width / 2, edge]), rng.normal(0, 0.05))
    if rng.random() < 0.6:
        edge = height * rng.uniform(0.88, 0.97)
        mat, wall = _cut(wall, np.array([width / 2, edge]), rng.normal(0, 0.02))
    pieces = _fold(camera.unproject(wall), rng)
    materials = _materials(spec, len(pieces), rng)
    main = int(np.argmax([area(piece) for piece in pieces]))
    facets = tuple(_facet(piece, materials[index], index == main, rng) for index, piece in enumerate(pieces))
    return Backdrop(facets, ceiling, mat, wall)


def _cut(polygon: Points, through: Points, angle: float) -> tuple[Points, Points]:
    """Both halves of a convex polygon: the one to the right of a direction (below, at angle 0) first."""
    direction = np.array([np.cos(angle), np.sin(angle)])
    to = polygon - through
    side = direction[0] * to[:, 1] - direction[1] * to[:, 0]
    return _half(polygon, side), _half(polygon, -side)


def _half(polygon: Points, side: Points) -> Points:
    """The part of a convex polygon with side >= 0 (Sutherland and Hodgman 1974, one edge)."""
    kept = []
    for index, here in enumerate(polygon):
        following = (index + 1) % len(polygon)
        if side[index] >= 0:
            kept.append(here)
        if (side[index] >= 0) != (side[following] >= 0):
            share = side[index] / (side[index] - side[following])
            kept.append(here + share * (polygon[following] - here))
    return np.array(kept, np.float64).reshape(-1, 2)


def _fold(wall: Points, rng: np.random.Generator) -> list[Points]:
    """Splits the wall along straight folds; slivers are not worth a fold."""
    pieces = [wall]
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.2, 0.35, 0.3, 0.15]))):
        largest = int(np.argmax([area(piece) for piece in pieces]))
        piece = pieces[largest]
        mix = rng.dirichlet(np.full(len(piece), 2.0))
        halves = _cut(piece, mix @ piece, rng.uniform(0, np.pi))
        if min(len(half) for half in halves) >= 3 and min(map(area, halves)) > 0.08 * area(wall):
            pieces[largest : largest + 1] = list(halves)
    return pieces


def _materials(spec: WallSpec, count: int, rng: np.random.Generator) -> list[Material]:
    chosen: list[Material] = [spec.wall] * count  # type: ignore[list-item]
    others: list[Material] = ["wood", "gray", "painted"]
    for index in range(1, count):
        if rng.random() < 0.3:
            chosen[index] = others[int(rng.integers(3))]
    return chosen


def _facet(piece: Points, material: Material, main: bool, rng: np.random.Generator) -> Facet:
    stock = _STOCK[material]
    lab = np.array(stock[int(rng.integers(len(stock)))], np.float32) + rng.normal(0, 1.2, 3)
    slope, angle, squash = (0.0, 0.0), 0.0, np.ones(2)
    if not main:
        slope = (float(rng.normal(0, 0.22)), float(rng.normal(0, 0.22)))
        angle = float(np.clip(rng.normal(0, 0.10), -0.3, 0.3))
        squash = rng.uniform(0.86, 1.0, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return Facet(
        piece, slope, turn * squash, material, lab.astype(np.float32), float(rng.uniform(0.13, 0.19))
    )
