"""Value noise: the randomness of wood, chalk and paint."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]


def value_noise(
    rng: np.random.Generator, height: int, width: int, cell: tuple[float, float], octaves: int = 1
) -> Float:
    """Smooth noise of mean 0 and standard deviation about 1.

    Args:
        rng: source of randomness; each octave draws from it.
        height: rows of the answer.
        width: columns of the answer.
        cell: size (x, y) in pixels of the coarsest bumps; unequal sides give streaks.
        octaves: how many times the bumps are halved and added at 0.55 of the strength before.

    Returns:
        float32 array, height x width.
    """
    total = np.zeros((height, width), np.float32)
    power = 0.0
    for octave in range(octaves):
        weight = 0.55**octave
        total += weight * _layer(rng, height, width, (cell[0] / 2**octave, cell[1] / 2**octave))
        power += weight * weight
    # Cubic interpolation of unit noise keeps about 0.7 of its deviation.
    return total / np.float32(0.7 * power**0.5)


def _layer(rng: np.random.Generator, height: int, width: int, cell: tuple[float, float]) -> Float:
    columns = int(np.ceil(width / max(cell[0], 1.0))) + 3
    rows = int(np.ceil(height / max(cell[1], 1.0))) + 3
    grid = rng.standard_normal((rows, columns), dtype=np.float32)
    # Affine sampling instead of resize: the cell keeps its size whatever the picture's.
    to_grid = np.array([[1 / max(cell[0], 1.0), 0, 1], [0, 1 / max(cell[1], 1.0), 1]], np.float64)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    layer = cv2.warpAffine(grid, to_grid, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(layer, np.float32)


def smoothstep(low: float, high: float, values: Float) -> Float:
    """0 below `low`, 1 above `high`, a smooth S between; same shape as `values`."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
