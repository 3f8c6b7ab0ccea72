"""Finding holds: letterbox, a segmentation network, and non-maximum suppression.

Both runtimes share everything here but the forward pass, so that they answer alike.
"""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from holdcheck.classifier import ModelInfo

KINDS = ("hold", "volume")
NMS_IOU = 0.6
MAX_DETECTIONS = 500
STRIDE = 32
_PAD_GREY = 114


@dataclass(frozen=True, slots=True)
class Detections:
    """What the network saw, best first, in pixels of the working image."""

    boxes: NDArray[np.float32]
    """(N, 4): x1, y1, x2, y2."""
    scores: NDArray[np.float32]
    """(N,) in 0..1."""
    classes: NDArray[np.int64]
    """(N,): index into KINDS."""
    coefficients: NDArray[np.float32]
    """(N, 32): each mask's weights on the prototypes."""
    prototypes: NDArray[np.float32]
    """(32, h, w): shared by all masks (Bolya et al. 2019, YOLACT)."""
    prototype_scale: float
    """Prototype pixels per pixel of the working image; both have their origin at the top left."""

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, index: NDArray[np.int64]) -> "Detections":
        """The same picture with only these detections, in this order."""
        return Detections(
            self.boxes[index],
            self.scores[index],
            self.classes[index],
            self.coefficients[index],
            self.prototypes,
            self.prototype_scale,
        )


class Detector(Protocol):
    """Implementations: runtime.onnx, runtime.torch, FakeDetector."""

    info: ModelInfo

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        """Find holds on upright RGB pixels (H, W, 3)."""
        ...
