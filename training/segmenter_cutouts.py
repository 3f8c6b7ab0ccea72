"""Holds cut from where their outline is known, pasted onto photos of walls: true masks on real ground."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from training.datasets import Photo
from training.segmenter_crops import (
    SIDE,
    Crop,
    CropRecipe,
    bounds,
    coverage,
    cut,
    degrade,
    loose_box,
    transform,
    window,
)

_CANVAS = 168
_OBJECT = 76
"""Long side of the pasted object, in canvas pixels."""

_Item = TypeVar("_Item")
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Cutout:
    """One hold without its ground."""

    pixels: Bytes
    """(h, w, 3), RGB."""
    alpha: Floats
    """(h, w), 0..1."""
    kind: int
    """0 hold, 1 volume."""


def cutouts_of(by_hand: Sequence[Photo], catalogue: Sequence[Photo]) -> list[Cutout]:
    """Every outlined object that lies whole inside its photo, and the catalogue's clean holds."""
    chosen = [c for photo in by_hand for row in range(len(photo.classes)) if (c := _outlined(photo, row))]
    return chosen + [c for photo in catalogue for c in catalogue_cutouts(photo)]


def _outlined(photo: Photo, row: int) -> Cutout | None:
    height, width = photo.pixels.shape[:2]
    x1, y1, x2, y2 = bounds(photo.outlines[row])
    if min(x2 - x1, y2 - y1) < 16 or min(x1, y1) < 1 or x2 > width - 1 or y2 > height - 1:
        return None
    left, top, right, bottom = int(x1), int(y1), int(np.ceil(x2)), int(np.ceil(y2))
    alpha = coverage(photo.outlines[row] - np.array([left, top]), (bottom - top, right - left))
    return Cutout(photo.pixels[top:bottom, left:right].copy(), alpha, int(photo.classes[row]))


def catalogue_cutouts(photo: Photo, least_contrast: float = 14.0) -> list[Cutout]:
    """The boxed holds of a shop picture whose outline shows clearly against the plain ground.

    Hold is what differs from the ground by more than Otsu's threshold of Lab distances. Only those are kept
    that reach all four sides of their box in one piece, on ground that is calm around it.
    """
    lab = np.asarray(cv2.cvtColor(photo.pixels.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)
    found = []
    for box, kind in zip(photo.boxes, photo.classes, strict=True):
        alpha = _against_ground(lab, box, photo.boxes, least_contrast)
        if alpha is None:
            continue
        left, top, right, bottom = _margin_window(box, photo.pixels.shape)
        found.append(Cutout(photo.pixels[top:bottom, left:right].copy(), alpha, int(kind)))
    return found


def _margin_window(box: Floats, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    margin = max(3.0, 0.06 * float((box[2:] - box[:2]).max()))
    left, top = (max(0, int(v - margin)) for v in box[:2])
    right, bottom = (min(s, int(np.ceil(v + margin))) for v, s in zip(box[2:], shape[1::-1], strict=True))
    return left, top, right, bottom


def _against_ground(lab: Floats, box: Floats, boxes: Floats, least_contrast: float) -> Floats | None:
    left, top, right, bottom = _margin_window(box, lab.shape)
    if min(right - left, bottom - top) < 24:
        return None
    inside = np.zeros((bottom - top, right - left), bool)
    for x1, y1, x2, y2 in np.round(boxes).astype(int):
        inside[max(0, y1 - top) : max(0, y2 - top), max(0, x1 - left) : max(0, x2 - left)] = True
    patch = lab[top:bottom, left:right]
    ring = patch[~inside]
    if len(ring) < 40:
        return None
    ground = np.median(ring, axis=0)
    # Shadows on the ground are darker, not more colourful: lightness counts half.
    distance = np.linalg.norm((patch - ground) * np.array([0.5, 1.0, 1.0], np.float32), axis=2)
    scaled = np.clip(distance * 3, 0, 255).astype(np.uint8)
    threshold = cv2.threshold(scaled[inside][:, None], 0, 255, cv2.THRESH_OTSU)[0] / 3
    if threshold < least_contrast / 2 or np.percentile(distance[~inside], 90) > threshold:
        return None
    return _one_piece(distance > threshold, np.round(box - np.array([left, top] * 2)).astype(int))


def _one_piece(mask: NDArray[np.bool_], box: NDArray[np.int_]) -> Floats | None:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    contours = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    if not contours:
        return None
    outline = max(contours, key=cv2.contourArea)
    x, y, width, height = cv2.boundingRect(outline)
    off = np.abs(np.array([x, y, x + width, y + height]) - box).max() / max(width, height)
    area = cv2.contourArea(outline)
    solid = area / max(cv2.contourArea(cv2.convexHull(outline)), 1.0)
    if off > 0.1 or solid < 0.8 or not 0.3 < area / (width * height) < 0.97:
        return None
    whole = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(whole, [outline], -1, 1.0, cv2.FILLED)
    # One pixel in, for the rim is mixed with the ground; and without spurs, where a neighbour touches.
    filled = cv2.erode(whole, np.ones((3, 3), np.uint8))
    across = 2 * round(0.05 * max(width, height)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (across, across))
    filled = cv2.morphologyEx(filled, cv2.MORPH_OPEN, disc)
    return np.asarray(cv2.GaussianBlur(filled.astype(np.float32), (0, 0), 0.7), np.float32)


def _one_of(pool: Sequence[_Item], rng: np.random.Generator) -> _Item:
    return pool[int(rng.integers(len(pool)))]


def facet_volume(walls: Sequence[Photo], rng: np.random.Generator) -> Cutout:
    """A made-up volume: a convex polygon of 3 to 6 corners, flat facets up to a point, a photo's grain."""
    side = 120
    corners = _convex_corners(rng) * side * 0.48 + side / 2
    apex = corners.mean(0) + rng.uniform(-0.18, 0.18, 2) * side
    colour = rng.uniform(20, 235, 3) if rng.random() < 0.4 else np.full(3, rng.uniform(25, 230))
    pixels = np.empty((side, side, 3), np.float32)
    pixels[:] = colour
    for first, second in zip(corners, np.roll(corners, -1, 0), strict=True):
        facet = np.round(np.stack([first, second, apex]) * 16).astype(np.int32)
        shade = (colour * rng.uniform(0.55, 1.35)).tolist()
        cv2.fillPoly(pixels, [facet], shade, shift=4)
    skin = _skin(walls, side, rng)
    mixed = pixels * skin if rng.random() < 0.7 else pixels * (0.5 + 0.5 * skin)
    return Cutout(np.clip(mixed, 0, 255).astype(np.uint8), coverage(corners, (side, side)), 1)


def _convex_corners(rng: np.random.Generator) -> Floats:
    """(K, 2), 3 to 6 corners about the middle, all within -1..1: flattened at times, turned at will."""
    number = int(rng.integers(3, 7))
    angles = (np.arange(number) + rng.uniform(-0.1, 0.1, number)) * 2 * np.pi / number
    rays = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.7, 1.0, (number, 1))
    turn = rng.uniform(0, np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    flat = (rays * (rng.uniform(0.45, 1.0), 1.0)) @ rotation
    return np.asarray(cv2.convexHull(flat.astype(np.float32)), np.float32)[:, 0]


def _skin(walls: Sequence[Photo], side: int, rng: np.random.Generator) -> Floats:
    """A patch of a photo, divided by its own mean colour: grain, bolt holes and stains without the colour."""
    patch = _bare_wall(walls, float(rng.uniform(60, 200)), side, rng).astype(np.float32)
    return np.asarray(patch / np.maximum(patch.mean((0, 1)), 1), np.float32)


def _bare_wall(walls: Sequence[Photo], reach: float, side: int, rng: np.random.Generator) -> Bytes:
    """A square of a photo `reach` pixels wide, (side, side, 3): of some tries the one with least boxes."""
    best: tuple[float, Photo, Floats] | None = None
    for _ in range(8):
        photo = _one_of(walls, rng)
        height, width = photo.pixels.shape[:2]
        middle = rng.uniform((0, 0), (width, height))
        box = np.concatenate([middle - reach / 2, middle + reach / 2]).astype(np.float32)
        core = np.concatenate([middle - reach / 4, middle + reach / 4])
        shared = np.minimum(photo.boxes[:, 2:], core[2:]) - np.maximum(photo.boxes[:, :2], core[:2])
        covered = float(np.clip(shared, 0, None).prod(1).sum())
        if best is None or covered < best[0]:
            best = covered, photo, box
        if covered == 0:
            break
    assert best is not None
    scale = side / reach
    matrix = np.array([[scale, 0, -scale * best[2][0]], [0, scale, -scale * best[2][1]], [0, 0, 1.0]])
    return cut(best[1].pixels, matrix, side)


def paste(
    cutouts: Sequence[Cutout], walls: Sequence[Photo], recipe: CropRecipe, rng: np.random.Generator
) -> Crop:
    """A random cutout on a random piece of wall, with a shadow, neighbours and the wall's light."""
    target = facet_volume(walls, rng) if rng.random() < 0.2 else _one_of(cutouts, rng)
    low, high = (10.0, 110.0) if target.kind == 0 else (50.0, 250.0)
    size = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    canvas = _bare_wall(walls, size * _CANVAS / _OBJECT, _CANVAS, rng).astype(np.float32)
    for _ in range(rng.integers(0, 3)):
        _lay(canvas, _one_of(cutouts, rng), _place_beside(rng), rng)
    middle = np.full(2, _CANVAS / 2) + rng.uniform(-6, 6, 2)
    alpha = _lay(canvas, target, (middle, _OBJECT * rng.uniform(0.85, 1.1)), rng)
    if target.kind == 1:
        for _ in range(rng.integers(0, 3)):  # a volume's outline includes the holds that it carries
            on_top = _CANVAS / 2 + rng.uniform(-0.3, 0.3, 2) * _OBJECT
            _lay(canvas, _one_of(cutouts, rng), (on_top, rng.uniform(0.15, 0.4) * _OBJECT), rng)
    elif rng.random() < 0.15:
        occluder = _lay(canvas, _one_of(cutouts, rng), _place_beside(rng), rng)
        alpha = np.asarray(alpha * (1 - occluder), np.float32)
    return _view(canvas, alpha, target.kind, size, recipe, rng)


def _place_beside(rng: np.random.Generator) -> tuple[NDArray[np.float64], float]:
    angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.0) * _OBJECT
    return _CANVAS / 2 + away * np.array([np.cos(angle), np.sin(angle)]), _OBJECT * rng.uniform(0.35, 1.0)


def _view(
    canvas: Floats, alpha: Floats, kind: int, size: float, recipe: CropRecipe, rng: np.random.Generator
) -> Crop:
    rows, columns = (np.flatnonzero((alpha > 0.5).any(axis)) for axis in (1, 0))
    if len(rows) < 8 or len(columns) < 8:  # an occluder took it all: the bare object's place stays empty
        rows = columns = np.array([_CANVAS // 4, 3 * _CANVAS // 4])
    tight = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
    box = loose_box(tight, recipe, rng)
    matrix = window(box)
    pixels = cut(np.clip(canvas, 0, 255).astype(np.uint8), matrix)
    planes = np.repeat((alpha[..., None] * 255).astype(np.uint8), 3, axis=2)
    mask = _masked(cut(planes, matrix)[..., 0].astype(np.float32) / 255, matrix)
    seen = transform(box.reshape(2, 2), matrix).reshape(4)
    return degrade(Crop(pixels, seen, kind, mask), size, recipe, rng)


def _masked(mask: NDArray[Any], matrix: NDArray[np.float64]) -> Floats:
    """Nothing outside the canvas, where `cut` paints grey."""
    frame = np.array([[0, 0], [_CANVAS, 0], [_CANVAS, _CANVAS], [0, _CANVAS]], np.float32)
    return np.asarray(mask * (coverage(transform(frame, matrix), (SIDE, SIDE)) > 0.999), np.float32)


def _lay(
    canvas: Floats, cutout: Cutout, place: tuple[NDArray[np.float64], float], rng: np.random.Generator
) -> Floats:
    """Paint a cutout, turned, onto the canvas about a point at a size; returns its alpha on the canvas."""
    middle, size = place
    height, width = cutout.alpha.shape
    scale = size / max(height, width)
    angle = rng.uniform(-180, 180) if rng.random() < 0.5 else rng.uniform(-20, 20)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), float(angle), scale)
    matrix[:, 2] += middle - np.array([width / 2, height / 2])
    square = (_CANVAS, _CANVAS)
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    alpha = np.asarray(cv2.warpAffine(cutout.alpha, matrix, square, flags=flags), np.float32)
    colours = _light(cutout.pixels, canvas, rng)
    painted = cv2.warpAffine(colours, matrix, square, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    _cast_shadow(canvas, alpha, size, rng)
    canvas += alpha[..., None] * (painted - canvas)
    return alpha


def _cast_shadow(canvas: Floats, alpha: Floats, size: float, rng: np.random.Generator) -> None:
    shift = np.array([[1, 0, rng.uniform(-0.12, 0.12) * size], [0, 1, rng.uniform(-0.05, 0.2) * size]])
    moved = cv2.warpAffine(alpha, shift, (_CANVAS, _CANVAS))
    soft = cv2.GaussianBlur(moved, (0, 0), float(rng.uniform(1, 6)))
    canvas *= 1 - rng.uniform(0, 0.65) * np.asarray(soft, np.float32)[..., None]


def _light(pixels: Bytes, canvas: Floats, rng: np.random.Generator) -> Floats:
    """The cutout's colours under the wall's light; now and then the wall's own colour, or chalk."""
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    if rng.random() < 0.5:
        hsv[..., 0] = (hsv[..., 0].astype(int) + rng.integers(0, 180)) % 180
    if rng.random() < 0.3:
        hsv[..., 1] = (hsv[..., 1] * rng.uniform(0, 0.6)).astype(np.uint8)
    colours = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32)
    if rng.random() < 0.15:
        grey = colours.mean(2, keepdims=True)
        own = canvas.mean((0, 1)) / max(float(canvas.mean()), 1.0) * grey
        colours = colours + rng.uniform(0.5, 1.0) * (own - colours)
    brightness = (0.5 + 0.5 * float(canvas.mean()) / 140) * np.exp(rng.uniform(-0.45, 0.3))
    height, width = pixels.shape[:2]
    slope = rng.uniform(-0.3, 0.3, 2)
    ramp = 1 + slope[0] * np.linspace(-1, 1, height)[:, None] + slope[1] * np.linspace(-1, 1, width)
    colours = np.clip(colours * brightness * ramp[..., None].astype(np.float32), 0, 255)
    if rng.random() < 0.25:
        colours = _chalk(colours, rng)
    return np.asarray(colours, np.float32)


def _chalk(colours: Floats, rng: np.random.Generator) -> Floats:
    height, width = colours.shape[:2]
    spots = cv2.resize(rng.random((4, 4)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    share = np.clip((np.asarray(spots) - 0.6) * 3, 0, 0.8)[..., None]
    return np.asarray(colours + share * (225 - colours), np.float32)
