"""Polygons to pixels, without the half pixel that OpenCV adds around everything it fills."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32] | NDArray[np.float64]

#: Sub-pixels along the longer side of a shape: more would cost memory and show nothing.
_SUBPIXELS = 2400


def coverage(polygon: Floats, width: int, height: int) -> NDArray[np.float32]:
    """How much of each pixel lies inside a polygon.

    cv2.fillPoly also draws the outline, which makes shapes 0.4 to 0.7 px too large all around; on a
    raster some times finer that error shrinks to a tenth of a pixel.

    Args:
        polygon: N x 2 pixels, a pixel's centre on integers.
        width: columns of the answer.
        height: rows of the answer.

    Returns:
        float32 in 0..1, height x width.
    """
    finer = int(np.clip(_SUBPIXELS // max(width, height), 2, 8))
    moved = (np.asarray(polygon, np.float64) + 0.5) * finer - 0.5
    fine = np.zeros((height * finer, width * finer), np.uint8)
    cv2.fillPoly(fine, [np.rint(moved * 16).astype(np.int32)], 255, cv2.LINE_8, 4)
    share = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(share, np.float32) / np.float32(255)


def dots(image: NDArray[np.uint8], centres: Floats, radii: Floats, factor: float) -> None:
    """Darkens (factor < 1) or brightens many round spots at once, in place.

    Args:
        image: height x width x 3.
        centres: N x 2 pixels.
        radii: N, pixels.
        factor: of the brightness in the middle.
    """
    reach = int(np.ceil(radii.max(initial=0))) + 1
    near = np.arange(-reach, reach + 1)
    columns = np.rint(centres[:, 0]).astype(int)[:, None, None] + near[None, None, :]
    rows = np.rint(centres[:, 1]).astype(int)[:, None, None] + near[None, :, None]
    away = np.hypot(columns - centres[:, 0, None, None], rows - centres[:, 1, None, None])
    share = np.clip(radii[:, None, None] + 0.5 - away, 0, 1)
    rows, columns = np.broadcast_to(rows, share.shape), np.broadcast_to(columns, share.shape)
    height, width = image.shape[:2]
    seen = (share > 0) & (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    rows, columns = rows[seen], columns[seen]
    lit = image[rows, columns] * (1 + (factor - 1) * share[seen])[:, None]
    image[rows, columns] = np.clip(lit, 0, 255).astype(np.uint8)


def dab(image: NDArray[np.float32], centre: Floats, radius: float, factor: float) -> None:
    """Darkens (factor < 1) or brightens one round spot with a soft edge, in place.

    Args:
        image: height x width x 3.
        centre: x, y in pixels; spots centred outside the image are left out.
        radius: pixels.
        factor: of the brightness in the middle.
    """
    x, y = round(float(centre[0])), round(float(centre[1]))
    reach = int(radius + 2)
    if not (0 <= x < image.shape[1] and 0 <= y < image.shape[0]):
        return
    x0, y0 = max(x - reach, 0), max(y - reach, 0)
    part = image[y0 : y + reach + 1, x0 : x + reach + 1]
    rows, columns = np.ogrid[0 : part.shape[0], 0 : part.shape[1]]
    away = np.sqrt((columns + x0 - centre[0]) ** 2 + (rows + y0 - centre[1]) ** 2)
    part *= (1 + (factor - 1) * np.clip(radius + 0.5 - away, 0, 1))[..., None].astype(np.float32)
