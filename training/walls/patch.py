"""A small piece of the picture, drawn finer than its pixels and averaged down."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.walls.noise import Float
from training.walls.raster import coverage

#: Bodies smaller than this many pixels are drawn at twice, or four times, the resolution.
_FINE = 150


@dataclass(frozen=True, eq=False)
class Patch:
    """Where a body lands in the picture.

    Attributes:
        x0: left column.
        y0: top row.
        width: columns of the picture that it covers.
        height: rows of the picture that it covers.
        fine: patch pixels along one pixel of the picture.
        polygon: the body's outline in patch pixels, N x 2.
        cover: float32 0..1, fine * height x fine * width: how much of each patch pixel is body.
    """

    x0: int
    y0: int
    width: int
    height: int
    fine: int
    polygon: Float
    cover: Float

    def blend(self, canvas: NDArray[np.uint8], rgb: Float) -> None:
        """Lays the body over the canvas (uint8 RGB, in place).

        Args:
            canvas: height x width x 3.
            rgb: colours in 0..1, as large as `cover`.
        """
        size = (self.width, self.height)
        cover = self.cover[..., None]
        painted = np.dstack([rgb * cover, cover])
        if self.fine > 1:
            painted = np.asarray(cv2.resize(painted, size, interpolation=cv2.INTER_AREA), np.float32)
        top, left = max(-self.y0, 0), max(-self.x0, 0)
        under = canvas[self.y0 + top : self.y0 + self.height, self.x0 + left : self.x0 + self.width]
        painted = painted[top : top + under.shape[0], left : left + under.shape[1]]
        mixed = painted[..., :3] * 255 + under * (1 - painted[..., 3:])
        under[:] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def patch_of(polygon: Float) -> Patch:
    """The patch around a polygon (N x 2, pixels of the picture)."""
    low = np.floor(polygon.min(axis=0)).astype(int) - 2
    high = np.ceil(polygon.max(axis=0)).astype(int) + 3
    width, height = (int(side) for side in high - low)
    side = max(width, height)
    fine = 4 if side < _FINE / 3 else 2 if side < _FINE else 1
    # A pixel's centre lies on integers, so patch pixel 0 has its centre half a fine pixel in.
    inner = (polygon - low + 0.5) * fine - 0.5
    inner = inner.astype(np.float32)
    cover = coverage(inner, width * fine, height * fine)
    return Patch(int(low[0]), int(low[1]), width, height, fine, inner, cover)
