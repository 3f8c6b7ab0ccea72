"""Crops that holdclip learns from: holds of real photos and of rendered walls, tags, and bare wall."""

import csv
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from holdcheck import colour, crops
from holdcheck.classifier import COLOURS
from training.colour_crops import named_crops
from training.walls import Wall, WallSpec, mask, render
from training.walls.palette import shade_of
from training.walls.scene import TagPlan
from training.walls.tags import paint_tag

Source = Literal["named", "looked", "sure", "drawn"]
Box = tuple[int, int, int, int]

CONTEXT = 0.4
"""Wall kept around a hold, as a fraction of its box's longer side: more than crops.cut takes."""
_LARGEST_PX = 112
"""Longer side of what is kept of a crop: twice what the tower sees."""
_SMALLEST_PX = 7
_SURE = 0.9
"""The Lab model's probability from which a colour counts as known."""
_WALL = (960, 720)
_FIRST_SEED = 40_000
_LONG, _ROUND = 2.2, 1.25
"""Length by width of a mask."""
_HUED = ("red", "yellow", "green", "blue", "purple", "pink")
"""Colours that keep their name in much more or less light: a dark orange is brown, a dark white gray."""


@dataclass(frozen=True, slots=True)
class Example:
    """One thing to learn from."""

    pixels: NDArray[np.uint8]
    """RGB (H, W, 3), with the wall around it."""
    box: Box
    """x1, y1, x2, y2 in `pixels`, exclusive end."""
    mask: NDArray[np.bool_]
    """(y2 - y1, x2 - x1)."""
    attributes: tuple[str, ...]
    """Of training.holdclip_captions.ATTRIBUTES."""
    photo: str
    source: Source
    file: str = ""
    """Of a named crop; `photo:row` of an object in a photo."""

    @property
    def colour(self) -> str:
        return next((name for name in self.attributes if name in COLOURS), "")


def cached(path: Path, make: Iterator[Example]) -> list[Example]:
    """What `make` yields, made once and kept in `path`."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part")
        aside.write_bytes(pickle.dumps(list(make)))
        aside.rename(path)
    found: list[Example] = pickle.loads(path.read_bytes())  # noqa: S301 - written above, by this program
    return found


def named(dataset: Path) -> Iterator[Example]:
    """The crops of `dataset/color_crops.csv`, in its order."""
    with (dataset / "color_crops.csv").open() as file:
        files = [row["file"] for row in csv.DictReader(file)]
    for name, crop in zip(files, named_crops(dataset), strict=True):
        yield _example(
            crop.pixels, crop.box, crop.mask, (crop.colour, "hold"), crop.photo, "named", file=name
        )


def sure(dataset: Path, split: str = "train") -> Iterator[Example]:
    """Objects of a split whose colour the bundled Lab model is sure of (pseudo-labels, Lee 2013)."""
    for image in sorted((dataset / "images" / split).glob("*.jpg")):
        pixels = read(image)
        found = list(outlined(dataset, split, image.stem, pixels.shape))
        if not found:
            continue
        stats = [colour.measure(pixels, box, inside) for _, _, box, inside in found]
        probabilities = colour.lab_probabilities(stats)
        for (number, kind, box, inside), row in zip(found, probabilities, strict=True):
            if row.max() >= _SURE:
                attributes = (COLOURS[int(row.argmax())], kind)
                key = f"{image.stem}:{number}"
                yield _example(pixels, box, inside, attributes, image.stem, "sure", key)


def looked_at(dataset: Path, labels: Path, split: str) -> Iterator[Example]:
    """Holds of a split that were named by eye in `labels`, a CSV of photo, row (of the box file), color."""
    with labels.open() as file:
        rows = [row for row in csv.DictReader(file) if row["color"] in COLOURS]
    by_photo: dict[str, dict[int, str]] = {}
    for row in rows:
        by_photo.setdefault(Path(row["photo"]).stem, {})[int(row["row"])] = row["color"]
    for photo, colours in sorted(by_photo.items()):
        image = dataset / "images" / split / f"{photo}.jpg"
        if not image.is_file():
            continue
        pixels = read(image)
        for number, kind, box, inside in outlined(dataset, split, photo, pixels.shape):
            if number in colours:
                attributes = (colours[number], kind)
                yield _example(pixels, box, inside, attributes, photo, "looked", f"{photo}:{number}")


def outlined(
    dataset: Path, split: str, photo: str, shape: tuple[int, ...]
) -> Iterator[tuple[int, str, Box, NDArray[np.bool_]]]:
    """Row, kind, box and mask of each object, large enough to name, of a photo of that shape (H, W, ...)."""
    folder = next(
        (f for f in ("polygons", "outlines") if (dataset / f / split / f"{photo}.txt").is_file()), ""
    )
    if not folder:
        return
    height, width = shape[:2]
    text = (dataset / folder / split / f"{photo}.txt").read_text()
    for number, line in enumerate(text.splitlines()):
        values = [float(value) for value in line.split()]
        if len(values) < 7:
            continue
        polygon = np.array(values[1:]).reshape(-1, 2) * (width, height) - 0.5
        found = _rasterised(polygon, width, height)
        if found is not None:
            yield number, ("hold", "volume")[int(values[0])], *found


def _rasterised(
    polygon: NDArray[np.float64], width: int, height: int
) -> tuple[Box, NDArray[np.bool_]] | None:
    x1, y1 = (int(v) for v in np.maximum(np.floor(polygon.min(axis=0) + 0.5), 0))
    x2, y2 = (int(v) for v in np.minimum(np.ceil(polygon.max(axis=0) + 0.5), (width, height)))
    if min(x2 - x1, y2 - y1) < _SMALLEST_PX:
        return None
    inside = np.zeros((y2 - y1, x2 - x1), dtype=np.uint8)
    cv2.fillPoly(inside, [np.rint(polygon - (x1, y1)).astype(np.int32)], 1)
    return ((x1, y1, x2, y2), inside.astype(bool)) if inside.any() else None


def drawn(walls: int, first_seed: int = _FIRST_SEED) -> Iterator[Example]:
    """Holds, volumes, tags and bare wall of that many rendered walls."""
    for seed in range(first_seed, first_seed + walls):
        wall = render(WallSpec(*_WALL, seed=seed))
        rng = np.random.default_rng(seed)
        yield from _bodies(wall, f"drawn_{seed}")
        yield from _bare_places(wall, rng, f"drawn_{seed}")


def _bodies(wall: Wall, photo: str) -> Iterator[Example]:
    height, width = wall.pixels.shape[:2]
    for hold in wall.holds:
        x1, y1 = (int(v) for v in np.maximum(np.floor(hold.polygon.min(axis=0)), 0))
        x2, y2 = (int(v) for v in np.minimum(np.ceil(hold.polygon.max(axis=0)) + 1, (width, height)))
        if min(x2 - x1, y2 - y1) < _SMALLEST_PX:
            continue
        inside = mask(hold, height, width)[y1:y2, x1:x2].astype(bool)
        if inside.any():
            attributes = (hold.kind,) if hold.colour == "unknown" else (hold.colour, hold.kind)
            yield _example(wall.pixels, (x1, y1, x2, y2), inside, attributes, photo, "drawn")


def _bare_places(wall: Wall, rng: np.random.Generator, photo: str) -> Iterator[Example]:
    """Two pieces of wall without a hold, and on others a START card, a TOP card and tape."""
    height, width = wall.pixels.shape[:2]
    taken = np.zeros((height, width), dtype=np.uint8)
    for hold in wall.holds:
        taken |= mask(hold, height, width)
    for what in ("wall", "wall", "start", "top", "tape"):
        place = _free_place(taken, rng)
        if place is None:
            continue
        canvas, (x, y, side) = wall.pixels.copy(), place
        box = (x, y, x + side, y + side)
        if what != "wall":
            box = _stick(canvas, box, what, rng)
        inside = np.ones((box[3] - box[1], box[2] - box[0]), dtype=bool)
        yield _example(canvas, box, inside, (what,), photo, "drawn")


def _free_place(taken: NDArray[np.uint8], rng: np.random.Generator) -> tuple[int, int, int] | None:
    """Left, top and side of a square without holds."""
    height, width = taken.shape
    for _ in range(20):
        side = int(rng.integers(24, 80))
        x, y = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
        if not taken[y : y + side, x : x + side].any():
            return x, y, side
    return None


def _stick(canvas: NDArray[np.uint8], box: Box, what: str, rng: np.random.Generator) -> Box:
    """Put a card or tape into the box; returns the box around it."""
    x1, y1, x2, _ = box
    side = x2 - x1
    tall = side * (0.42 if what != "tape" else rng.uniform(0.5, 1.0))
    corners = np.array([[0, 0], [side, 0], [side, tall], [0, tall]], dtype=np.float32)
    corners += rng.normal(0, 0.03 * side, corners.shape)
    corners = np.clip(corners + np.array([x1, y1]), 1, np.array(canvas.shape[1::-1]) - 2).astype(np.float32)
    lab = shade_of(COLOURS[int(rng.integers(len(COLOURS)))], rng)
    tag: Literal["start", "top"] = (
        "start" if what == "start" or (what == "tape" and rng.random() < 0.5) else "top"
    )
    paint_tag(canvas, TagPlan(corners, tag, lab, what == "tape"), rng)
    low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int) + 1
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _example(
    pixels: NDArray[np.uint8],
    box: Box,
    inside: NDArray[np.bool_],
    attributes: tuple[str, ...],
    photo: str,
    source: Source,
    file: str = "",
) -> Example:
    """Cut the surroundings out, and reduce what is larger than any tower here will see."""
    x1, y1, x2, y2 = box
    around = round(CONTEXT * max(x2 - x1, y2 - y1)) + 2
    left, top = max(x1 - around, 0), max(y1 - around, 0)
    patch = pixels[top : y2 + around, left : x2 + around].copy()
    x1, y1, x2, y2 = x1 - left, y1 - top, x2 - left, y2 - top
    scale = _LARGEST_PX / max(patch.shape[:2])
    if scale < 1:
        patch, (x1, y1, x2, y2), inside = resized(patch, (x1, y1, x2, y2), inside, scale)
    return Example(patch, (x1, y1, x2, y2), inside, attributes + _shape(inside), photo, source, file)


def resized(
    patch: NDArray[np.uint8], box: Box, inside: NDArray[np.bool_], scale: float
) -> tuple[NDArray[np.uint8], Box, NDArray[np.bool_]]:
    """A patch with its box and mask, `scale` times as large."""
    height, width = patch.shape[:2]
    size = max(2, round(width * scale)), max(2, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = np.asarray(cv2.resize(patch, size, interpolation=method), dtype=np.uint8)
    x1, y1 = min(int(box[0] * scale), size[0] - 1), min(int(box[1] * scale), size[1] - 1)
    x2, y2 = (
        min(max(round(box[2] * scale), x1 + 1), size[0]),
        min(max(round(box[3] * scale), y1 + 1), size[1]),
    )
    canvas = cv2.resize(inside.astype(np.uint8) * 255, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA)
    smaller = np.asarray(canvas > 127)
    return picture, (x1, y1, x2, y2), smaller if smaller.any() else np.ones_like(smaller)


def _shape(inside: NDArray[np.bool_]) -> tuple[str, ...]:
    points = cv2.findNonZero(inside.astype(np.uint8))
    (_, (width, height), _) = cv2.minAreaRect(points)
    ratio = (max(width, height) + 1) / (min(width, height) + 1)
    return ("long",) if ratio > _LONG else ("round",) if ratio < _ROUND else ()


def plain(example: Example, size: int, background: crops.Background) -> NDArray[np.uint8]:
    """The crop as it is served: (size, size, 3)."""
    return crops.cut(example.pixels, example.box, example.mask, size, background)


def varied(
    example: Example, rng: np.random.Generator, size: int, background: crops.Background
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The crop as another photo of it might be, and its attributes then."""
    patch, box, inside = _turned(example, rng)
    if rng.random() < 0.3:  # far away
        longest = max(box[2] - box[0], box[3] - box[1])
        scale = rng.uniform(min(9, longest), longest) / longest
        patch, box, inside = resized(patch, box, inside, scale)
    patch, extra = _relit(patch, example, rng)
    if rng.random() < 0.12:
        patch, extra = _chalked(patch, rng), (*extra, "chalky")
    if rng.random() < 0.6:
        inside = _misdrawn(inside, rng)
    margin = crops.MARGIN + (rng.uniform(-0.06, 0.08) if rng.random() < 0.5 else 0.0)
    crop = crops.cut(patch, box, inside, size, background, margin)
    if rng.random() < 0.15:
        sigma = rng.uniform(0.5, 2.5)
        crop = np.asarray(cv2.GaussianBlur(crop, (0, 0), sigma), dtype=np.uint8)
        extra = (*extra, "blurry") if sigma > 1.5 else extra
    noise = rng.normal(0, rng.uniform(0, 5), crop.shape)
    return np.clip(crop + noise, 0, 255).astype(np.uint8), example.attributes + extra


def _turned(example: Example, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Box, NDArray[np.bool_]]:
    """Mirrored and turned by quarters; tags are neither, since they are read."""
    patch, (x1, y1, x2, y2), inside = example.pixels, example.box, example.mask
    height, width = patch.shape[:2]
    if {"start", "top"} & set(example.attributes):
        return patch, example.box, inside
    if rng.random() < 0.5:
        patch, inside, (x1, x2) = patch[:, ::-1], inside[:, ::-1], (width - x2, width - x1)
    if rng.random() < 0.3:
        patch, inside, (y1, y2) = patch[::-1], inside[::-1], (height - y2, height - y1)
    if rng.random() < 0.3:
        patch, inside = patch.transpose(1, 0, 2), inside.T
        x1, y1, x2, y2 = y1, x1, y2, x2
    return np.ascontiguousarray(patch), (x1, y1, x2, y2), np.ascontiguousarray(inside)


def _relit(
    patch: NDArray[np.uint8], example: Example, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Other exposure, white balance and haze; little for real photos, whose names hold in their own light."""
    real = example.source != "drawn"
    stops, warmth, veil = rng.normal(0, 0.15 if real else 0.25), rng.normal(0, 0.05 if real else 0.1), 0.0
    extra: tuple[str, ...] = ()
    if rng.random() < 0.12 and example.colour in _HUED:
        stops = rng.uniform(-1.9, -1.1) if rng.random() < 0.5 else rng.uniform(0.7, 1.2)
        extra = ("dark",) if stops < 0 else ("bright",)
    if rng.random() < 0.5:
        veil = min(abs(rng.normal(0, 0.02 if real else 0.08)), 0.3)
    gain = 2**stops * np.exp(np.array([warmth, rng.normal(0, 0.4 * abs(warmth) + 0.01), -warmth]))
    table = (np.arange(256) / 255) ** 2.2
    linear = np.clip(table[:, None] * gain * (1 - veil) + veil * 0.7, 0, 1) ** (1 / 2.2)
    lookup = np.rint(linear * 255).astype(np.uint8)
    return np.asarray(cv2.LUT(patch, lookup.reshape(1, 256, 3)), dtype=np.uint8), extra


def _chalked(patch: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Cloudy patches of white."""
    height, width = patch.shape[:2]
    cloud = cv2.resize(rng.random((5, 5)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    share = np.clip((cloud - rng.uniform(0.45, 0.6)) * 3, 0, rng.uniform(0.4, 0.75))[..., None]
    return np.asarray(patch * (1 - share) + share * rng.uniform(190, 235), dtype=np.uint8)


def _misdrawn(inside: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """A mask as a detector draws it: too large or too small, beside the hold, or nothing but an ellipse."""
    side = float(np.sqrt(np.count_nonzero(inside)))
    canvas = inside.astype(np.uint8)
    if rng.random() < 0.15:
        canvas = np.zeros_like(canvas)
        height, width = canvas.shape
        cv2.ellipse(canvas, ((width / 2, height / 2), (0.92 * width, 0.92 * height), 0.0), 1, -1)
    depth = round(abs(rng.normal(0, 0.06)) * side)
    if depth:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * depth + 1, 2 * depth + 1))
        morph = cv2.erode if rng.random() < 0.5 else cv2.dilate
        canvas = np.asarray(morph(canvas, disc), dtype=np.uint8)
    shift = np.rint(rng.normal(0, 0.04 * side, 2)).astype(int)
    moved = np.roll(canvas, (int(shift[0]), int(shift[1])), axis=(0, 1)).astype(bool)
    return moved if moved.any() else inside


def read(path: Path) -> NDArray[np.uint8]:
    """RGB (H, W, 3)."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise FileNotFoundError(path)
    return np.asarray(picture, dtype=np.uint8)
