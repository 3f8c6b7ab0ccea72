"""Chooses and places the volumes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.walls.camera import Camera, Points
from training.walls.noise import Float
from training.walls.occupancy import Occupancy
from training.walls.palette import Colour, shade_of
from training.walls.panels import Backdrop
from training.walls.scene import VolumePlan
from training.walls.shapes import area, convex, outline, turned
from training.walls.spec import WallSpec

_PAINTS: tuple[Colour, ...] = ("blue", "yellow", "red", "green", "mint", "purple", "white", "orange")
_BIRCH = (74.0, 5.0, 22.0)


def plan_volumes(
    spec: WallSpec,
    camera: Camera,
    backdrop: Backdrop,
    taken: Occupancy,
    colours: Sequence[Colour],
    rng: np.random.Generator,
) -> list[VolumePlan]:
    """Volumes for the wall, marked as taken. None has the colour of a problem: it belongs to nobody."""
    count = spec.volumes
    if count is None:
        count = int(rng.choice([0, 1, 2, 3, 5, 7], p=[0.15, 0.15, 0.25, 0.2, 0.15, 0.1]))
    finish = _finish(backdrop, colours, rng)
    volumes: list[VolumePlan] = []
    for _ in range(min(count, 250)):
        plan = _place(camera, backdrop, taken, finish, rng)
        if plan is not None:
            volumes.append(plan)
            taken.take_volume(plan.polygon, len(volumes))
    return volumes


def _finish(
    backdrop: Backdrop, colours: Sequence[Colour], rng: np.random.Generator
) -> tuple[Colour, Float, bool]:
    """One finish for all volumes of the wall, as gyms buy them."""
    free: list[tuple[Colour, bool]] = [("gray", False), ("gray", False), ("black", False), ("brown", True)]
    free += [(_PAINTS[int(rng.integers(len(_PAINTS)))], False)]
    free = [choice for choice in free if choice[0] not in colours]
    if backdrop.facets[0].material != "wood" or rng.random() < 0.4 or not free:
        free.append(("unknown", True))
    colour, wood = free[int(rng.integers(len(free)))]
    if colour == "unknown":
        return colour, (np.array(_BIRCH) + rng.normal(0, 2, 3)).astype(np.float32), True
    return colour, shade_of(colour, rng), wood


def _place(
    camera: Camera,
    backdrop: Backdrop,
    taken: Occupancy,
    finish: tuple[Colour, Float, bool],
    rng: np.random.Generator,
) -> VolumePlan | None:
    smooth = bool(rng.random() < 0.15) and not finish[2]
    shape = _shape(smooth, rng)
    for _ in range(30):
        pixel = backdrop.wall.min(axis=0) + rng.uniform(0.02, 0.98, 2) * np.ptp(backdrop.wall, axis=0)
        at = camera.unproject(pixel[None])[0]
        polygon = camera.project(at + shape).astype(np.float32)
        clipped = _inside(polygon, camera.size)
        if len(clipped) >= 3 and area(clipped) > 0.6 * area(polygon) and taken.place_for_volume(clipped):
            return _plan(clipped, camera.scale_at(at), smooth, finish, rng)
    return None


def _shape(smooth: bool, rng: np.random.Generator) -> Points:
    radius = rng.uniform(0.22, 0.5)
    if smooth:
        shape, _ = outline("macro", rng)
        return np.asarray(shape / np.sqrt(area(shape) / np.pi) * radius * 0.8, np.float64)
    corners = convex(rng, int(rng.choice([3, 4, 5, 6], p=[0.4, 0.35, 0.15, 0.1])), rng.uniform(0.85, 1.45))
    return turned(corners, rng.uniform(0, 2 * np.pi)) * radius


def _plan(
    polygon: Float, scale: float, smooth: bool, finish: tuple[Colour, Float, bool], rng: np.random.Generator
) -> VolumePlan:
    colour, lab, wood = finish
    radius = float(np.sqrt(area(polygon) / np.pi))
    if smooth:
        return VolumePlan(polygon, scale, None, 0.5 * radius, colour, lab, wood)
    steepness = np.exp(rng.normal(-0.25, 0.5, len(polygon))).astype(np.float32)
    cap = radius * rng.uniform(0.3, 0.6) if rng.random() < 0.5 else 2.0 * radius
    return VolumePlan(polygon, scale, steepness, cap, colour, lab, wood)


def _inside(polygon: Float, size: tuple[int, int]) -> Float:
    """The polygon within the picture (Sutherland and Hodgman 1974)."""
    for axis, limit in enumerate(size):
        for edge, sign in ((0.0, 1.0), (limit - 1.0, -1.0)):
            polygon = _clip(polygon, (polygon[:, axis] - edge) * sign)
            if len(polygon) == 0:
                return polygon
    return polygon


def _clip(polygon: Float, side: Float) -> Float:
    kept = []
    for index, here in enumerate(polygon):
        following = (index + 1) % len(polygon)
        if side[index] >= 0:
            kept.append(here)
        if (side[index] >= 0) != (side[following] >= 0):
            share = side[index] / (side[index] - side[following])
            kept.append(here + share * (polygon[following] - here))
    return np.array(kept, np.float32).reshape(-1, 2)
