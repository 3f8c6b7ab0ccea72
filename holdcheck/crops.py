"""Crops for CLIP: one hold, square and undistorted, its surroundings quieted so that its colour decides."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Background = Literal["untouched", "grey", "blurred", "dimmed"]

MARGIN = 0.15
"""Wall shown on each side, as a fraction of the box's longer side."""
BACKGROUND: Background = "dimmed"
"""What happens outside the mask (docs/colour.md tells why)."""
_GREY = 128
_DIMMED = 0.35
"""How much of the surroundings' contrast with grey is left."""
_BLUR = 0.12
"""Sigma of the blur, as a fraction of the crop's side."""
_FEATHER = 0.008
"""Sigma of the mask's soft edge, as a fraction of the crop's side: a hard one is a contour of its own."""


def cut(
    pixels: NDArray[np.uint8],
    box: tuple[int, int, int, int],
    mask: NDArray[np.bool_],
    size: int,
    background: Background = BACKGROUND,
    margin: float = MARGIN,
) -> NDArray[np.uint8]:
    """Cut one hold out of a photo.

    Args:
        pixels: RGB (H, W, 3); neither modified nor copied as a whole.
        box: x1, y1, x2, y2 in pixels, exclusive end, inside the photo.
        mask: (y2 - y1, x2 - x1), the hold inside its box.
        size: side of the crop in pixels.
        background: what happens outside the mask.
        margin: wall shown on each side, as a fraction of the box's longer side.

    Returns:
        RGB (size, size, 3). The hold's centre is the crop's, its proportions are kept, and where the square
        reaches past the photo its edge pixels are repeated.
    """
    side, left, top = _square(box, margin)
    square = _window(pixels, left, top, side)
    crop = _resize(square, size)
    if background == "untouched":
        return crop
    canvas = np.zeros((side, side), dtype=np.uint8)
    x1, y1, x2, y2 = box
    canvas[y1 - top : y2 - top, x1 - left : x2 - left] = mask.astype(np.uint8) * 255
    inside = _resize(canvas, size)
    feathered = cv2.GaussianBlur(inside, (0, 0), max(_FEATHER * size, 0.3))
    share = feathered.astype(np.float32) / 255
    return np.asarray(cv2.blendLinear(crop, _quieted(crop, background), share, 1 - share), dtype=np.uint8)


def _square(box: tuple[int, int, int, int], margin: float) -> tuple[int, int, int]:
    """Side, left and top of the square around a box; it may reach past the photo."""
    x1, y1, x2, y2 = box
    longest = max(x2 - x1, y2 - y1)
    side = longest + 2 * max(1, round(longest * margin))
    return side, (x1 + x2 - side) // 2, (y1 + y2 - side) // 2


def _window(pixels: NDArray[np.uint8], left: int, top: int, side: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + side, width), min(top + side, height)
    seen = pixels[y1:y2, x1:x2]
    missing = (y1 - top, top + side - y2, x1 - left, left + side - x2)
    if not any(missing):
        return seen
    # Repeated edges are wall; black would be a colour of its own.
    return np.asarray(cv2.copyMakeBorder(seen, *missing, cv2.BORDER_REPLICATE), dtype=np.uint8)


def _resize(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    method = cv2.INTER_AREA if picture.shape[0] > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (size, size), interpolation=method), dtype=np.uint8)


def _quieted(crop: NDArray[np.uint8], background: Background) -> NDArray[np.uint8]:
    if background == "blurred":
        return np.asarray(cv2.GaussianBlur(crop, (0, 0), _BLUR * crop.shape[0]), dtype=np.uint8)
    keep = _DIMMED if background == "dimmed" else 0.0
    return np.asarray(cv2.convertScaleAbs(crop, alpha=keep, beta=(1 - keep) * _GREY), dtype=np.uint8)
