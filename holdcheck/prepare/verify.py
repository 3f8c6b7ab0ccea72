"""Comparing an artefact with the torch tower that it was made from."""

import cv2
import numpy as np
from numpy.typing import NDArray

from holdcheck.manifest import Cosine

LEAST_MEAN_COSINE = 0.98
_SEED = 7
_COUNT = 16


def sample_crops(side: int) -> NDArray[np.uint8]:
    """Seeded drawings of what a classifier gets: one shaded blob of some colour on a wall -> (16, S, S, 3).

    Drawn, since noise looks like nothing to a CLIP: its embeddings of noise are all alike.
    """
    random = np.random.default_rng(_SEED)
    return np.stack([_crop(random, side) for _ in range(_COUNT)])


def cosine(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> Cosine:
    """Agreement of unit rows (N, D) with unit rows (N, D)."""
    values = np.sum(expected.astype(np.float64) * actual, axis=1)
    return Cosine(mean=float(values.mean()), minimum=float(values.min()), images=len(values))


def _crop(random: np.random.Generator, side: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[0:side, 0:side] / side
    wall = random.uniform(60, 220) * np.array([1.0, *random.uniform(0.8, 1.05, 2)])
    tilt = random.uniform(-40, 40, 2)
    picture = wall + (rows * tilt[0] + columns * tilt[1])[..., None]
    angle = np.arctan2(rows - 0.5, columns - 0.5)
    radius = np.hypot(rows - 0.5, columns - 0.5)
    outline = random.uniform(0.22, 0.4)
    for lobes in (2, 3, 5):
        outline = outline + random.uniform(0, 0.05) * np.cos(lobes * angle + random.uniform(0, 6.3))
    inside = radius < outline
    light = 1 - 0.5 * (rows + columns - 1) - 0.6 * (radius / outline) ** 2 * inside
    picture = np.where(inside[..., None], random.uniform(20, 240, 3) * light[..., None], picture)
    picture[radius < 0.04] *= 0.3  # its bolt
    picture = cv2.GaussianBlur(picture, (0, 0), max(0.5, side / 224 * random.uniform(0.5, 2.5)))
    noisy = np.asarray(picture) + random.normal(0, 6, picture.shape)
    return np.asarray(np.clip(noisy, 0, 255), dtype=np.uint8)
