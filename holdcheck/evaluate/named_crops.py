"""Single holds whose colour a person named: `color_crops.csv` and the pictures that it lists."""

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from holdcheck.errors import HoldcheckError

TABLE = "color_crops.csv"
_ELLIPSE = 0.92
"""An ellipse of this share of the box stands in for a missing outline."""
_SAME_PICTURE = 9.0
"""Mean difference of two 24 px thumbnails, 0..255, up to which they show the same place."""


@dataclass(frozen=True, slots=True)
class NamedCrop:
    """One hold with its colour."""

    pixels: NDArray[np.uint8]
    """RGB (H, W, 3)."""
    box: tuple[int, int, int, int]
    """x1, y1, x2, y2, exclusive end."""
    mask: NDArray[np.bool_]
    """(y2 - y1, x2 - x1)."""
    colour: str
    photo: str
    """Crops of one photo share its light."""


@dataclass(frozen=True, slots=True)
class _Outlined:
    """A photo of the data set with its machine-made outlines."""

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    """(N, 4): x, y, width, height in pixels."""
    outlines: tuple[NDArray[np.float64], ...]
    """N of (K, 2), in pixels."""


def named_crops(dataset: Path) -> list[NamedCrop]:
    """The crops of `dataset/color_crops.csv`, outlined where their photo is in the data set.

    Raises:
        HoldcheckError: a picture, a column or a number is missing, or a box is none; one line names it.
    """
    try:
        with (dataset / TABLE).open(newline="") as file:
            return [_named_crop(dataset, row) for row in csv.DictReader(file)]
    except (KeyError, ValueError, TypeError) as error:
        raise HoldcheckError(
            f"{dataset / TABLE}: expected file,color,photo,wall_image,x0,y0,x1,y1 ({error})"
        ) from None


def _named_crop(dataset: Path, row: dict[str, str]) -> NamedCrop:
    pixels = _read(dataset / "color_crops" / row["file"])
    height, width = pixels.shape[:2]
    box = np.array([float(row[side]) for side in ("x0", "y0", "x1", "y1")])
    x1, y1 = (int(v) for v in np.maximum(np.floor(box[:2]), 0))
    x2, y2 = (int(v) for v in np.minimum(np.ceil(box[2:]), (width, height)))
    if not ((box[2:] > box[:2]).all() and x1 < x2 and y1 < y2):
        raise ValueError(f"{row['file']}: no box inside {width} x {height} pixels")
    inside = _outline_mask(dataset, row["wall_image"], pixels, box) if row["wall_image"] else None
    if inside is None:
        inside = np.zeros((height, width), dtype=np.uint8)
        centre, axes = (box[:2] + box[2:]) / 2, _ELLIPSE * (box[2:] - box[:2])
        cv2.ellipse(inside, (tuple(centre.tolist()), tuple(axes.tolist()), 0.0), 1, -1)
    mask = inside[y1:y2, x1:x2].astype(bool)
    if not mask.any():  # an ellipse of a fraction of a pixel
        mask[:] = True
    return NamedCrop(pixels, (x1, y1, x2, y2), mask, row["color"], row["photo"])


def _outline_mask(
    dataset: Path, name: str, crop: NDArray[np.uint8], box: NDArray[np.float64]
) -> NDArray[np.uint8] | None:
    """The hold's outline, (H, W) of the crop, whose place in its photo is not recorded: it is looked for."""
    photo = _outlined(dataset, name)
    if photo is None:
        return None
    found = [(_difference(photo, index, crop, box), index) for index in range(len(photo.boxes))]
    difference, index = min(found, default=(np.inf, -1))
    if difference > _SAME_PICTURE:
        return None
    scale, origin = _place(photo, index, box)
    outline = np.round((photo.outlines[index] - origin) * scale).astype(np.int32)
    inside = np.zeros(crop.shape[:2], dtype=np.uint8)
    cv2.fillPoly(inside, [outline], 1)
    return inside if inside.any() else None


def _place(photo: _Outlined, index: int, box: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Crop pixels per photo pixel, and the crop's corner in the photo, if the crop shows object `index`."""
    scale = float((box[2] - box[0]) / photo.boxes[index, 2])
    return scale, photo.boxes[index, :2] - box[:2] / scale


def _difference(photo: _Outlined, index: int, crop: NDArray[np.uint8], box: NDArray[np.float64]) -> float:
    scale, corner = _place(photo, index, box)
    other_scale = (box[3] - box[1]) / photo.boxes[index, 3]
    if abs(np.log(scale / other_scale)) > 0.12:
        return float("inf")
    x1, y1 = np.maximum(np.round(corner).astype(int), 0)
    x2, y2 = np.round(corner + np.array([crop.shape[1], crop.shape[0]]) / scale).astype(int)
    part = photo.pixels[y1:y2, x1:x2]
    if min(part.shape[:2]) < 3:
        return float("inf")
    one, other = (cv2.resize(p, (24, 24), interpolation=cv2.INTER_AREA) for p in (part, crop))
    return float(np.abs(one.astype(float) - other).mean())


@lru_cache(maxsize=8)
def _outlined(dataset: Path, name: str) -> _Outlined | None:
    """The photo that a crop was cut from; None where the data set has it not, or not its outlines."""
    photo = dataset / "images" / "val" / f"{name}.jpg"
    boxes = dataset / "boxes" / "val" / f"{name}.txt"
    drawn = dataset / "outlines" / "val" / f"{name}.txt"
    if not (photo.is_file() and boxes.is_file() and drawn.is_file()):
        return None
    pixels = _read(photo)
    size = np.array([pixels.shape[1], pixels.shape[0]])
    rows = np.array(_numbers(boxes))
    centre, extent = rows[:, 1:3] * size, rows[:, 3:5] * size
    outlines = [np.array(row[1:]).reshape(-1, 2) * size for row in _numbers(drawn)]
    return _Outlined(pixels, np.concatenate([centre - extent / 2, extent], axis=1), tuple(outlines))


def _numbers(path: Path) -> list[list[float]]:
    return [
        [float(value) for value in line.split()] for line in path.read_text().splitlines() if line.strip()
    ]


def _read(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise HoldcheckError(f"{path} is missing, or no picture")
    return np.asarray(picture, dtype=np.uint8)
