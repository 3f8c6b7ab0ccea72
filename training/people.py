"""Climbers in front of the wall, painted onto training crops: clothes and limbs are no holds.

Set A's photos show nobody and set B's few, so that a trouser leg was taken for a hold (docs/accuracy.md). A
figure of capsules in clothes with folds, print and straps is far from a person, but as far from a hold.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_SKIN = ((236, 200, 176), (205, 160, 130), (160, 110, 80), (100, 66, 48))
"""sRGB."""
_WORDS = ("CLIMB", "ROCK", "TEAM 7", "GYM", "DREAM", "WORK OUT", "1998", "ASCEND")
_HEADS = 7.5
"""A figure's height in heads."""
Point = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PeopleRecipe:
    """How often somebody stands there, and how tall, as a share of the crop's longer side."""

    chance: float = 0.12
    height: tuple[float, float] = (0.4, 1.3)


SOME = PeopleRecipe()


def paint(pixels: NDArray[np.uint8], recipe: PeopleRecipe, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Paint a climber now and then, in place.

    Args:
        pixels: RGB (H, W, 3).

    Returns:
        (H, W): what is covered; all False where nobody came.
    """
    height, width = pixels.shape[:2]
    if rng.random() >= recipe.chance:
        return np.zeros((height, width), np.bool_)
    figure, cover = np.zeros_like(pixels), np.zeros((height, width), np.uint8)
    head = float(rng.uniform(*recipe.height)) * max(height, width) / _HEADS
    hip = np.array([rng.uniform(0, width), rng.uniform(0.25, 1.1) * height])
    _Painter(figure, cover, head, rng).climber(hip)
    share = cv2.GaussianBlur(cover, (0, 0), 0.8).astype(np.float32)[..., None] / 255
    shaded = figure * _folds(height, width, head, rng)[..., None] * (0.4 + pixels.mean() / 220)
    pixels[:] = np.clip(pixels * (1 - share) + np.clip(shaded, 0, 255) * share, 0, 255).astype(np.uint8)
    return cover > 127


def _folds(height: int, width: int, head: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """(H, W) brightness, about 1: soft folds of two sizes."""
    field = np.ones((height, width), np.float32)
    for size, depth in ((0.6 * head, 0.18), (0.2 * head, 0.12)):
        coarse = rng.normal(0, depth, (max(2, int(height / size)), max(2, int(width / size))))
        field += cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return field


class _Painter:
    """Draws parts on the figure and its cover alike."""

    def __init__(
        self, figure: NDArray[np.uint8], cover: NDArray[np.uint8], head: float, rng: np.random.Generator
    ) -> None:
        self.figure, self.cover, self.head, self.rng = figure, cover, head, rng
        self.skin = _SKIN[rng.integers(len(_SKIN))]

    def climber(self, hip: Point) -> None:
        """A back view with arms and legs somewhere, as on a wall."""
        rng, head = self.rng, self.head
        lean = rng.normal(0, 0.25)
        spine = np.array([np.sin(lean), -np.cos(lean)])
        across = np.array([-spine[1], spine[0]])
        neck = hip + 2.4 * head * spine
        trousers, shirt, shoes = (self._cloth() for _ in range(3))
        for side in (-1, 1):
            knee = self._limb(hip + side * 0.45 * head * across, (0.3, 2.6), 1.9, 0.75, trousers, side)
            bare = rng.random() < 0.4
            foot = self._limb(knee, (-0.4, 1.2), 1.8, 0.5, self.skin if bare else trousers, side)
            self._capsule(foot, foot + np.array([side * 0.5 * head, 0.2 * head]), 0.4, shoes)
        self._capsule(hip, hip + 2.0 * head * spine, 1.7, shirt)
        self._print(hip + 1.3 * head * spine)
        if rng.random() < 0.4:  # a harness
            self._capsule(hip - 0.8 * head * across, hip + 0.8 * head * across, 0.22, self._cloth())
        for side in (-1, 1):
            sleeve = shirt if rng.random() < 0.7 else self.skin
            elbow = self._limb(neck + side * 0.85 * head * across, (1.2, 3.6), 1.4, 0.5, sleeve, side)
            self._limb(elbow, (1.8, 4.2), 1.3, 0.35, self.skin, side)
        hair = self._cloth()
        self._capsule(neck + 0.4 * head * spine, neck + 0.75 * head * spine, 0.75, hair)

    def _limb(
        self,
        start: Point,
        angles: tuple[float, float],
        length: float,
        thickness: float,
        colour: tuple[int, int, int],
        side: int,
    ) -> Point:
        """One bone at an angle from straight down, outwards; returns where it ends. Lengths in heads."""
        angle = side * self.rng.uniform(*angles)
        end = start + length * self.head * np.array([np.sin(angle), np.cos(angle)])
        self._capsule(start, end, thickness, colour)
        return np.asarray(end)

    def _capsule(self, start: Point, end: Point, thickness: float, colour: tuple[int, int, int]) -> None:
        first, last = ((int(point[0]), int(point[1])) for point in (start, end))
        width = max(1, round(thickness * self.head))
        cv2.line(self.figure, first, last, colour, width, cv2.LINE_AA)
        cv2.line(self.cover, first, last, 255.0, width, cv2.LINE_AA)

    def _print(self, middle: Point) -> None:
        if self.rng.random() < 0.5:
            return
        text, scale = str(self.rng.choice(_WORDS)), self.head / 45
        (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, scale, 2)
        at = (int(middle[0] - wide / 2), int(middle[1]))
        thick = max(1, round(2 * scale))
        cv2.putText(self.figure, text, at, cv2.FONT_HERSHEY_DUPLEX, scale, self._cloth(), thick, cv2.LINE_AA)

    def _cloth(self) -> tuple[int, int, int]:
        hsv = [[[self.rng.uniform(0, 180), 255 * self.rng.uniform(0, 0.9), 255 * self.rng.uniform(0.1, 1)]]]
        red, green, blue = cv2.cvtColor(np.array(hsv, np.uint8), cv2.COLOR_HSV2RGB)[0, 0].tolist()
        return red, green, blue
