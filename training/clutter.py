"""What hangs between holds and is none: numbered cards and strips of tape, painted onto training crops.

On the val photos most false alarms with a high score are the coloured cards that a gym pins beside its holds
(docs/accuracy.md). Few photos of the train split show any, so they are painted: next to holds, as in the gym.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_CARD_PX = 48
"""Side on which a card is drawn before it is turned and scaled."""
_TAPE_SHARE = 0.25
_TEXTS = (*"0123456789", "10", "11", "V3", "V5", "START", "TOP", "S", "T")


@dataclass(frozen=True, slots=True)
class ClutterRecipe:
    """How much is painted. Sizes are shares of a hold's box (square root of its area)."""

    chance: float = 0.35
    """Of a crop getting any."""
    most: int = 12
    size: tuple[float, float] = (0.4, 1.1)
    smallest_px: float = 6.0
    largest_px: float = 60.0


SOME = ClutterRecipe()


def paint(
    pixels: NDArray[np.uint8], boxes: NDArray[np.float32], recipe: ClutterRecipe, rng: np.random.Generator
) -> None:
    """Paint clutter beside holds, in place.

    Args:
        pixels: RGB (H, W, 3).
        boxes: (N, 4) x1, y1, x2, y2 in pixels; clutter goes where it covers no box's middle.
    """
    if not len(boxes) or rng.random() >= recipe.chance:
        return
    for _ in range(int(rng.integers(1, recipe.most + 1))):
        x1, y1, x2, y2 = boxes[rng.integers(len(boxes))]
        of_hold = float(np.sqrt(max((x2 - x1) * (y2 - y1), 1)))
        side = float(np.clip(of_hold * rng.uniform(*recipe.size), recipe.smallest_px, recipe.largest_px))
        angle = rng.uniform(0, 2 * np.pi)
        reach = rng.uniform(0.9, 1.6)
        half = np.array([x2 - x1 + side, y2 - y1 + side]) / 2
        middle = np.array([x1 + x2, y1 + y2]) / 2 + reach * half * np.array([np.cos(angle), np.sin(angle)])
        if not _covers_a_hold(middle, side, boxes):
            _stick(pixels, middle, side, rng)


def _covers_a_hold(middle: NDArray[np.float64], side: float, boxes: NDArray[np.float32]) -> bool:
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return bool((np.abs(centres - middle).max(axis=1) < 0.6 * side).any())


def _stick(
    pixels: NDArray[np.uint8], middle: NDArray[np.float64], side: float, rng: np.random.Generator
) -> None:
    """Warp one card or strip to its place, in the light that is there."""
    patch = _strip(rng) if rng.random() < _TAPE_SHARE else _card(rng)
    height, width = patch.shape[:2]
    turn = rng.normal(0, 0.15) + (np.pi / 2) * rng.integers(4) * (rng.random() < 0.3)
    scale = side / width
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * scale
    matrix = matrix @ np.array([[1.0, rng.normal(0, 0.15)], [rng.normal(0, 0.1), rng.uniform(0.7, 1.2)]])
    corner = middle - matrix @ np.array([width / 2, height / 2])
    reach = int(np.ceil(side * max(1.0, height / width))) + 2
    low = np.clip(np.floor(middle).astype(int) - reach, 0, None)
    part = pixels[low[1] : low[1] + 2 * reach, low[0] : low[0] + 2 * reach]
    if min(part.shape[:2]) < 2:
        return
    affine = np.column_stack([matrix, corner - low])
    size = (part.shape[1], part.shape[0])
    shrunk = cv2.GaussianBlur(
        patch, (0, 0), max(0.35 / scale, 0.3)
    )  # else a small card's print would flicker
    warped = cv2.warpAffine(shrunk, affine, size, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpAffine(np.ones((height, width), np.float32), affine, size)[..., None]
    light = np.clip(part.mean() / 150, 0.35, 1.25) * rng.uniform(0.85, 1.15)
    mixed = part * (1 - cover) + np.clip(warped * light, 0, 255) * cover
    part[:] = np.clip(mixed, 0, 255).astype(np.uint8)


def _card(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A numbered card, (h, w, 3): dark print on a pale or bright ground, or pale print on a dark one."""
    ground, print_ = _colour(rng, 0.55, 1.0), _colour(rng, 0.0, 0.35)
    if rng.random() < 0.3:
        ground, print_ = print_, ground
    text = str(rng.choice(_TEXTS))
    width = round(_CARD_PX * (1 + 0.35 * (len(text) - 1)))
    card = np.full((_CARD_PX, width, 3), ground, np.uint8)
    size = rng.uniform(0.8, 1.3)
    (wide, tall), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 4)
    at = ((width - wide) // 2, (_CARD_PX + tall) // 2)
    cv2.putText(card, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, print_, int(rng.integers(2, 6)), cv2.LINE_AA)
    return card


def _strip(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A strip of tape, (h, w, 3)."""
    height = int(rng.integers(6, 14))
    return np.full((height, _CARD_PX, 3), _colour(rng, 0.2, 1.0), np.uint8)


def _colour(rng: np.random.Generator, darkest: float, brightest: float) -> tuple[int, int, int]:
    hsv = [[[rng.uniform(0, 180), 255 * rng.uniform(0, 0.9), 255 * rng.uniform(darkest, brightest)]]]
    red, green, blue = cv2.cvtColor(np.array(hsv, np.uint8), cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return red, green, blue
