"""Draw an outline into every box with the crop segmenter: `python -m training.outlines --help`.

Several weights and several mirrored or turned views of a crop are averaged: this runs offline, where a better
outline is worth more than time.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from training.datasets import Photo, load_photo
from training.segmenter import load_segmenter
from training.segmenter_crops import SIDE, Floats, Matrix, coverage, cut, network_input, transform, window

_FINE = 4
"""Grid cells per crop pixel on which outlines are traced."""
_BATCH = 64
_LEAST_FILL = 0.1
"""A mask that fills less of its box found nothing: an ellipse is the better guess."""
SIZES = ((0.0, 24.0), (24.0, 48.0), (48.0, 96.0), (96.0, np.inf))
"""Ranges of the square root of the box's area, [low, high), in stored pixels."""
KINDS = ("hold", "volume")


@dataclass(frozen=True, slots=True)
class Outline:
    """What was drawn into one box."""

    points: Floats
    """(K, 2) in pixels of the photo, inside the box."""
    confidence: float
    """0..1: how sure the network was of the pixels in the box, halved where the mask misses a side of it."""


def draw_outlines(models: Sequence[nn.Module], photo: Photo, views: int = 2) -> list[Outline]:
    """One outline for each box of the photo; `views` (1 to 8) mirrored or turned crops are averaged."""
    boxes = _inside(photo)
    matrices = [window(box) for box in boxes]
    inputs = [
        network_input(cut(photo.pixels, matrix), transform(box.reshape(2, 2), matrix).reshape(4), int(kind))
        for box, matrix, kind in zip(boxes, matrices, photo.classes, strict=True)
    ]
    result = []
    for start in range(0, len(inputs), _BATCH):
        part = slice(start, start + _BATCH)
        logits = average_logits(models, torch.from_numpy(np.stack(inputs[part])), views)
        result += [_trace(*row) for row in zip(logits, matrices[part], boxes[part], strict=True)]
    return result


def _inside(photo: Photo) -> Floats:
    height, width = photo.pixels.shape[:2]
    return np.clip(photo.boxes, 0, np.array([width, height] * 2, np.float32))


@torch.inference_mode()
def average_logits(models: Sequence[nn.Module], inputs: torch.Tensor, views: int) -> Floats:
    """(B, 5, SIDE, SIDE) -> (B, SIDE, SIDE): the mean over models and over symmetries of the square."""
    total = torch.zeros(inputs.shape[0], *inputs.shape[2:])
    for there, back in _symmetries()[:views]:
        seen = there(inputs).contiguous(memory_format=torch.channels_last)
        for model in models:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                answer = model(seen)
            total += back(answer.float())
    return np.asarray((total / (views * len(models))).numpy(), np.float32)


_View = Callable[[torch.Tensor], torch.Tensor]


def _symmetries() -> list[tuple[_View, _View]]:
    """The eight symmetries of a square, each with its inverse; light from above is kept in the first two."""

    def pair(quarters: int, mirrored: bool) -> tuple[_View, _View]:
        def there(t: torch.Tensor) -> torch.Tensor:
            return torch.rot90(t.flip(-1) if mirrored else t, quarters, (-2, -1))

        def back(t: torch.Tensor) -> torch.Tensor:
            turned = torch.rot90(t, -quarters, (-2, -1))
            return turned.flip(-1) if mirrored else turned

        return there, back

    order = ((0, False), (0, True), (1, False), (3, True), (2, False), (2, True), (3, False), (1, True))
    return [pair(*each) for each in order]


def _trace(logits: Floats, matrix: Matrix, box: Floats) -> Outline:
    """The largest region above a chance of one half inside the box, in pixels of the photo."""
    side = SIDE * _FINE
    fine = np.asarray(cv2.resize(logits, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)
    x1, y1, x2, y2 = np.round(transform(box.reshape(2, 2), matrix).reshape(4) * _FINE).astype(int)
    inside = np.zeros((side, side), np.uint8)
    inside[y1:y2, x1:x2] = fine[y1:y2, x1:x2] > 0
    contours = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    largest = max(contours, key=cv2.contourArea, default=None)
    if largest is None or cv2.contourArea(largest) < _LEAST_FILL * (x2 - x1) * (y2 - y1):
        return Outline(ellipse(box), 0.0)
    sure = float(np.abs(np.tanh(fine[y1:y2, x1:x2] / 2)).mean())  # |2p - 1|
    gap = np.abs(np.array(_bounds(largest)) - (x1, y1, x2, y2)) / np.tile((x2 - x1, y2 - y1), 2)
    points = _grown(cv2.approxPolyDP(largest, 1.0, True)[:, 0].astype(np.float32), (x1, y1, x2, y2))
    points = transform(points / _FINE, np.asarray(np.linalg.inv(matrix), np.float64))
    points = np.clip(points, box[:2], box[2:])
    return Outline(points, sure if gap.max() < 0.08 else sure / 2)


def _bounds(contour: cv2.typing.MatLike) -> tuple[int, int, int, int]:
    x, y, width, height = cv2.boundingRect(contour)
    return x, y, x + width, y + height


def _grown(points: Floats, limits: tuple[int, int, int, int]) -> Floats:
    """From cell centres, where findContours leaves them, to the cells' outer corners."""
    middle = (points.min(0) + points.max(0)) / 2
    moved = points + 0.5 + 0.5 * np.sign(points - middle)
    return np.asarray(np.clip(moved, limits[:2], limits[2:]), np.float32)


def ellipse(box: Floats, corners: int = 48) -> Floats:
    """(corners, 2): the ellipse inscribed in a box, the guess that needs no network."""
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    return np.asarray(middle + half * np.stack([np.cos(angles), np.sin(angles)], 1), np.float32)


def outline_iou(first: Floats, second: Floats) -> float:
    """IoU of two outlines as masks of whole photo pixels (those covered by half or more)."""
    low = np.floor(np.minimum(first.min(0), second.min(0))) - 1
    high = np.ceil(np.maximum(first.max(0), second.max(0))) + 1
    width, height = (high - low).astype(int).tolist()
    one, other = (coverage(outline - low, (height, width)) >= 0.5 for outline in (first, second))
    return float((one & other).sum() / max((one | other).sum(), 1))


@dataclass(frozen=True, slots=True)
class Scored:
    """One object with hand-drawn polygon and how well outlines match it."""

    kind: int
    size: float
    """Square root of the box's area, in stored pixels."""
    ours: float
    ellipse: float


def score(models: Sequence[nn.Module], photos: Sequence[Photo], views: int = 2) -> list[Scored]:
    """IoU against the outlines of the photos, object by object."""
    rows = []
    for photo in photos:
        found = draw_outlines(models, photo, views)
        for box, kind, true, ours in zip(_inside(photo), photo.classes, photo.outlines, found, strict=True):
            size = float(np.sqrt(np.prod(box[2:] - box[:2])))
            rows.append(
                Scored(int(kind), size, outline_iou(ours.points, true), outline_iou(ellipse(box), true))
            )
    return rows


def report(rows: Sequence[Scored]) -> str:
    """Markdown: mean IoU by kind and by size, ours beside the inscribed ellipse."""
    groups = [("all", list(rows))]
    groups += [(kind, [row for row in rows if row.kind == number]) for number, kind in enumerate(KINDS)]
    for low, high in SIZES:
        name = f">= {low:g} px" if high == np.inf else f"{low:g}-{high:g} px"
        groups.append((f"hold {name}", [row for row in rows if row.kind == 0 and low <= row.size < high]))
    lines = ["| objects | n | ellipse | segmenter | below 0.7 |", "| --- | ---: | ---: | ---: | ---: |"]
    return "\n".join(lines + [_line(name, group) for name, group in groups if group])


def _line(name: str, rows: Sequence[Scored]) -> str:
    ours, plain = np.array([row.ours for row in rows]), np.array([row.ellipse for row in rows])
    return f"| {name} | {len(rows)} | {plain.mean():.3f} | {ours.mean():.3f} | {(ours < 0.7).mean():.3f} |"


def photos_with_polygons(data: Path, split: str) -> list[Photo]:
    """The photos of a split whose outlines are hand-drawn; none where there is no such split."""
    names = sorted(path.stem for path in (data / "polygons" / split).glob("*.txt"))
    return [load_photo(data, split, name) for name in names]


def photos_with_boxes_only(data: Path, split: str) -> Iterator[Photo]:
    """The photos of a split that have no hand-drawn polygons, one at a time."""
    for path in sorted((data / "images" / split).glob("*.jpg")):
        if not (data / "polygons" / split / f"{path.stem}.txt").exists():
            yield load_photo(data, split, path.stem)


def write_outlines(
    models: Sequence[nn.Module], data: Path, out: Path, splits: Sequence[str], views: int = 2
) -> int:
    """Write OUT as a data set: outlines of our own, the rest linked to `data`. Returns how many were drawn.

    outlines/SPLIT/NAME.txt has one row per box row, `class x1 y1 x2 y2 ...` in fractions;
    confidence/SPLIT/NAME.txt has one number per row. Raises FileNotFoundError where `data` lacks a split.
    """
    _link(data, out)
    count = 0
    for split in splits:
        if not (data / "images" / split).is_dir():
            raise FileNotFoundError(data / "images" / split)
        for folder in ("outlines", "confidence"):
            (out / folder / split).mkdir(parents=True, exist_ok=True)
        for photo in photos_with_boxes_only(data, split):
            found = draw_outlines(models, photo, views)
            count += len(found)
            name = f"{photo.name}.txt"
            (out / "outlines" / split / name).write_text(_rows(photo, found))
            sure = "".join(f"{outline.confidence:.4f}\n" for outline in found)
            (out / "confidence" / split / name).write_text(sure)
    return count


def _link(data: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in ("images", "boxes", "polygons", "index.csv"):
        source, target = (data / name).resolve(), out / name
        if source.exists() and not target.is_symlink():
            target.symlink_to(source)


def _rows(photo: Photo, found: Sequence[Outline]) -> str:
    height, width = photo.pixels.shape[:2]
    lines = []
    for kind, outline in zip(photo.classes, found, strict=True):
        fractions = (outline.points / np.array([width, height], np.float32)).ravel()
        lines.append(f"{kind} " + " ".join(f"{value:.6f}" for value in fractions) + "\n")
    return "".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with images, boxes, polygons")
    parser.add_argument("weights", type=Path, nargs="+", help="safetensors of training.segmenter; averaged")
    parser.add_argument("--out", type=Path, help="data set folder to write; else only the score is printed")
    parser.add_argument("--splits", nargs="+", default=["train", "val"])
    parser.add_argument("--score", default="val", help="split whose hand-drawn polygons are the measure")
    parser.add_argument("--views", type=int, default=2, choices=range(1, 9), metavar="1..8")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Print the score against hand-drawn polygons, then write the outlines."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    models = [load_segmenter(path).to(memory_format=torch.channels_last) for path in arguments.weights]  # type: ignore[call-overload]
    measure = photos_with_polygons(arguments.data, arguments.score)
    if measure:
        print(report(score(models, measure, arguments.views)), flush=True)
    if arguments.out:
        count = write_outlines(models, arguments.data, arguments.out, arguments.splits, arguments.views)
        print(f"{count} outlines in {arguments.out}")


if __name__ == "__main__":
    main()
