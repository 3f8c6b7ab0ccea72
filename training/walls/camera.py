"""Where the phone stands: wall metres to picture pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.walls.spec import WallSpec

Points = NDArray[np.float64]

#: Metres of climbing width that one problem takes up when the camera chooses its own distance.
_METRES_PER_PROBLEM = 1.0


@dataclass(frozen=True, eq=False)
class Camera:
    """A plane seen in slight perspective.

    Attributes:
        matrix: 3 x 3 homography; wall metres (x right, y down, 0 in the middle) to pixels.
        size: width, height of the picture, pixels.
        metres: width, height of the view at its middle, metres.
    """

    matrix: Points
    size: tuple[int, int]
    metres: tuple[float, float]

    def project(self, points: Points) -> Points:
        """Pixels (N x 2) of points on the wall (N x 2, metres)."""
        return _transform(self.matrix, points)

    def unproject(self, pixels: Points) -> Points:
        """Points on the wall (N x 2, metres) of pixels (N x 2)."""
        return _transform(np.asarray(np.linalg.inv(self.matrix), np.float64), pixels)

    def scale_at(self, point: Points) -> float:
        """Pixels per metre around one point (2 values, metres)."""
        around = np.array([[0.0, 0.0], [0.01, 0.0], [0.0, 0.01]]) + point
        corner, right, down = self.project(around)
        (ax, ay), (bx, by) = right - corner, down - corner
        return float(np.sqrt(abs(ax * by - ay * bx)) / 0.01)


def aim(spec: WallSpec, rng: np.random.Generator) -> Camera:
    """Stands the camera in front of the wall, about level, about straight."""
    width, height = spec.width, spec.height
    tall = spec.metres or _distance(spec, rng)
    scale = height / tall
    # A slab's top recedes and an overhang's comes nearer; the phone is mostly tilted up a little.
    lean = {"slab": -0.10, "face": -0.03, "overhang": 0.08}[spec.wall_angle] + rng.normal(0, 0.025)
    turn = rng.normal(0, 0.035)
    roll = np.deg2rad(np.clip(rng.normal(0, 1.3), -3, 3))
    turned = scale * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    spin = np.eye(3)
    spin[:2, :2] = turned
    half_width, half_height = width / 2, height / 2
    tilt = np.array([[1, 0, 0], [0, 1, 0], [turn / half_width, lean / half_height, 1]])
    centre = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]])
    return Camera(centre @ tilt @ spin, (width, height), (width / scale, tall))


def _distance(spec: WallSpec, rng: np.random.Generator) -> float:
    aspect = spec.width / spec.height
    chosen = rng.uniform(3.4, 4.8) if aspect < 1 else rng.uniform(2.9, 4.0)
    needed = (spec.problems or 0) * _METRES_PER_PROBLEM / aspect
    return float(np.clip(max(chosen, needed), 2.6, 9.0))


def _transform(matrix: Points, points: Points) -> Points:
    stacked = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return np.asarray(stacked[:, :2] / stacked[:, 2:], np.float64)
