"""A detector that knows the truth: a test sees the geometry around a network and nothing of the network.

It answers as the network does, at its own size: boxes, coefficients, and prototypes a quarter as fine.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from holdcheck.classifier import ModelInfo
from holdcheck.detector import Detections, decode, letterbox

_PROTOTYPES = 32
_INSIDE, _OUTSIDE = 8.0, -8.0


@dataclass
class Oracle:
    """Finds exactly the polygons given, as fractions of the upright photo; 32 at most."""

    polygons: list[NDArray[np.float32]]
    img_size: int = 640
    info: ModelInfo = field(default_factory=lambda: ModelInfo("oracle", "truth", "fp32", "", False))

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        letterboxed = letterbox(pixels, self.img_size)
        _, height, width, _ = letterboxed.image.shape
        size = pixels.shape[1] * letterboxed.scale_x, pixels.shape[0] * letterboxed.scale_y
        outlines = [polygon * np.array(size, dtype=np.float32) for polygon in self.polygons]
        prototypes = np.full((1, _PROTOTYPES, height // 4, width // 4), _OUTSIDE, dtype=np.float32)
        rows = np.zeros((1, 4 + 2 + _PROTOTYPES, len(outlines)), dtype=np.float32)
        for index, outline in enumerate(outlines):
            prototypes[0, index] = _OUTSIDE + (_INSIDE - _OUTSIDE) * _coverage(
                outline / np.float32(4), height // 4, width // 4
            )
            low, high = outline.min(axis=0), outline.max(axis=0)
            rows[0, :4, index] = [*(low + high) / 2, *(high - low)]
            rows[0, 4, index] = 0.9
            rows[0, 6 + index, index] = 1
        return decode(rows, prototypes, letterboxed, pixels.shape, ("hold", "volume"), 0.25)

    def release_pages(self) -> None: ...


def _coverage(polygon: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """How much of each cell lies inside the polygon, 0..1: what a well-trained network's logits follow."""
    fine = 8
    mask = np.zeros((height * fine, width * fine), dtype=np.uint8)
    cv2.fillPoly(mask, [np.round(polygon * fine - 0.5).astype(np.int32)], 1)
    return np.asarray(mask.reshape(height, fine, width, fine).mean(axis=(1, 3)), dtype=np.float32)
