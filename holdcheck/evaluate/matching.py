"""Matching detections to labelled boxes: recall, precision and F1 at any confidence, by size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdcheck.evaluate.labels import Floats, Ints, Truth

MATCH_IOU = 0.5
EVERY = (0.0, np.inf)


@dataclass(frozen=True, slots=True)
class Found:
    """Detections on one photo, best first, in pixels of the picture that the detector was given."""

    boxes: Floats
    """(N, 4): x1, y1, x2, y2."""
    scores: Floats
    """(N,) in 0..1."""
    classes: Ints
    """(N,): index into KINDS."""
    masks: tuple[dict[str, Any], ...] | None = None
    """N run-length encodings as pycocotools writes them; None where masks are not measured."""


@dataclass(frozen=True, slots=True)
class Matched:
    """All detections of one class, matched once: a stricter confidence only drops rows."""

    scores: Floats
    """(N,)"""
    hit: NDArray[np.bool_]
    """(N,): the detection found an object."""
    sides: Floats
    """(N,): short side of the object found, or of the detection itself where it found none; at 1024."""
    object_scores: Floats
    """(M,): score of the detection that found each labelled object, 0 where none did."""
    object_sides: Floats
    """(M,): short side of each labelled object, at 1024."""
    object_areas: Floats
    """(M,): its box's area in px² of the original photo."""

    def curve(self, confidence: float, sides: tuple[float, float] = EVERY) -> tuple[float, float, float]:
        """(recall, precision, F1) of the objects whose short side lies in [low, high).

        As in COCO's size classes, a detection of an object outside the range counts neither way.
        """
        low, high = sides
        counted = (self.scores >= confidence) & (self.sides >= low) & (self.sides < high)
        objects = (self.object_sides >= low) & (self.object_sides < high)
        hits = int((counted & self.hit).sum())
        recall, precision = hits / max(int(objects.sum()), 1), hits / max(int(counted.sum()), 1)
        return recall, precision, 2 * recall * precision / max(recall + precision, 1e-9)

    def recall(self, confidence: float, of: NDArray[np.bool_]) -> float:
        """Share of the objects marked in `of` (M,) that were found."""
        return float((self.object_scores[of] >= confidence).mean()) if of.any() else float("nan")


def box_iou(first: Floats, second: Floats) -> Floats:
    """Intersection over union of every pair: (N, 4) and (M, 4) -> (N, M)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def match(boxes: Floats, truth: Floats) -> Ints:
    """(N,): for each detection, best first, the still free object it overlaps most (IoU >= 0.5), or -1."""
    iou = box_iou(boxes, truth)
    result = np.full(len(boxes), -1, np.int64)
    for row in range(len(boxes) if len(truth) else 0):
        best = int(iou[row].argmax())
        if iou[row, best] >= MATCH_IOU:
            result[row] = best
            iou[:, best] = 0
    return result


def match_photo(truth: Truth, found: Found, kind: int) -> Matched:
    """Match one photo's detections of one class (index into KINDS) to its labels."""
    of_kind, labelled = found.classes == kind, truth.classes == kind
    boxes, scores = found.boxes[of_kind], found.scores[of_kind]
    partner = match(boxes, truth.boxes[labelled])
    hit = partner >= 0
    object_sides = truth.short_sides(truth.boxes[labelled])
    sides = truth.short_sides(boxes)
    sides[hit] = object_sides[partner[hit]]
    object_scores = np.zeros(len(object_sides), np.float32)
    object_scores[partner[hit]] = scores[hit]
    return Matched(scores, hit, sides, object_scores, object_sides, truth.areas()[labelled])


def match_all(truths: Sequence[Truth], found: Sequence[Found], kind: int) -> Matched:
    """Match the detections of one class on all photos, each photo alone."""
    parts = [match_photo(truth, seen, kind) for truth, seen in zip(truths, found, strict=True)]
    fields = Matched.__slots__
    return Matched(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))
