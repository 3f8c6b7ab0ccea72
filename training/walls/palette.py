"""The thirteen colour names, and the shades that climbers call by them."""

from __future__ import annotations

from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = Literal[
    "black", "white", "gray", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown",
    "mint", "lime", "unknown",
]  # fmt: skip

#: CIE L*a*b* (D65) of freshly washed plastic under even light, a few makers' shades for each name.
#: Set wider than the photographed values: shade, chalk and the camera pull every colour to grey.
SHADES: Final[dict[Colour, tuple[tuple[float, float, float], ...]]] = {
    "black": ((13, 0, -1), (18, 0, -2), (10, 0, 0)),
    "white": ((92, 0, 2), (88, 0, 5), (94, -1, 0)),
    "gray": ((56, -1, -1), (62, 0, 1), (50, -1, -4)),
    "red": ((45, 64, 44), (41, 58, 34), (50, 68, 48)),
    "orange": ((64, 46, 64), (60, 52, 62), (68, 38, 66)),
    "yellow": ((85, 3, 82), (82, 8, 78), (89, -4, 76)),
    "green": ((47, -46, 28), (40, -38, 20), (55, -52, 34), (45, -40, 16)),
    "blue": ((43, 6, -52), (54, -8, -45), (34, 14, -50)),
    "purple": ((38, 36, -42), (44, 34, -34), (32, 34, -44)),
    "pink": ((66, 58, -6), (60, 70, -12), (72, 42, 2)),
    "brown": ((38, 17, 28), (43, 18, 32), (33, 15, 22)),
    "mint": ((83, -26, 2), (80, -30, 5), (86, -22, -2)),
    "lime": ((80, -40, 70), (84, -32, 78), (75, -44, 64)),
}
COLOURS: Final[tuple[Colour, ...]] = tuple(SHADES)


def lab_to_rgb(lab: tuple[float, float, float] | NDArray[np.float32]) -> NDArray[np.float32]:
    """sRGB in 0..1 (gamma encoded, float32, 3 values) of one L*a*b* colour; clipped to the gamut."""
    pixel = np.asarray(lab, np.float32).reshape(1, 1, 3)
    return np.clip(cv2.cvtColor(pixel, cv2.COLOR_Lab2RGB).reshape(3), 0, 1).astype(np.float32)


def rgb_to_lab(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """L*a*b* (float32, 3 values) of one sRGB colour in 0..1."""
    pixel = np.asarray(rgb, np.float32).reshape(1, 1, 3)
    return np.asarray(cv2.cvtColor(pixel, cv2.COLOR_RGB2Lab).reshape(3), np.float32)


def shade_of(colour: Colour, rng: np.random.Generator) -> NDArray[np.float32]:
    """A shade that carries the name: L*a*b*, float32, 3 values."""
    shades = SHADES[colour]
    lab = np.array(shades[int(rng.integers(len(shades)))], np.float32)
    return vary(lab, rng, 1.0)


def vary(lab: NDArray[np.float32], rng: np.random.Generator, amount: float) -> NDArray[np.float32]:
    """The same colour from another mould: lightness moves most, and greys stay grey."""
    chroma = min(1.0, 0.25 + float(np.hypot(lab[1], lab[2])) / 40)
    spread = np.array([2.2, 2.2 * chroma, 2.2 * chroma], np.float32) * np.float32(amount)
    moved = lab + spread * np.clip(rng.standard_normal(3, dtype=np.float32), -2, 2)
    return np.asarray(moved, np.float32)


def distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """CIE76 difference of two L*a*b* colours."""
    return float(np.linalg.norm(one - other))
