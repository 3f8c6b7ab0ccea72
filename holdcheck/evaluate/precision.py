"""Average precision as COCO has it, by pycocotools (the `evaluate` extra)."""

import contextlib
import importlib.util
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from holdcheck.detector import KINDS, MAX_DETECTIONS, Detections
from holdcheck.evaluate.labels import Truth
from holdcheck.evaluate.matching import Found
from holdcheck.holds import decode_masks

HOW_TO_INSTALL = "average precision needs pycocotools: pip install 'holdcheck[evaluate]'"
_WITHOUT_END = 1e10


@dataclass(frozen=True, slots=True)
class Precision:
    """One class's average precision; NaN where nothing of it is labelled."""

    ap: float
    """Mean over IoU 0.50:0.05:0.95."""
    ap50: float


def is_installed() -> bool:
    return importlib.util.find_spec("pycocotools") is not None


def encode_masks(found: Detections, shape: tuple[int, ...]) -> tuple[dict[str, Any], ...]:
    """Each detection's mask, decoded as served on pictures of `shape` (H, W, ...), as run lengths."""
    return tuple(_encode(found, row, shape) for row in range(len(found)))


def _encode(found: Detections, row: int, shape: tuple[int, ...]) -> dict[str, Any]:
    from pycocotools import mask as coco_mask

    full = np.zeros(shape[:2], np.uint8, order="F")
    for hold in decode_masks(found.take(np.array([row])), shape):
        x1, y1, x2, y2 = hold.box
        full[y1:y2, x1:x2] = hold.mask
    encoded: dict[str, Any] = coco_mask.encode(full)
    return encoded


def average_precision(
    truths: Sequence[Truth],
    found: Sequence[Found],
    what: Literal["bbox", "segm"],
    least_side: float = 0.0,
) -> tuple[Precision, ...]:
    """AP of each of KINDS; `segm` needs outlines and masks on every photo.

    Objects whose short side is under `least_side` (at a long side of 1024), detections of them, and
    detections that find nothing and are smaller still, count neither way, as in COCO's area ranges.
    """
    precision = (
        _evaluate(truths, found, what, least_side) if any(len(seen.scores) for seen in found) else None
    )
    result = []
    for number in range(len(KINDS)):
        if precision is None:  # pycocotools takes no empty results
            labelled = any(_counted(truth, number, least_side) for truth in truths)
            result.append(Precision(*(0.0 if labelled else float("nan"),) * 2))
            continue
        rows = precision[:, :, number]
        measured = bool((rows > -1).any())
        result.append(
            Precision(float(rows.mean()), float(rows[0].mean())) if measured else Precision(np.nan, np.nan)
        )
    return tuple(result)


def _counted(truth: Truth, kind: int, least_side: float) -> bool:
    return bool((truth.short_sides(truth.boxes[truth.classes == kind]) >= least_side).any())


def _evaluate(
    truths: Sequence[Truth], found: Sequence[Found], what: str, least_side: float
) -> NDArray[np.float64]:
    """(IoU threshold, recall, class) precision; -1 where a class has no objects."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
        truth = COCO()
        truth.dataset = _labels(truths)
        truth.createIndex()
        results, sides = _results(truths, found, what)
        seen = truth.loadRes(results)
        # COCO's size classes compare `area` with a range: short sides take its place, squared like it.
        for annotation, side in zip(seen.dataset["annotations"], sides, strict=True):
            annotation["area"] = side**2
        evaluation = COCOeval(truth, seen, what)
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.params.areaRng = [[least_side**2, _WITHOUT_END]]
        evaluation.params.areaRngLbl = ["counted"]
        evaluation.params.catIds = list(range(len(KINDS)))
        evaluation.evaluate()
        evaluation.accumulate()
    # (IoU threshold, recall, class, area range, max detections)
    return np.asarray(evaluation.eval["precision"][:, :, :, 0, 0])


def _labels(truths: Sequence[Truth]) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for image_id, truth in enumerate(truths):
        sides = truth.short_sides(truth.boxes)
        for row, (kind, box) in enumerate(zip(truth.classes, truth.boxes, strict=True)):
            annotation: dict[str, Any] = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": int(kind),
                "iscrowd": 0,
                "bbox": _corner_and_size(box),
                "area": float(sides[row]) ** 2,
            }
            if truth.outlines is not None:
                annotation["segmentation"] = [truth.outlines[row].ravel().tolist()]
            annotations.append(annotation)
    images = [{"id": i, "height": t.size[0], "width": t.size[1]} for i, t in enumerate(truths)]
    categories = [{"id": number, "name": kind} for number, kind in enumerate(KINDS)]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}


def _results(
    truths: Sequence[Truth], found: Sequence[Found], what: str
) -> tuple[list[dict[str, Any]], list[float]]:
    results, sides = [], []
    for image_id, (truth, seen) in enumerate(zip(truths, found, strict=True)):
        sides += truth.short_sides(seen.boxes).tolist()
        for row, box in enumerate(seen.boxes):
            if what == "segm" and seen.masks is None:
                raise ValueError(f"{truth.name}: detections without masks")
            shape = {"segmentation": seen.masks[row]} if what == "segm" and seen.masks else {}
            results.append(
                shape
                | {
                    "image_id": image_id,
                    "category_id": int(seen.classes[row]),
                    "score": float(seen.scores[row]),
                    **({"bbox": _corner_and_size(box)} if what == "bbox" else {}),
                }
            )
    return results, sides


def _corner_and_size(box: NDArray[np.float32]) -> list[float]:
    x1, y1, x2, y2 = (float(value) for value in box)
    return [x1, y1, x2 - x1, y2 - y1]
