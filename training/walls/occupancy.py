"""What is already taken: a coarse map of the picture, so that no hold ever hides another."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.walls.noise import Float

#: Long side of the map. Finer finds tighter fits and costs time.
_SIDE = 640


class Occupancy:
    """Three layers: where the wall is, which volume covers it, and what is taken by holds and tags."""

    def __init__(self, width: int, height: int, wall: NDArray[np.float64]) -> None:
        self._scale = min(1.0, _SIDE / max(width, height))
        shape = (int(height * self._scale) + 2, int(width * self._scale) + 2)
        self._limit = np.array([width - 1, height - 1])
        self._wall = np.zeros(shape, np.uint8)
        self._volume = np.zeros(shape, np.uint8)
        self._taken = np.zeros(shape, np.uint8)
        self._fill(self._wall, wall.astype(np.float32), 1)

    def place_for_volume(self, polygon: Float) -> bool:
        """Whether a volume fits: its middle on the wall, and clear of the volumes before it."""
        inside, part = self._window(polygon, 0.0)
        on_wall = self._wall[part][inside > 0]
        return on_wall.size > 0 and on_wall.mean() > 0.9 and not self._volume[part][inside > 0].any()

    def take_volume(self, polygon: Float, number: int) -> None:
        """Marks a volume (number 1..255) as standing."""
        self._fill(self._volume, polygon, number)

    def place_for_hold(self, polygon: Float, gap: float) -> bool:
        """Whether a hold fits: inside the picture and the wall, `gap` pixels clear of all holds, and
        either on one volume entirely or on none."""
        if (polygon < 2).any() or (polygon > self._limit - 2).any():
            return False
        inside, part = self._window(polygon, gap)
        under = self._volume[part][inside > 0]
        if under.size == 0 or not self._wall[part][inside > 0].all():
            return False
        return not self._taken[part][inside > 0].any() and under.min() == under.max()

    def take_hold(self, polygon: Float) -> None:
        """Marks a hold or a tag as standing."""
        self._fill(self._taken, polygon, 1)

    def volume_at(self, polygon: Float) -> int:
        """Number of the volume under a polygon's middle, 0 for the wall."""
        x, y = np.rint(polygon.mean(axis=0) * self._scale).astype(int)
        rows, columns = self._volume.shape
        return int(self._volume[np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)])

    def _fill(self, layer: NDArray[np.uint8], polygon: Float, value: int) -> None:
        points = np.rint(polygon * self._scale * 16).astype(np.int32)
        cv2.fillPoly(layer, [points], value, cv2.LINE_8, 4)

    def _window(self, polygon: Float, gap: float) -> tuple[NDArray[np.uint8], tuple[slice, slice]]:
        """The polygon with its gap as a small mask, and where that lies in the map."""
        points = polygon * self._scale
        reach = int(np.ceil(gap * self._scale)) + 2
        low = np.maximum(np.floor(points.min(axis=0)).astype(int) - reach, 0)
        high = np.ceil(points.max(axis=0)).astype(int) + reach
        rows, columns = self._wall.shape
        part = (slice(low[1], min(high[1] + 1, rows)), slice(low[0], min(high[0] + 1, columns)))
        shape = self._wall[part].shape
        if min(shape) == 0:
            return np.zeros(shape, np.uint8), part
        inside = np.zeros(shape, np.uint8)
        moved = np.rint((points - low) * 16).astype(np.int32)
        cv2.fillPoly(inside, [moved], 1, cv2.LINE_8, 4)
        thick = max(1, round(2 * gap * self._scale))
        cv2.polylines(inside, [moved], True, 1, thick, cv2.LINE_8, 4)
        return inside, part
