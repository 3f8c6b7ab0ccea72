"""Value noise: the randomness of wood, chalk and paint."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]


def value_noise(
    rng: np.random.Generator, shape: tuple[int, ...], cell: tuple[float, float], octaves: int = 1
) -> Float:
    """Smooth noise of mean 0 and standard deviation about 1.

    Args:
        rng: source of randomness; each octave draws from it.
        shape: rows and columns of the answer.
        cell: size (x, y) in pixels of the coarsest bumps; unequal sides give streaks.
        octaves: how many times the bumps are halved and added at 0.55 of the strength before.

    Returns:
        float32 array of that shape.
    """
    height, width = shape
    shrink = int(min(cell) / 2 ** (octaves - 1) / 5)
    if shrink > 1:
        # Bumps this wide need no more than five samples each; the rest is interpolation.
        coarse = (height // shrink + 2, width // shrink + 2)
        small = value_noise(rng, coarse, (cell[0] / shrink, cell[1] / shrink), octaves)
        wide = cv2.resize(small, (small.shape[1] * shrink, small.shape[0] * shrink))
        return np.ascontiguousarray(wide[:height, :width], np.float32)
    total = np.zeros((height, width), np.float32)
    power = 0.0
    for octave in range(octaves):
        weight = 0.55**octave
        total += weight * _layer(rng, height, width, (cell[0] / 2**octave, cell[1] / 2**octave))
        power += weight * weight
    # Cubic interpolation of unit noise keeps about 0.7 of its deviation.
    return total / np.float32(0.7 * power**0.5)


def _layer(rng: np.random.Generator, height: int, width: int, cell: tuple[float, float]) -> Float:
    across, down = max(cell[0], 1.0), max(cell[1], 1.0)
    # Turned at random, or the grid shows as squares; streaks keep their direction.
    streaky = max(across, down) > 1.6 * min(across, down)
    angle = 0.0 if streaky else float(rng.uniform(0, np.pi / 2))
    cos, sin = np.cos(angle), np.sin(angle)
    rows = int(np.ceil((height * cos + width * sin) / down)) + 3
    columns = int(np.ceil((width * cos + height * sin) / across)) + 3
    grid = rng.standard_normal((rows, columns), dtype=np.float32)
    to_grid = np.array(
        [[cos / across, sin / across, 1], [-sin / down, cos / down, 1 + width * sin / down]], np.float64
    )
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    layer = cv2.warpAffine(grid, to_grid, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(layer, np.float32)


def smoothstep(low: float, high: float, values: Float) -> Float:
    """0 below `low`, 1 above `high`, a smooth S between; same shape as `values`."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
