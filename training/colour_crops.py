"""Crops whose colour has a name: cut from photos and named by eye, or drawn."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from holdcheck.evaluate.named_crops import NamedCrop, named_crops
from training.datasets import Photo, load_photo
from training.outlines import draw_outlines
from training.segmenter import CropSegmenter, load_segmenter
from training.walls import WallSpec, mask, render

__all__ = ["LABELS", "NamedCrop", "drawn_crops", "labelled_crops", "named_crops", "redrawn"]
LABELS = Path(__file__).parent / "colour_labels.csv"
"""photo,row,color: row of `boxes/train/PHOTO.txt`, from 0. Named by eye, as docs/colour.md tells."""
_WALL = (960, 720)
_FIRST_SEED = 10_000
_SMALLEST_PX = 6
_MARGIN = 0.35
"""Wall around a crop, as a fraction of the box's longer side; the named crops came with as much."""


def labelled_crops(dataset: Path, labels: Path = LABELS) -> list[NamedCrop]:
    """Holds of train photos that `labels` names; photos that the dataset lacks are passed over."""
    photo = lru_cache(maxsize=2)(lambda name: load_photo(dataset, "train", name))
    with labels.open(newline="") as file:
        rows = list(csv.DictReader(file))
    there = [row for row in rows if (dataset / "images" / "train" / f"{row['photo']}.jpg").is_file()]
    return [_labelled_crop(photo(row["photo"]), int(row["row"]), row["color"]) for row in there]


def redrawn(crops: list[NamedCrop], segmenter: Path) -> list[NamedCrop]:
    """The crops with masks from a crop segmenter's weights: an ellipse takes in too much wall."""
    models = [load_segmenter(segmenter)]
    return [replace(crop, mask=_mask_in_box(models, crop)) for crop in crops]


def _mask_in_box(models: list[CropSegmenter], crop: NamedCrop) -> NDArray[np.bool_]:
    x1, y1, x2, y2 = crop.box
    boxes = np.array([crop.box], dtype=np.float32)
    photo = Photo(crop.photo, crop.pixels, np.zeros(1, dtype=np.int64), boxes, (), drawn_by_hand=False)
    inside = np.zeros(crop.pixels.shape[:2], dtype=np.uint8)
    cv2.fillPoly(inside, [np.round(draw_outlines(models, photo)[0].points).astype(np.int32)], 1)
    drawn = inside[y1:y2, x1:x2].astype(bool)
    return drawn if drawn.any() else crop.mask


def drawn_crops(walls: int) -> Iterator[NamedCrop]:
    """The holds on that many rendered walls."""
    width, height = _WALL
    for seed in range(_FIRST_SEED, _FIRST_SEED + walls):
        wall = render(WallSpec(width=width, height=height, seed=seed))
        for hold in wall.holds:
            box = _whole(np.append(hold.polygon.min(axis=0), hold.polygon.max(axis=0)), _WALL)
            inside = mask(hold, height, width).astype(bool)
            if hold.kind == "hold" and min(box[2] - box[0], box[3] - box[1]) >= _SMALLEST_PX:
                crop = _cut(wall.pixels, box, inside, hold.colour, f"drawn_{seed}")
                if crop.mask.any():
                    yield crop


def _labelled_crop(photo: Photo, row: int, colour: str) -> NamedCrop:
    height, width = photo.pixels.shape[:2]
    box = _whole(photo.boxes[row], (width, height))
    inside = np.zeros((height, width), dtype=np.uint8)
    if photo.outlines:
        cv2.fillPoly(inside, [np.round(photo.outlines[row]).astype(np.int32)], 1)
    x1, y1, x2, y2 = box
    if not inside[y1:y2, x1:x2].any():
        inside[y1:y2, x1:x2] = 1
    return _cut(photo.pixels, box, inside.astype(bool), colour, photo.name)


def _whole(box: NDArray[np.floating], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 in whole pixels, inside a picture of this width and height."""
    x1, y1 = (int(v) for v in np.maximum(np.floor(box[:2]), 0))
    x2, y2 = (int(v) for v in np.minimum(np.ceil(box[2:]), size))
    return x1, y1, x2, y2


def _cut(
    pixels: NDArray[np.uint8],
    box: tuple[int, int, int, int],
    inside: NDArray[np.bool_],
    colour: str,
    photo: str,
) -> NamedCrop:
    """The box of a photo with some wall; `inside` is the hold's mask, as large as the photo."""
    x1, y1, x2, y2 = box
    margin = round(_MARGIN * max(x2 - x1, y2 - y1))
    left, top = max(x1 - margin, 0), max(y1 - margin, 0)
    crop = pixels[top : y2 + margin, left : x2 + margin].copy()
    moved = (x1 - left, y1 - top, x2 - left, y2 - top)
    return NamedCrop(crop, moved, inside[y1:y2, x1:x2].copy(), colour, photo)
