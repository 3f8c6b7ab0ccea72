"""The colour of a photo's light, estimated from the whole photo.

Each estimate is a Minkowski mean of linear RGB or of its derivative, in the common framework of van de
Weijer, Gevers & Gijsenij (2007). Tried as features for naming colours; docs/colour.md tells what they gain.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

METHODS = ("grey world", "shades of grey", "white patch", "grey edge")
_SIDE = 48
_GAMMA = 2.2
_LEAST = 1e-4

Floats = NDArray[np.float32]


def thumbnail(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB (H, W, 3) to one of 48 px on the long side: enough for a mean, and 0.1 ms."""
    height, width = photo.shape[:2]
    scale = _SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def estimates(small: NDArray[np.uint8]) -> Floats:
    """RGB (H, W, 3) to (4, 3): the light's linear RGB by each of METHODS.

    Grey world (Buchsbaum 1980): the mean. Shades of grey (Finlayson & Trezzi 2004): the Minkowski mean with
    p = 6. White patch (Land 1977): a high percentile. Grey edge (van de Weijer et al. 2007): the Minkowski
    mean of the gradient with p = 5.
    """
    linear = (small.astype(np.float32) / 255) ** _GAMMA
    smooth = cv2.GaussianBlur(linear, (0, 0), 1)
    slope = np.hypot(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1)).reshape(-1, 3)
    pixels = linear.reshape(-1, 3)
    found = [
        pixels.mean(axis=0),
        (pixels**6).mean(axis=0) ** (1 / 6),
        np.percentile(pixels, 97, axis=0),
        (slope**5).mean(axis=0) ** (1 / 5),
    ]
    return np.asarray(np.maximum(np.stack(found), _LEAST), dtype=np.float32)


def corrected(lab: Floats, light: Floats) -> Floats:
    """L*a*b* (N, 3) as under grey light of the same strength: von Kries on linear RGB; `light` is (N, 3)."""
    rgb = np.clip(cv2.cvtColor(lab.reshape(-1, 1, 3), cv2.COLOR_Lab2RGB).reshape(-1, 3), 1e-3, 1)
    linear = rgb**_GAMMA * light.mean(axis=1, keepdims=True) / light
    back = (np.clip(linear, 0, 1.5) ** (1 / _GAMMA)).astype(np.float32)
    return np.asarray(cv2.cvtColor(back.reshape(-1, 1, 3), cv2.COLOR_RGB2Lab).reshape(-1, 3), np.float32)
