"""Windows around one box: what the crop segmenter sees and what it should answer.

Coordinates of outlines, boxes and matrices measure from the corner of the first pixel, so that this pixel
covers 0..1. A crop is a square window with the box in its middle and a quarter of its size as context around.
"""

from dataclasses import dataclass
from math import ceil
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.datasets import Photo

SIDE = 80
"""Pixels of a crop, in both directions."""
CONTEXT = 1.5
"""Sides of the window per side of the box."""
MAX_STRETCH = 2.0
"""A long thin box is stretched so far towards a square: more of the crop's pixels show the hold."""
SUPERSAMPLE = 4
_GREY = 114

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Crop:
    """One object in its window."""

    pixels: Bytes
    """(SIDE, SIDE, 3), RGB."""
    box: Floats
    """(4,): x1, y1, x2, y2 in pixels of the crop."""
    kind: int
    """0 hold, 1 volume."""
    mask: Floats
    """(SIDE, SIDE): the share of each pixel that the object covers, 0..1."""


@dataclass(frozen=True, slots=True)
class CropRecipe:
    """How crops vary in training. Chances lie in 0..1."""

    turn_chance: float = 0.3
    """Chance of any angle at all; else a tilt of at most `tilt` degrees."""
    tilt: float = 15.0
    exact_box_chance: float = 0.4
    """Chance that the box fits the outline exactly; boxes drawn by hand are looser."""
    box_jitter: float = 0.1
    """Each side of the box moves by at most this share of the object's size."""
    smallest: float = 10.0
    """Objects are shrunk to sizes down to this (pixels, square root of the box's area) and blown up again."""
    hsv: tuple[float, float, float] = (0.04, 0.5, 0.4)
    harsh_chance: float = 0.2
    """Of local contrast far beyond nature, as in all of set B: the other sources must learn it too."""
    blur_chance: float = 0.15
    jpeg_chance: float = 0.3


def window(box: Floats, side: int = SIDE) -> Matrix:
    """The 3x3 matrix from the photo to a crop of `side` pixels around the box (x1, y1, x2, y2)."""
    width, height = np.maximum(box[2:] - box[:2], 1.0).astype(np.float64)
    scale = side / (CONTEXT * np.array([max(width, height / MAX_STRETCH), max(height, width / MAX_STRETCH)]))
    centre = (box[:2].astype(np.float64) + box[2:]) / 2
    matrix = np.diag([*scale, 1.0])
    matrix[:2, 2] = side / 2 - scale * centre
    return matrix


def transform(points: NDArray[Any], matrix: Matrix) -> Floats:
    """(K, 2) points through a 3x3 affine matrix."""
    return np.asarray(points @ matrix[:2, :2].T + matrix[:2, 2], np.float32)


def bounds(outline: NDArray[Any]) -> Floats:
    """(4,): the outline's x1, y1, x2, y2."""
    return np.asarray(np.concatenate([outline.min(0), outline.max(0)]), np.float32)


def cut(pixels: Bytes, matrix: Matrix, side: int = SIDE) -> Bytes:
    """The photo through the matrix as (side, side, 3), averaged where it shrinks; grey outside the photo."""
    shrink = 1.0 / min(float(np.linalg.norm(matrix[:2, axis])) for axis in (0, 1))
    factor = int(np.clip(ceil(shrink - 0.25), 1, 8))
    # From pixel centres to corners, then to the finer grid, then back: OpenCV measures from centres.
    half = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    by_centres = (np.linalg.inv(half) @ np.diag([factor, factor, 1.0]) @ matrix @ half)[:2]
    grey = (_GREY,) * 3
    fine = cv2.warpAffine(pixels, by_centres, (side * factor,) * 2, borderValue=grey)
    return np.asarray(
        fine if factor == 1 else cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA), np.uint8
    )


def coverage(outline: NDArray[Any], size: tuple[int, int]) -> Floats:
    """The share of each pixel inside the outline, (height, width), 0..1."""
    height, width = size
    drawn = np.zeros((height * SUPERSAMPLE, width * SUPERSAMPLE), np.uint8)
    # fillPoly counts in sixteenths of a pixel here, from the centre of the first one.
    points = np.round((outline * SUPERSAMPLE - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(drawn, [points], 255.0, shift=4)
    return np.asarray(cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA) / 255, np.float32)


def box_coverage(box: Floats, side: int = SIDE) -> Floats:
    """The share of each pixel inside the box, (side, side)."""
    first = np.arange(side, dtype=np.float32)
    across, down = (
        np.clip(np.minimum(first + 1, box[axis + 2]) - np.maximum(first, box[axis]), 0, 1) for axis in (0, 1)
    )
    return np.asarray(down[:, None] * across[None, :], np.float32)


def network_input(pixels: Bytes, box: Floats, kind: int) -> Floats:
    """(5, SIDE, SIDE): RGB in -1..1, then the box's coverage, on one plane for holds, another for volumes."""
    planes = np.zeros((5, *pixels.shape[:2]), np.float32)
    planes[:3] = pixels.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
    planes[3 + kind] = box_coverage(box, pixels.shape[0])
    return planes


def crop_of(photo: Photo, row: int, recipe: CropRecipe, rng: np.random.Generator) -> Crop:
    """A random view of one outlined object: mirrored, turned, its box moved, small and blurred at times."""
    turn = _turn(photo.outlines[row].mean(0), recipe, rng)
    outline = transform(photo.outlines[row], turn)
    box = loose_box(bounds(outline), recipe, rng)
    matrix = window(box)
    drawn = coverage(transform(outline, matrix), (SIDE, SIDE))
    crop = Crop(cut(photo.pixels, matrix @ turn), _moved(box, matrix), int(photo.classes[row]), drawn)
    return degrade(crop, float(np.sqrt(np.prod(box[2:] - box[:2]))), recipe, rng)


def _moved(box: Floats, matrix: Matrix) -> Floats:
    return transform(box.reshape(2, 2), matrix).reshape(4)


def _turn(about: Floats, recipe: CropRecipe, rng: np.random.Generator) -> Matrix:
    wide = rng.random() < recipe.turn_chance
    angle = rng.uniform(-180, 180) if wide else rng.uniform(-recipe.tilt, recipe.tilt)
    matrix = np.eye(3)
    matrix[:2] = cv2.getRotationMatrix2D((float(about[0]), float(about[1])), float(angle), 1.0)
    if rng.random() < 0.5:
        matrix = np.array([[-1.0, 0.0, 2 * float(about[0])], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]) @ matrix
    return matrix


def loose_box(box: Floats, recipe: CropRecipe, rng: np.random.Generator) -> Floats:
    """The box as somebody might have drawn it."""
    if rng.random() < recipe.exact_box_chance:
        return box
    sides = np.tile(box[2:] - box[:2], 2)
    reach = rng.uniform(0, recipe.box_jitter)
    moved = box + rng.uniform(-reach, reach, 4) * sides
    return np.asarray(moved, np.float32)


def degrade(crop: Crop, size: float, recipe: CropRecipe, rng: np.random.Generator) -> Crop:
    """The same crop as a worse photo would show it; `size` is the object's, in pixels of its photo."""
    pixels = _recolour(crop.pixels, recipe, rng)
    if rng.random() < recipe.harsh_chance:
        pixels = _harsh(pixels, rng)
    if size > recipe.smallest and rng.random() < 0.6:
        wanted = float(np.exp(rng.uniform(np.log(recipe.smallest), np.log(max(size, 48.0)))))
        pixels = _shrink(pixels, wanted / (crop.pixels.shape[0] / CONTEXT))
    if rng.random() < recipe.blur_chance:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.5, 2.0))), np.uint8)
    if rng.random() < recipe.jpeg_chance:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))]
        encoded = cv2.imencode(".jpg", pixels[:, :, ::-1], quality)[1]
        pixels = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)[:, :, ::-1]
    return Crop(np.ascontiguousarray(pixels), crop.box, crop.kind, crop.mask)


def _harsh(pixels: Bytes, rng: np.random.Generator) -> Bytes:
    """Unsharp masking over a third of the crop or so, and over a few pixels: tone mapping overdone."""
    out = pixels.astype(np.float32)
    for reach, most in ((rng.uniform(0.1, 0.4) * pixels.shape[0], 1.2), (rng.uniform(1.0, 3.0), 1.0)):
        across = (2 * round(reach) + 1,) * 2
        out += rng.uniform(0.2, most) * (out - np.asarray(cv2.blur(out, across), np.float32))
    return np.clip(out, 0, 255).astype(np.uint8)


def _shrink(pixels: Bytes, scale: float) -> Bytes:
    side = pixels.shape[0]
    small = round(side * scale)
    if small >= side:
        return pixels
    shrunk = cv2.resize(pixels, (max(small, 4),) * 2, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def _recolour(pixels: Bytes, recipe: CropRecipe, rng: np.random.Generator) -> Bytes:
    hue, saturation, value = rng.uniform(-1, 1, 3) * recipe.hsv + (0, 1, 1)
    gamma, ramp = np.exp(rng.uniform(-0.3, 0.3)), np.arange(256)
    brightness = np.clip(255 * (ramp / 255 * value).clip(0, 1) ** gamma, 0, 255)
    tables = ((ramp + hue * 180) % 180, np.clip(ramp * saturation, 0, 255), brightness)
    channels = cv2.split(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV))
    shifted = [cv2.LUT(c, t.astype(np.uint8)) for c, t in zip(channels, tables, strict=True)]
    return np.asarray(cv2.cvtColor(cv2.merge(shifted), cv2.COLOR_HSV2RGB), np.uint8)
