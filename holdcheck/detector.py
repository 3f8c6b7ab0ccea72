"""Finding holds: letterbox, a segmentation network, and non-maximum suppression.

Both runtimes share everything here but the forward pass, so that they answer alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from holdcheck.classifier import ModelInfo
from holdcheck.result import Kind

KINDS: tuple[Kind, Kind] = ("hold", "volume")
STRIDE = 32
NMS_IOU = 0.5
MAX_DETECTIONS = 500
_INSIDE = 0.85
_COMPARABLE = 0.2
"""Two boxes of one kind, one lying this far inside the other and at least this share of its size, are two
looks at one thing: without the second ones, doubles on val fall from 97 to 25 and F1 does not."""
_PAD_GREY = 114
_MASK_COEFFICIENTS = 32
_END_TO_END_COLUMNS = 6 + _MASK_COEFFICIENTS


@dataclass(frozen=True, slots=True)
class Letterboxed:
    """A photo as the network takes it, padded at the right and the bottom only: a scale maps it back."""

    image: NDArray[np.uint8]
    """RGB (1, H, W, 3), H and W multiples of STRIDE."""
    scale_x: float
    """Network pixels per pixel of the working image."""
    scale_y: float


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
    prototype_scale: tuple[float, float]
    """Prototype pixels per pixel of the working image, in x and y; both have their origin at the top left."""

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

    def release_pages(self) -> None:
        """Let go of memory that the next call can get back cheaply."""
        ...


def letterbox(pixels: NDArray[np.uint8], img_size: int) -> Letterboxed:
    """Scale upright RGB pixels (H, W, 3) to a long side of `img_size`, undistorted, and no square."""
    height, width = pixels.shape[:2]
    scale = img_size / max(height, width)
    scaled_width, scaled_height = max(1, round(width * scale)), max(1, round(height * scale))
    canvas_shape = (1, _up_to_stride(scaled_height), _up_to_stride(scaled_width), 3)
    canvas = np.full(canvas_shape, _PAD_GREY, dtype=np.uint8)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas[0, :scaled_height, :scaled_width] = cv2.resize(
        pixels, (scaled_width, scaled_height), interpolation=method
    )
    # Rounding makes the two scales differ: over a 4000 px photo the shared one would be off by some pixels.
    return Letterboxed(canvas, scaled_width / width, scaled_height / height)


def decode(
    predictions: NDArray[np.float32],
    prototypes: NDArray[np.float32],
    letterboxed: Letterboxed,
    pixels_shape: tuple[int, ...],
    class_names: Sequence[str],
    conf: float,
) -> Detections:
    """Turn the network's raw answer into detections.

    Args:
        predictions: (1, 4 + classes + 32, anchors) with cx, cy, w, h, or, from heads that need no NMS,
            (1, K, 6 + 32) with x1, y1, x2, y2, score, class. Network pixels.
        prototypes: (1, 32, h, w).
        pixels_shape: (H, W, ...) of the working image, to which boxes are clipped.
        class_names: the network's own; whatever is not called `volume` is a hold.
        conf: detections scored lower are dropped.
    """
    if predictions.shape[2] == _END_TO_END_COLUMNS:
        boxes, scores, labels, coefficients = _end_to_end_candidates(predictions[0], conf)
    else:
        boxes, scores, labels, coefficients = _anchor_candidates(predictions[0], len(class_names), conf)
    is_volume = np.array([name == "volume" for name in class_names], dtype=np.int64)
    scale = np.array([letterboxed.scale_x, letterboxed.scale_y] * 2, dtype=np.float32)
    height, width = pixels_shape[:2]
    boxes = np.clip(boxes / scale, 0, np.array([width, height] * 2, dtype=np.float32))
    kinds = is_volume[labels]
    # What lies in the letterbox's padding alone is clipped to nothing.
    kept = _suppress(boxes, scores)
    kept = kept[(boxes[kept, 2:] > boxes[kept, :2]).all(axis=1)]
    kept = kept[_first_looks(boxes[kept], kinds[kept])]
    _, input_height, input_width, _ = letterboxed.image.shape
    return Detections(
        boxes[kept],
        scores[kept],
        kinds[kept],
        coefficients[kept],
        prototypes[0],
        (
            letterboxed.scale_x * prototypes.shape[3] / input_width,
            letterboxed.scale_y * prototypes.shape[2] / input_height,
        ),
    )


_Candidates = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]


def _anchor_candidates(rows: NDArray[np.float32], classes: int, conf: float) -> _Candidates:
    class_scores = rows[4 : 4 + classes]
    scores = class_scores.max(axis=0)
    found = np.flatnonzero(scores >= conf)
    centre, size = rows[:2, found].T, rows[2:4, found].T
    boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
    labels = class_scores[:, found].argmax(axis=0)
    return boxes, scores[found], labels, np.ascontiguousarray(rows[4 + classes :, found].T)


def _end_to_end_candidates(rows: NDArray[np.float32], conf: float) -> _Candidates:
    rows = rows[rows[:, 4] >= conf]
    return rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64), rows[:, 6:]


def _suppress(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Greedy non-maximum suppression over both kinds: one thing on the wall is either a hold or a volume.

    A hold screwed onto a volume survives, since it fills only a part of the volume's box.
    """
    if not len(boxes):
        return np.empty(0, dtype=np.int64)
    corner_and_size = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(corner_and_size.tolist(), scores.tolist(), 0.0, NMS_IOU)
    return np.asarray(kept, dtype=np.int64).reshape(-1)[:MAX_DETECTIONS]


def _first_looks(boxes: NDArray[np.float32], kinds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the boxes, best first, that neither lie inside a better one of their kind nor around one."""
    if not len(boxes):
        return np.empty(0, dtype=np.int64)
    corner = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    opposite = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    smaller = np.minimum(area[:, None], area[None])
    shared = np.clip(opposite - corner, 0, None).prod(axis=2)
    double = shared > _INSIDE * smaller
    double &= smaller > _COMPARABLE * np.maximum(area[:, None], area[None])
    double &= kinds[:, None] == kinds[None]
    kept: list[int] = []
    for index in range(len(boxes)):
        if not double[index, kept].any():
            kept.append(index)
    return np.array(kept, dtype=np.int64)


def _up_to_stride(length: int) -> int:
    return -(-length // STRIDE) * STRIDE


class FakeDetector:
    """No model at all: a grid of twelve squares, whatever the photo shows. It says so."""

    info = ModelInfo(name="fake", source="none", precision="none", sha256="", is_dummy=True)

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        height, width = pixels.shape[:2]
        side = min(height, width) / 8
        centres = np.array([((x + 0.5) / 4, (y + 0.5) / 3) for y in range(3) for x in range(4)]) * (
            width,
            height,
        )
        boxes = np.concatenate([centres - side / 2, centres + side / 2], axis=1).astype(np.float32)
        count = len(boxes)
        coefficients = np.zeros((count, _MASK_COEFFICIENTS), dtype=np.float32)
        coefficients[:, 0] = 1
        prototypes = np.ones((_MASK_COEFFICIENTS, 8, 8), dtype=np.float32)
        scores = np.full(count, 0.5, dtype=np.float32)
        kinds = np.zeros(count, dtype=np.int64)
        return Detections(boxes, scores, kinds, coefficients, prototypes, (8 / width, 8 / height))

    def release_pages(self) -> None:
        """Holds none."""
