"""The phone: hall light, white balance, lens blur, noise, sharpening and JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.walls.light import Lighting
from training.walls.noise import Float
from training.walls.spec import WallSpec

Image = NDArray[np.uint8]

#: Rows worked on at a time: a 12 MP picture in floats would be 144 MB, a band is 12.
_BAND = 256


@dataclass(frozen=True)
class Sensor:
    """How well the phone sees.

    Attributes:
        blur: Gaussian sigma, pixels of a picture 1000 px long.
        noise: standard deviation of a mid grey, 0..255.
        sharpen: strength of the halo that phones add.
        jpeg: quality 1..100; None: no compression at all.
    """

    blur: float
    noise: float
    sharpen: float
    jpeg: int | None


def choose(spec: WallSpec, rng: np.random.Generator) -> Sensor:
    """A phone of the quality that the spec asks for."""
    if spec.quality == "clean":
        return Sensor(0.0, 0.0, 0.0, None)
    if spec.quality == "phone":
        return Sensor(
            rng.uniform(0.3, 0.7), rng.uniform(0.8, 3.0), rng.uniform(0, 0.5), int(rng.integers(82, 95))
        )
    return Sensor(rng.uniform(0.8, 1.7), rng.uniform(3, 8), rng.uniform(0, 0.6), int(rng.integers(45, 75)))


def expose(canvas: Image, lighting: Lighting, sensor: Sensor, rng: np.random.Generator) -> Image:
    """The photo (uint8 RGB, height x width x 3) of an evenly lit canvas of the same size; geometry stays."""
    height, width = canvas.shape[:2]
    if sensor.blur > 0:
        canvas = _lens(canvas, sensor)
    small = lighting.field(96, 128)
    field = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    for top in range(0, height, _BAND):
        part = canvas[top : top + _BAND]
        part[:] = _develop(part, field[top : top + _BAND], lighting, sensor, rng)
    return canvas if sensor.jpeg is None else _jpeg(canvas, sensor.jpeg)


def _lens(canvas: Image, sensor: Sensor) -> Image:
    sigma = max(0.3, sensor.blur * max(canvas.shape[:2]) / 1000)
    blurred = cv2.GaussianBlur(canvas, (0, 0), sigma)
    if sensor.sharpen > 0:
        veil = cv2.GaussianBlur(blurred, (0, 0), 2 * sigma)
        blurred = cv2.addWeighted(blurred, 1 + sensor.sharpen, veil, -sensor.sharpen, 0)
    return np.asarray(blurred, np.uint8)


def _develop(
    part: Image, field: Float, lighting: Lighting, sensor: Sensor, rng: np.random.Generator
) -> Image:
    """Light, cast and noise on one band of rows."""
    gain = np.asarray(lighting.balance, np.float32)
    rgb = part.astype(np.float32) * (field ** np.float32(1 / 2.2))[..., None] * gain
    rgb = rgb * (1 - lighting.haze) + 235 * lighting.haze
    rgb = _shoulder(rgb)
    if sensor.noise > 0:
        rgb += _noise(rgb, sensor.noise, rng)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def _shoulder(rgb: Float) -> Float:
    """Highlights roll off from 215 up instead of clipping: an exponential knee towards 255."""
    over = np.maximum(rgb - 215, 0)
    return np.asarray(np.minimum(rgb, 215) + 40 * (1 - np.exp(-over / 40)), np.float32)


def _noise(rgb: Float, strength: float, rng: np.random.Generator) -> Float:
    """Photon noise grows with the root of the light; colour noise is coarser, as demosaicing leaves it."""
    height, width = rgb.shape[:2]
    luma = rng.standard_normal((height, width), dtype=np.float32)
    chroma = rng.standard_normal((height // 2 + 1, width // 2 + 1, 3), dtype=np.float32)
    chroma = np.asarray(cv2.resize(chroma, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    level = np.sqrt(np.clip(rgb.mean(axis=2), 12, 255) / 128) * np.float32(strength)
    return np.asarray((luma[..., None] * 0.8 + chroma * 0.6) * level[..., None], np.float32)


def _jpeg(canvas: Image, quality: int) -> Image:
    encoded, data = cv2.imencode(".jpg", canvas[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise RuntimeError("JPEG encoding failed")
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])
