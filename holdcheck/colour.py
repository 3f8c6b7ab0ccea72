"""A hold's colour: robust Lab statistics of mask and wall, a small trained model, and fusion with CLIP."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from holdcheck.classifier import COLOURS, UNKNOWN
from holdcheck.errors import ModelCorrupt
from holdcheck.manifest import listed_file
from holdcheck.result import Colour

MODEL = Path(__file__).parent / "models" / "colour-lab" / "colour-lab.npz"
UNKNOWN_BELOW = 0.35
"""A likeliest colour less probable than this is called unknown."""
POOLS = MODEL.with_name("pools.json")
"""CLIP's exponent in the product of experts, by the CLIP's name, fitted by training.colour_pool."""
CLIP_WEIGHT = 0.5
"""The exponent of any other CLIP: chosen, not fitted. Lab's is 1, since its calibration is measured."""
CLIP_FLOOR = 1e-3
"""No expert vetoes: CLIP's temperature makes it far surer than it is right."""
_MAX_SAMPLES_PER_SIDE = 48
_PERCENTILES = np.array([5, 25, 50, 75, 95])
_MIDDLE = len(_PERCENTILES) // 2
MEDIANS = slice(_MIDDLE, 3 * len(_PERCENTILES), len(_PERCENTILES))
"""Where the features hold the medians of L*, a* and b*."""
_WALL_REACH = 0.3
"""Width of the wall that is looked at around the box, as a fraction of the box's longer side."""
_WALL_GAP = 0.08
"""Around the mask so much is neither hold nor wall, as a fraction of the square root of its area."""
_LEAST_WALL = 8
"""Samples of wall below which nothing is said of it."""
_TYPICAL_WALL = np.array([57, 3, 13], dtype=np.float32)
"""Stands in where a hold fills the picture: the median of the named crops' walls."""
_ERODE = 0.06
"""Depth taken off the mask's edge, as a fraction of the square root of its area: there, wall mixes in."""
_MIN_CORE = 0.4
"""Erosion that leaves less of the mask than this is undone."""
_BRIGHTER = 10.0
"""L* above the mask's median, from which a pixel may be chalk or a highlight."""
_PALER = 0.6
"""Share of the mask's median chroma, below which a bright pixel is chalk or a highlight."""
_GREY_CHROMA = 8.0
"""Chroma below which a surface is grey whatever the rest of the mask is."""


@dataclass(frozen=True, slots=True)
class ColourStats:
    """A hold's colour in numbers; chalk and highlights are left out."""

    rgb: tuple[int, int, int]
    """sRGB, 0..255."""
    hsv: tuple[float, float, float]
    """Degrees 0..360, percent, percent."""
    lab: tuple[float, float, float]
    """CIE L*a*b*, D65: medians."""
    features: NDArray[np.float32]
    """(F,): what the model sees."""


def measure(
    pixels: NDArray[np.uint8], box: tuple[int, int, int, int], mask: NDArray[np.bool_]
) -> ColourStats:
    """Measure one hold's colour.

    Args:
        pixels: RGB (H, W, 3).
        box: x1, y1, x2, y2 in pixels, exclusive end, inside the photo.
        mask: (y2 - y1, x2 - x1), at least one pixel.
    """
    core = _core_pixels(pixels, box, mask)
    features = _features(core, _surface(core), _wall(pixels, box, mask))
    middle = features[MEDIANS]
    rgb = cv2.cvtColor(middle.reshape(1, 1, 3), cv2.COLOR_Lab2RGB)
    hue, saturation, value = (float(x) for x in cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV).reshape(3))
    red, green, blue = (int(x) for x in np.clip(np.rint(rgb.reshape(3) * 255), 0, 255))
    lightness, a, b = (round(float(x), 1) for x in middle)
    return ColourStats(
        rgb=(red, green, blue),
        hsv=(round(hue, 1) % 360, round(100 * saturation, 1), round(100 * value, 1)),
        lab=(lightness, a, b),
        features=features,
    )


def warm_up() -> None:
    """Pay now what the first hold of the first photo would: OpenCV's Lab tables, and reading the weights.

    Raises:
        ModelCorrupt: the bundled weights cannot be read, or were changed (ModelTampered).
    """
    pool_weight("")
    square = np.zeros((8, 8, 3), dtype=np.uint8)
    lab_probabilities([measure(square, (0, 0, 8, 8), np.ones((8, 8), dtype=np.bool_))])


def lab_probabilities(stats: Sequence[ColourStats]) -> NDArray[np.float32]:
    """Name colours from Lab statistics alone: N holds -> (N, 13) calibrated probabilities, order of COLOURS.

    Raises:
        ModelCorrupt: the bundled weights cannot be read, or were changed (ModelTampered).
    """
    if not stats:
        return np.empty((0, len(COLOURS)), dtype=np.float32)
    return load_model()(np.stack([stat.features for stat in stats]))


def fuse(
    clip: NDArray[np.float32] | None, lab: NDArray[np.float32], clip_name: str = ""
) -> NDArray[np.float32]:
    """Combine both experts' probabilities, each (N, 13), into one (N, 13).

    A log-linear pool (Genest & Zidek 1986; a product of experts, Hinton 2002): lab * clip ** weight,
    normalised. A CLIP that is None, or finds all colours equally likely, leaves the Lab answer as it is.

    Args:
        clip_name: whose probabilities these are; its weight is `pool_weight(clip_name)`.

    Raises:
        ModelCorrupt: the fitted weights cannot be read.
    """
    if clip is None:
        return lab
    pooled = lab * np.maximum(clip, CLIP_FLOOR) ** pool_weight(clip_name)
    return np.asarray(pooled / pooled.sum(axis=1, keepdims=True), dtype=np.float32)


def pool_weight(clip_name: str) -> float:
    """The fitted exponent of the CLIP of this name, CLIP_WEIGHT where none was fitted.

    Raises:
        ModelCorrupt: the fitted weights cannot be read.
    """
    return _pools().get(clip_name, CLIP_WEIGHT)


def name(probabilities: NDArray[np.float32]) -> Colour:
    """The likeliest colour of (13,) probabilities; `unknown` below UNKNOWN_BELOW."""
    best = int(probabilities.argmax())
    return COLOURS[best] if probabilities[best] >= UNKNOWN_BELOW else UNKNOWN


def top3(probabilities: NDArray[np.float32]) -> dict[str, float]:
    """The three likeliest colours of (13,) probabilities, likeliest first, to four decimals."""
    best = np.argsort(-probabilities, kind="stable")[:3]
    return {COLOURS[i]: round(float(probabilities[i]), 4) for i in best}


@dataclass(frozen=True, slots=True)
class LabModel:
    """A perceptron with one hidden layer, and a temperature (Guo et al. 2017) that calibrates it."""

    mean: NDArray[np.float32]
    """(F,)"""
    scale: NDArray[np.float32]
    """(F,)"""
    hidden_weights: NDArray[np.float32]
    """(F, H)"""
    hidden_bias: NDArray[np.float32]
    """(H,)"""
    weights: NDArray[np.float32]
    """(H, 13)"""
    bias: NDArray[np.float32]
    """(13,)"""
    temperature: NDArray[np.float32]
    """()"""

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, F) -> (N, 13) probabilities."""
        hidden = np.maximum((features - self.mean) / self.scale @ self.hidden_weights + self.hidden_bias, 0)
        logits = (hidden @ self.weights + self.bias) / self.temperature
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float32)


@cache
def load_model() -> LabModel:
    """The bundled weights, read once.

    Raises:
        ModelCorrupt: they cannot be read, or were changed (ModelTampered).
    """
    try:
        with np.load(listed_file(MODEL)) as arrays:
            return LabModel(**arrays)
    except (OSError, ValueError, TypeError) as error:
        raise ModelCorrupt(f"{MODEL} cannot be read ({error}); reinstall holdcheck") from None


@cache
def _pools() -> dict[str, float]:
    try:
        fitted = json.loads(listed_file(POOLS).read_text(encoding="utf-8"))
        return {str(clip): float(weight) for clip, weight in fitted.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelCorrupt(f"{POOLS} cannot be read ({error}); reinstall holdcheck") from None


def _core_pixels(
    pixels: NDArray[np.uint8], box: tuple[int, int, int, int], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """L*a*b* of the mask's inner pixels from top to bottom, (N, 3); large holds are sampled on a grid."""
    x1, y1, x2, y2 = box
    step = -(-max(mask.shape) // _MAX_SAMPLES_PER_SIDE)
    patch, inside = pixels[y1:y2:step, x1:x2:step], mask[::step, ::step]
    if not inside.any():
        patch, inside = pixels[y1:y2, x1:x2], mask
    return _lab(patch[_eroded(inside)])


def _wall(
    pixels: NDArray[np.uint8], box: tuple[int, int, int, int], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Median L*a*b*, (3,), of what surrounds the hold: it tells the light that falls on both.

    What is missed by the mask, shadows and neighbours are in it, too; most of it is wall, so the median is.
    """
    x1, y1, x2, y2 = box
    height, width = pixels.shape[:2]
    reach = max(2, round(_WALL_REACH * max(mask.shape)))
    left, top = max(x1 - reach, 0), max(y1 - reach, 0)
    right, bottom = min(x2 + reach, width), min(y2 + reach, height)
    step = -(-max(right - left, bottom - top) // _MAX_SAMPLES_PER_SIDE)
    hold = np.zeros((bottom - top, right - left), dtype=np.uint8)
    hold[y1 - top : y2 - top, x1 - left : x2 - left] = mask
    hold = hold[::step, ::step]
    gap = max(1, round(_WALL_GAP * float(np.count_nonzero(hold)) ** 0.5))
    near = cv2.dilate(hold, np.ones((2 * gap + 1, 2 * gap + 1), np.uint8))
    around = pixels[top:bottom:step, left:right:step][near == 0]
    if len(around) < _LEAST_WALL:
        return _TYPICAL_WALL
    lab = _lab(around)
    return _medians(lab)


def _lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 3) to (N, 3)."""
    # A float picture, since the 8-bit conversion rounds L* and chroma to whole steps.
    picture = rgb.astype(np.float32).reshape(1, -1, 3) / 255
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2Lab).reshape(-1, 3), dtype=np.float32)


def _eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    area = int(np.count_nonzero(mask))
    depth = round(_ERODE * area**0.5)
    if not depth:
        return mask
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * depth + 1, 2 * depth + 1))
    core = cv2.erode(mask.astype(np.uint8), disc, borderType=cv2.BORDER_CONSTANT, borderValue=0).astype(bool)
    return core if np.count_nonzero(core) >= max(_MIN_CORE * area, 1) else mask


def _surface(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without chalk and highlights: both are brighter and paler than the hold that they lie on.

    A highlight has the light's colour, not the surface's (Shafer 1985, the dichromatic reflection model).
    Where most of the mask is bright and pale, that is the hold itself: its median is, so nothing stands out.
    """
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    pale = chroma < max(_PALER * _median(chroma), _GREY_CHROMA)
    bright = lab[:, 0] > _median(lab[:, 0]) + _BRIGHTER
    kept = lab[~(pale & bright)]
    return kept if len(kept) else lab


def _features(
    core: NDArray[np.float32], surface: NDArray[np.float32], wall: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(F,): the surface's percentiles and hue; its contrast with the wall; percentiles with chalk and
    highlights left in; and medians of the upper and of the lower half, since light comes from above.
    """
    percentiles = _percentiles(np.column_stack([surface, np.hypot(surface[:, 1], surface[:, 2])]))
    mean_ab = surface[:, 1:].mean(axis=0)
    direction = mean_ab / max(float(np.hypot(*mean_ab)), 4.0)  # no hue can be read from a grey
    contrast = percentiles[_MIDDLE, :3] - wall
    lit = percentiles[-1, :1] - wall[:1]
    half = (len(core) + 1) // 2
    raw = _percentiles(core).T.ravel()
    halves = [_medians(core[:half]), _medians(core[-half:])]
    parts = [percentiles.T.ravel(), direction, contrast, lit, raw, *halves]
    return np.concatenate(parts).astype(np.float32)


def _percentiles(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, C) to (5, C)."""
    return np.asarray(np.sort(values, axis=0)[(_PERCENTILES * (len(values) - 1) + 50) // 100])


def _medians(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, C) to (C,)."""
    return np.array([_median(column) for column in values.T], dtype=np.float32)


def _median(values: NDArray[np.float32]) -> float:
    # np.median costs several times as much on a thousand values, and every hold needs a few.
    middle = len(values) // 2
    return float(np.partition(values, middle)[middle])
