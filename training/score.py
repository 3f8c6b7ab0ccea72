"""Score a detector on the val photos: `python -m training.score WEIGHTS DATA --size 640 800`.

Recall and precision count boxes at IoU 0.5 of the right class. Sizes are short sides in pixels of the stored
photo (long side 1024), so that one object falls into one bin whatever size the network worked at.
"""

import argparse
import contextlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("YOLO_AUTOINSTALL", "false")

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from holdcheck import torchvision_shim
from holdcheck.detector import KINDS, MAX_DETECTIONS, Detections, decode, letterbox
from holdcheck.holds import decode_masks
from training.datasets import Photo, load_split
from training.detector import new_model

LOWEST_CONFIDENCE = 0.01
MATCH_IOU = 0.5
LARGE, EVERY = (16.0, np.inf), (0.0, np.inf)
SIZES = ((0.0, 16.0), (16.0, 32.0), (32.0, np.inf))
"""Ranges of short sides, [low, high), in stored pixels."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Found:
    """Detections on one photo, best first, in pixels of the stored photo."""

    boxes: Floats
    """(N, 4): x1, y1, x2, y2."""
    scores: Floats
    """(N,) in 0..1."""
    classes: NDArray[np.int64]
    """(N,)"""
    masks: tuple[dict[str, Any], ...] = ()
    """N run-length encodings as pycocotools writes them, or none."""


@dataclass(frozen=True, slots=True)
class Matched:
    """All detections of one class on all photos, matched once: a stricter confidence only drops rows."""

    scores: Floats
    """(N,)"""
    hit: NDArray[np.bool_]
    """(N,): the detection found an object."""
    det_sides: Floats
    """(N,): short side of the object found, or of the detection itself where it found none."""
    object_sides: Floats
    """(M,): short side of each labelled object."""

    def curve(self, confidence: float, sides: tuple[float, float]) -> tuple[float, float, float]:
        """(recall, precision, F1) of the objects whose short side lies in [low, high).

        As in COCO's size classes, a detection of an object outside the range counts neither way.
        """
        low, high = sides
        counted = (self.scores >= confidence) & (self.det_sides >= low) & (self.det_sides < high)
        objects = int(((self.object_sides >= low) & (self.object_sides < high)).sum())
        hits = int((counted & self.hit).sum())
        recall, precision = hits / max(objects, 1), hits / max(int(counted.sum()), 1)
        return recall, precision, 2 * recall * precision / max(recall + precision, 1e-9)


def load_model(path: Path) -> nn.Module:
    """An ultralytics checkpoint (.pt), or a state dict of yolo11n-seg with two classes (.safetensors)."""
    if path.suffix == ".safetensors":
        return new_model(path).eval()
    torchvision_shim.install()
    # A whole pickled model, as ultralytics writes them: open only what this project wrote.
    model: nn.Module = torch.load(path, weights_only=False)["model"]
    return model.float().eval()


@torch.inference_mode()
def find(model: nn.Module, photo: Photo, long_side: int, with_masks: bool = False) -> Found:
    """Run the detector on one photo through the very code that serves, down to LOWEST_CONFIDENCE."""
    letterboxed = letterbox(photo.pixels, long_side)
    tensor = torch.from_numpy(letterboxed.image).permute(0, 3, 1, 2).float().div_(255)
    predictions, prototypes = (part.numpy() for part in _tensors(model(tensor)))
    shape = photo.pixels.shape
    seen = decode(predictions, prototypes, letterboxed, shape, KINDS, LOWEST_CONFIDENCE)
    masks = tuple(_encode_mask(seen, row, shape) for row in range(len(seen))) if with_masks else ()
    return Found(seen.boxes, seen.scores, seen.classes, masks)


def _tensors(raw: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Predictions and prototypes from what ultralytics' segmentation head answers in eval mode."""
    predictions, prototypes = raw[0]
    return predictions, prototypes


def _encode_mask(seen: Detections, row: int, shape: tuple[int, ...]) -> dict[str, Any]:
    from pycocotools import mask as coco_mask

    full = np.zeros(shape[:2], np.uint8, order="F")
    for hold in decode_masks(seen.take(np.array([row])), shape):
        x1, y1, x2, y2 = hold.box
        full[y1:y2, x1:x2] = hold.mask
    encoded: dict[str, Any] = coco_mask.encode(full)
    return encoded


def box_iou(first: Floats, second: Floats) -> Floats:
    """IoU of every box with every box: (N, 4) and (M, 4) -> (N, M)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def match(boxes: Floats, truth: Floats) -> NDArray[np.int64]:
    """(N,): for each detection, best first, the still free object it overlaps most (IoU >= 0.5), or -1."""
    iou = box_iou(boxes, truth)
    result = np.full(len(boxes), -1, np.int64)
    for row in range(len(boxes) if len(truth) else 0):
        best = int(iou[row].argmax())
        if iou[row, best] >= MATCH_IOU:
            result[row] = best
            iou[:, best] = 0
    return result


def match_all(photos: Sequence[Photo], found: Sequence[Found], kind: int) -> Matched:
    """Match the detections of one class on all photos."""
    scores, hits, det_sides, object_sides = [], [], [], []
    for photo, seen in zip(photos, found, strict=True):
        of_kind = seen.classes == kind
        boxes, truth = seen.boxes[of_kind], photo.boxes[photo.classes == kind]
        partner = match(boxes, truth)
        true_sides = _short_sides(truth)
        own = _short_sides(boxes)
        own[partner >= 0] = true_sides[partner[partner >= 0]]
        scores.append(seen.scores[of_kind])
        hits.append(partner >= 0)
        det_sides.append(own)
        object_sides.append(true_sides)
    joined = [np.concatenate(parts) for parts in (scores, hits, det_sides, object_sides)]
    return Matched(joined[0], joined[1].astype(np.bool_), joined[2], joined[3])


def _short_sides(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).min(1, initial=np.inf), np.float32)


def best_confidence(matched: Matched, sides: tuple[float, float]) -> float:
    """The confidence, in steps of 0.01, with the best F1."""
    candidates = np.arange(0.02, 0.9, 0.01)
    return float(max(candidates, key=lambda value: matched.curve(float(value), sides)[2]))


def average_precision(photos: Sequence[Photo], found: Sequence[Found], what: str) -> dict[str, float]:
    """COCO AP and AP50 by kind; `what` is "bbox", or "segm" against the photos' outlines."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints as it goes
        truth = COCO()
        truth.dataset = _coco_truth(photos)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(_coco_results(found, what)), what)
        evaluation.params.maxDets = [1, 100, MAX_DETECTIONS]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"]  # (IoU threshold, recall, class, area range, max detections)
    result = {}
    for number, kind in enumerate(KINDS):
        rows = precision[:, :, number, 0, -1]
        result[f"{kind} AP"] = float(rows[rows > -1].mean()) if (rows > -1).any() else float("nan")
        result[f"{kind} AP50"] = float(rows[0][rows[0] > -1].mean()) if (rows > -1).any() else float("nan")
    return result


def _coco_truth(photos: Sequence[Photo]) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for image_id, photo in enumerate(photos):
        for row, (kind, box) in enumerate(zip(photo.classes, photo.boxes, strict=True)):
            x1, y1, x2, y2 = (float(value) for value in box)
            annotation: dict[str, Any] = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
            if photo.outlines:
                annotation["segmentation"] = [photo.outlines[row].ravel().tolist()]
            annotations.append(
                annotation
                | {"id": len(annotations) + 1, "image_id": image_id, "category_id": int(kind), "iscrowd": 0}
            )
    images = [
        {"id": i, "height": p.pixels.shape[0], "width": p.pixels.shape[1]} for i, p in enumerate(photos)
    ]
    categories = [{"id": number, "name": kind} for number, kind in enumerate(KINDS)]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}


def _coco_results(found: Sequence[Found], what: str) -> list[dict[str, Any]]:
    results = []
    for image_id, seen in enumerate(found):
        for row, (x1, y1, x2, y2) in enumerate(seen.boxes.tolist()):
            shape = (
                {"segmentation": seen.masks[row]} if what == "segm" else {"bbox": [x1, y1, x2 - x1, y2 - y1]}
            )
            ids = {
                "image_id": image_id,
                "category_id": int(seen.classes[row]),
                "score": float(seen.scores[row]),
            }
            results.append(shape | ids)
    return results


def report(photos: Sequence[Photo], found: Sequence[Found], confidences: Sequence[float]) -> str:
    """Markdown: holds by confidence, both kinds by size at the best confidence, then the APs."""
    matched = [match_all(photos, found, number) for number in range(len(KINDS))]
    best = round(best_confidence(matched[0], LARGE), 2)
    rows = [(0, LARGE, value) for value in sorted({*confidences, best})]
    rows += [(number, sides, best) for number in range(len(KINDS)) for sides in (*SIZES, EVERY)]
    rows += [(1, LARGE, round(best_confidence(matched[1], LARGE), 2))]
    lines = ["| kind | short side, px | n | confidence | recall | precision | F1 |", "| --- " * 7 + "|"]
    lines += [_row(matched[number], KINDS[number], sides, value) for number, sides, value in rows]
    lines += ["", f"box, {len(photos)} photos: {_figures(average_precision(photos, found, 'bbox'))}"]
    drawn = [index for index, photo in enumerate(photos) if photo.drawn_by_hand]
    if drawn:
        by_hand = [photos[i] for i in drawn], [found[i] for i in drawn]
        lines.append(f"mask, {len(drawn)} photos: {_figures(average_precision(*by_hand, 'segm'))}")
    return "\n".join(lines)


def _row(matched: Matched, kind: str, sides: tuple[float, float], confidence: float) -> str:
    low, high = sides
    name = f">= {low:g}" if high == np.inf else f"{low:g}-{high:g}"
    count = int(((matched.object_sides >= low) & (matched.object_sides < high)).sum())
    figures = " | ".join(f"{value:.3f}" for value in matched.curve(confidence, sides))
    return f"| {kind} | {name} | {count} | {confidence:.2f} | {figures} |"


def _figures(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--size", type=int, nargs="+", default=[640])
    parser.add_argument("--confidence", type=float, nargs="+", default=[0.25])
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Print one report per size."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    model = load_model(arguments.weights)
    photos = load_split(arguments.data, arguments.split)
    for size in arguments.size:
        found = [find(model, photo, size, photo.drawn_by_hand) for photo in photos]
        print(f"\n### {arguments.weights.name}, long side {size}\n")
        print(report(photos, found, arguments.confidence), flush=True)


if __name__ == "__main__":
    main()
