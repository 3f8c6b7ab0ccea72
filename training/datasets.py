"""The hold data set in memory, and random crops of it as training batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training import clutter, people
from training.clutter import ClutterRecipe
from training.people import PeopleRecipe

MASK_STRIDE = 4
"""Network pixels per mask pixel (ultralytics' mask_ratio): the prototypes' own resolution."""
_PAD_GREY = 114
_MIN_SIDE = 3.0
_MIN_VISIBLE = 0.3


@dataclass(frozen=True, slots=True)
class Photo:
    """One labelled photo. Row n of classes, boxes and outlines is the same object."""

    name: str
    pixels: NDArray[np.uint8]
    """(H, W, 3), RGB."""
    classes: NDArray[np.int64]
    """(N,): 0 hold, 1 volume."""
    boxes: NDArray[np.float32]
    """(N, 4): x1, y1, x2, y2 in pixels."""
    outlines: tuple[NDArray[np.float32], ...]
    """N of (K, 2), in pixels; empty where the split has boxes alone."""
    drawn_by_hand: bool
    """The outlines come from polygons/ rather than outlines/."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One crop, its objects sorted from large to small."""

    pixels: NDArray[np.uint8]
    """(h, w, 3), RGB."""
    classes: NDArray[np.int64]
    """(N,)"""
    boxes: NDArray[np.float32]
    """(N, 4): x1, y1, x2, y2 in pixels of the crop."""
    mask: NDArray[np.int32]
    """(h/4, w/4): n + 1 where object n is the topmost, 0 on bare wall."""


@dataclass(frozen=True, slots=True)
class CropRecipe:
    """How crops vary. Lengths are pixels of the crop, chances lie in 0..1."""

    long_side: tuple[float, float] = (576.0, 1088.0)
    """The whole photo is scaled to a long side drawn log-uniformly from here."""
    max_enlargement: float = 1.3
    aspect_jitter: float = 0.1
    rotation_chance: float = 0.3
    rotation_degrees: float = 8.0
    hsv: tuple[float, float, float] = (0.03, 0.5, 0.45)
    clutter: ClutterRecipe = clutter.SOME
    people: PeopleRecipe = people.SOME
    harsh_chance: float = 0.2
    """Of local contrast far beyond nature: how some phones and filters, and all of set B, render a wall."""
    blur_chance: float = 0.1
    noise_chance: float = 0.1


def load_split(root: Path, split: str) -> list[Photo]:
    """Read every photo of a split (train, val or catalogue), decoded; 2.4 MB each at most.

    Raises FileNotFoundError where the split has none.
    """
    photos = sorted((root / "images" / split).glob("*.jpg"))
    if not photos:
        raise FileNotFoundError(f"no photos (*.jpg) in {root / 'images' / split}")
    return [load_photo(root, split, photo.stem) for photo in photos]


def load_photo(root: Path, split: str, name: str) -> Photo:
    """Read one photo with its boxes and the best outlines there are: polygons, else outlines, else none.

    Raises FileNotFoundError without the photo or its boxes, ValueError where rows do not match.
    """
    path = root / "images" / split / f"{name}.jpg"
    bgr = cv2.imread(str(path))
    if bgr is None:
        raise FileNotFoundError(path)
    height, width = bgr.shape[:2]
    rows = np.asarray(_read_rows(root / "boxes" / split / f"{name}.txt"), np.float32).reshape(-1, 5)
    half = rows[:, 3:5] / 2
    boxes = np.hstack([rows[:, 1:3] - half, rows[:, 1:3] + half])
    outlines, drawn_by_hand = _read_outlines(root, split, name)
    if outlines and len(outlines) != len(rows):
        raise ValueError(f"{name}: {len(outlines)} outlines for {len(rows)} boxes")
    size = np.array([width, height], np.float32)
    return Photo(
        name=name,
        pixels=np.ascontiguousarray(bgr[:, :, ::-1], dtype=np.uint8),
        classes=rows[:, 0].astype(np.int64),
        boxes=(boxes * np.tile(size, 2)).astype(np.float32),
        outlines=tuple(outline * size for outline in outlines),
        drawn_by_hand=drawn_by_hand,
    )


def _read_outlines(root: Path, split: str, name: str) -> tuple[list[NDArray[np.float32]], bool]:
    for folder in ("polygons", "outlines"):
        path = root / folder / split / f"{name}.txt"
        if path.exists():
            rows = _read_rows(path)
            return [np.asarray(row[1:], np.float32).reshape(-1, 2) for row in rows], folder == "polygons"
    return [], False


def _read_rows(path: Path) -> list[list[float]]:
    return [
        [float(value) for value in line.split()] for line in path.read_text().splitlines() if line.strip()
    ]


def random_crop(photo: Photo, size: tuple[int, int], recipe: CropRecipe, rng: np.random.Generator) -> Sample:
    """Cut a window of `size` (height, width) from the photo at a random scale and place, with colour jitter.

    A photo smaller than the window at that scale lies whole inside it, on grey. `size` must be a multiple
    of 32. Objects of which too little is left are dropped.
    """
    pixels, scaled = _rescale(photo.pixels, recipe, rng)
    placed = _place(pixels.shape[:2], size, recipe, rng)
    pixels = _warp(pixels, placed, size)
    matrix = placed @ scaled
    outlines = [_transform(outline, matrix) for outline in photo.outlines]
    is_upright = abs(matrix[0, 1]) < 1e-9
    boxes = _transform_boxes(photo.boxes, matrix) if is_upright else _rotated_boxes(photo, outlines)
    clutter.paint(pixels, boxes, recipe.clutter, rng)
    covered = people.paint(pixels, recipe.people, rng)
    return _assemble(_jitter(pixels, recipe, rng), photo.classes, boxes, outlines, covered)


def _rescale(
    pixels: NDArray[np.uint8], recipe: CropRecipe, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    height, width = pixels.shape[:2]
    low, high = np.log(recipe.long_side)
    scale = min(float(np.exp(rng.uniform(low, high))) / max(height, width), recipe.max_enlargement)
    stretch = np.exp(rng.uniform(-recipe.aspect_jitter, recipe.aspect_jitter) / 2)
    new = (max(1, round(width * scale * stretch)), max(1, round(height * scale / stretch)))
    # Servers shrink in different ways; the network should not come to rely on one of them.
    method = cv2.INTER_AREA if scale < 1 and rng.random() < 0.5 else cv2.INTER_LINEAR
    resized = np.asarray(cv2.resize(pixels, new, interpolation=method), np.uint8)
    return resized, _scale_of(pixels, resized)


def _scale_of(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.diag([after.shape[1] / before.shape[1], after.shape[0] / before.shape[0], 1.0])


def _place(
    have: tuple[int, ...], want: tuple[int, int], recipe: CropRecipe, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Mirror and rotate about the middle, then slide a random part of what there is into the window."""
    angle = 0.0
    if rng.random() < recipe.rotation_chance:
        angle = rng.uniform(-recipe.rotation_degrees, recipe.rotation_degrees)
    matrix = np.eye(3)
    matrix[:2] = cv2.getRotationMatrix2D((have[1] / 2, have[0] / 2), angle, 1.0)
    if rng.random() < 0.5:
        matrix = np.array([[-1.0, 0.0, have[1]], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]) @ matrix
    slide = np.eye(3)
    slide[:2, 2] = [-rng.uniform(*sorted((0, have[axis] - want[axis]))) for axis in (1, 0)]
    return np.asarray(np.round(slide) @ matrix if angle == 0 else slide @ matrix, np.float64)


def _warp(pixels: NDArray[np.uint8], matrix: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.uint8]:
    # Labels measure from the corner of the first pixel, OpenCV from its centre.
    half = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    by_centres = (np.linalg.inv(half) @ matrix @ half)[:2]
    grey = (_PAD_GREY,) * 3
    return np.asarray(cv2.warpAffine(pixels, by_centres, (size[1], size[0]), borderValue=grey), np.uint8)


def _transform(points: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    return (points @ matrix[:2, :2].T + matrix[:2, 2]).astype(np.float32)


def _transform_boxes(boxes: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    first, second = _transform(boxes[:, :2], matrix), _transform(boxes[:, 2:], matrix)
    return np.hstack([np.minimum(first, second), np.maximum(first, second)])


def _rotated_boxes(photo: Photo, outlines: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Bounds of the rotated outlines, as much wider than those as the label was than its own outline.

    Machine-made outlines lie inside their boxes; taken bare they would teach boxes that are too small.
    """
    before, after = _bounds(photo.outlines), _bounds(outlines)
    ratio = (photo.boxes[:, 2:] - photo.boxes[:, :2]) / np.maximum(before[:, 2:] - before[:, :2], 1.0)
    half = (after[:, 2:] - after[:, :2]) * np.clip(ratio, 1.0, 1.5) / 2
    centre = (after[:, 2:] + after[:, :2]) / 2
    return np.hstack([centre - half, centre + half]).astype(np.float32)


def _bounds(outlines: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    rows = [np.concatenate([outline.min(0), outline.max(0)]) for outline in outlines]
    return np.asarray(rows, np.float32).reshape(-1, 4)


def _assemble(
    pixels: NDArray[np.uint8],
    classes: NDArray[np.int64],
    boxes: NDArray[np.float32],
    outlines: Sequence[NDArray[np.float32]],
    covered: NDArray[np.bool_],
) -> Sample:
    height, width = pixels.shape[:2]
    clipped = np.clip(boxes, 0, np.array([width, height] * 2, np.float32))
    sides = clipped[:, 2:] - clipped[:, :2]
    visible = sides.prod(1) / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1e-6)
    visible *= 1 - _covered_shares(clipped, covered)
    keep = np.flatnonzero((sides.min(1, initial=np.inf) >= _MIN_SIDE) & (visible >= _MIN_VISIBLE))
    keep = keep[np.argsort(-sides[keep].prod(1), kind="stable")]
    drawn = np.zeros((height, width), np.int32)
    for number, row in enumerate(keep.tolist(), start=1):  # small ones last: they lie on top of the large
        cv2.fillPoly(drawn, [np.round(outlines[row]).astype(np.int32)], float(number))
    drawn[covered] = 0
    # Drawn at full size and sampled at the middle of each cell: fillPoly also paints every pixel that the
    # edge touches, which on the coarse grid would make a small hold a third too wide.
    mask = drawn[MASK_STRIDE // 2 :: MASK_STRIDE, MASK_STRIDE // 2 :: MASK_STRIDE]
    return Sample(pixels, classes[keep], clipped[keep], np.ascontiguousarray(mask))


def _covered_shares(boxes: NDArray[np.float32], covered: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(N,): the share of each box inside the crop that somebody stands in front of."""
    shares = np.zeros(len(boxes), np.float32)
    if covered.any():
        for row, (x1, y1, x2, y2) in enumerate(np.round(boxes).astype(int)):
            part = covered[y1:y2, x1:x2]
            shares[row] = part.mean() if part.size else 0
    return shares


def _jitter(pixels: NDArray[np.uint8], recipe: CropRecipe, rng: np.random.Generator) -> NDArray[np.uint8]:
    hue, saturation, value = rng.uniform(-1, 1, 3) * recipe.hsv + (0, 1, 1)
    ramp = np.arange(256)
    tables = ((ramp + hue * 180) % 180, np.clip(ramp * saturation, 0, 255), np.clip(ramp * value, 0, 255))
    channels = cv2.split(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV))
    shifted = [cv2.LUT(c, t.astype(np.uint8)) for c, t in zip(channels, tables, strict=True)]
    out = np.asarray(cv2.cvtColor(cv2.merge(shifted), cv2.COLOR_HSV2RGB), np.uint8)
    if rng.random() < recipe.harsh_chance:
        out = _harsh(out, rng)
    if rng.random() < recipe.blur_chance:
        out = np.asarray(cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.4, 1.4))), np.uint8)
    if rng.random() < recipe.noise_chance:
        noise = rng.normal(0, rng.uniform(2, 10), out.shape)
        out = np.clip(out + noise, 0, 255).astype(np.uint8)
    return out


def _harsh(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Unsharp masking over a few per cent of the picture, and over a few pixels: tone mapping overdone."""
    sides = rng.uniform(0.01, 0.06) * max(pixels.shape), rng.uniform(1.0, 3.0)
    out = pixels.astype(np.float32)
    for side, most in zip(sides, (1.5, 1.2), strict=True):
        window = (2 * round(side) + 1,) * 2
        out += rng.uniform(0.3, most) * (out - cv2.blur(out, window))
    return np.clip(out, 0, 255).astype(np.uint8)


def collate(samples: Sequence[Sample]) -> dict[str, torch.Tensor]:
    """Stack crops of one size into what ultralytics' segmentation loss reads (overlap_mask=True).

    img (B, 3, h, w) in 0..1, masks (B, h/4, w/4), and for all objects together cls (M, 1), bboxes (M, 4) as
    centre and size in fractions of the crop, batch_idx (M,).
    """
    height, width = samples[0].pixels.shape[:2]
    boxes = torch.from_numpy(np.concatenate([sample.boxes for sample in samples]))
    centre_size = torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)
    counts = torch.tensor([len(sample.classes) for sample in samples])
    pixels = torch.from_numpy(np.stack([sample.pixels for sample in samples]))
    return {
        "img": pixels.permute(0, 3, 1, 2).float().div_(255),
        "masks": torch.from_numpy(np.stack([sample.mask for sample in samples])).float(),
        "cls": torch.from_numpy(np.concatenate([sample.classes for sample in samples])).float()[:, None],
        "bboxes": centre_size / torch.tensor([width, height, width, height]),
        "batch_idx": torch.arange(len(samples)).repeat_interleave(counts).float(),
    }
