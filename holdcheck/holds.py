"""From detections to holds: the largest are kept, each mask is decoded inside its own box, and outlined."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from holdcheck.detector import KINDS, Detections
from holdcheck.result import Kind

_OUTLINE_TOLERANCE_PX = 0.5
"""Largest distance, in working pixels, that simplifying an outline may move it."""
_FINE_BOX_SIDE_PX = 400
"""Boxes up to this side are outlined on a grid twice as fine; larger ones need no better than a pixel."""


@dataclass(frozen=True, slots=True)
class HoldMask:
    """One hold in pixels of the working image. Masks exist only inside their own box."""

    box: tuple[int, int, int, int]
    """x1, y1, x2, y2; the end is exclusive."""
    mask: NDArray[np.bool_]
    """(y2 - y1, x2 - x1)."""
    outline: NDArray[np.float32]
    """(N, 2) x, y: a closed polygon along the mask's edge."""
    bbox: tuple[float, float, float, float]
    """The detector's own box, not rounded."""
    score: float
    kind: Kind

    @property
    def area(self) -> int:
        """px² of the mask."""
        return int(np.count_nonzero(self.mask))

    @property
    def center(self) -> tuple[float, float]:
        """The mask's centroid."""
        rows, columns = np.nonzero(self.mask)
        return self.box[0] + float(columns.mean()) + 0.5, self.box[1] + float(rows.mean()) + 0.5


def keep_largest(found: Detections, max_holds: int) -> Detections:
    """The `max_holds` largest detections, by box area, largest first.

    Chosen before any mask is decoded: what is dropped here costs nothing more.
    """
    width, height = (found.boxes[:, 2:] - found.boxes[:, :2]).T
    return found.take(np.argsort(-(width * height), kind="stable")[:max_holds])


def decode_masks(found: Detections, pixels_shape: tuple[int, ...]) -> list[HoldMask]:
    """Decode each detection's mask inside its box on a working image of `pixels_shape` (H, W, ...).

    A detection whose mask is empty is no hold and is left out.
    """
    holds = (_decode_mask(found, index, pixels_shape) for index in range(len(found)))
    return [hold for hold in holds if hold is not None]


def _decode_mask(found: Detections, index: int, pixels_shape: tuple[int, ...]) -> HoldMask | None:
    box = _whole_pixels(found.boxes[index], pixels_shape)
    fineness = 2 if max(box[2] - box[0], box[3] - box[1]) <= _FINE_BOX_SIDE_PX else 1
    fine_mask = _largest_part(_mask_logits(found, index, box, fineness) > 0)
    size = (box[2] - box[0], box[3] - box[1])
    # A pixel belongs to the hold where half of it does: taking every second sample would shift the mask.
    mask = cv2.resize(fine_mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5
    if not mask.any():
        return None
    x1, y1, x2, y2 = (float(value) for value in found.boxes[index])
    return HoldMask(
        box,
        mask,
        _outline(fine_mask, box, fineness),
        (x1, y1, x2, y2),
        float(found.scores[index]),
        KINDS[int(found.classes[index])],
    )


def _whole_pixels(box: NDArray[np.float32], pixels_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The smallest box of whole pixels around `box`, at least one pixel and inside the image."""
    height, width = pixels_shape[:2]
    x1, y1 = min(int(box[0]), width - 1), min(int(box[1]), height - 1)
    x2, y2 = int(np.ceil(box[2])), int(np.ceil(box[3]))
    return x1, y1, min(max(x2, x1 + 1), width), min(max(y2, y1 + 1), height)


def _mask_logits(
    found: Detections, index: int, box: tuple[int, int, int, int], fineness: int
) -> NDArray[np.float32]:
    """Mask logits on a grid of `fineness` samples a pixel inside `box` (YOLACT's linear combination).

    Logits are interpolated before they are thresholded, so that the outline is finer than a prototype pixel.
    """
    scale = np.array(found.prototype_scale)
    corner, opposite = np.array(box[:2]), np.array(box[2:])
    _, rows, columns = found.prototypes.shape
    limit = np.array([columns, rows])
    # One prototype pixel more on each side: the bilinear filter looks half a pixel past the box.
    first = np.clip((corner * scale - 1).astype(int), 0, limit - 1)
    last = np.clip(np.ceil(opposite * scale + 1).astype(int), first + 1, limit)
    patch = found.prototypes[:, first[1] : last[1], first[0] : last[0]]
    logits = np.tensordot(found.coefficients[index], patch, axes=1).astype(np.float32)
    # Sample k's centre lies at corner + (k + 0.5) / fineness; a prototype pixel's at its index plus a half.
    step = scale / fineness
    origin = scale * corner + step / 2 - 0.5 - first
    grid = np.array([[step[0], 0, origin[0]], [0, step[1], origin[1]]])
    size = ((box[2] - box[0]) * fineness, (box[3] - box[1]) * fineness)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpAffine(logits, grid, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, dtype=np.float32)


def _largest_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Only the largest connected part: specks of a neighbour inside the box are not this hold."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    largest = 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
    return np.asarray(labels == largest)


def _outline(mask: NDArray[np.bool_], box: tuple[int, int, int, int], fineness: int) -> NDArray[np.float32]:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    longest = max(contours, key=len)
    simple = cv2.approxPolyDP(longest, _OUTLINE_TOLERANCE_PX * fineness, closed=True).reshape(-1, 2)
    points = (simple.astype(np.float32) + 0.5) / fineness + np.array(box[:2], dtype=np.float32)
    return np.asarray(points, dtype=np.float32)
