"""Photos, and files that only look like ones."""

import io
from functools import cache

import numpy as np
from PIL import Image

from training.walls import WallSpec, render


def wall(width: int = 1200, height: int = 900, seed: int = 1) -> bytes:
    """A drawn wall as a phone would send it."""
    return jpeg(Image.fromarray(render(WallSpec(width, height, seed)).pixels))


def jpeg(image: Image.Image) -> bytes:
    return _encoded(image, "JPEG", quality=90)


@cache
def png(width: int, height: int, mode: str = "L") -> bytes:
    """One colour: many pixels in few bytes."""
    return _encoded(Image.new(mode, (width, height)), "PNG")


def gif() -> bytes:
    return _encoded(Image.new("P", (64, 64)), "GIF")


def noise(width: int, height: int) -> bytes:
    """A photo that hardly compresses."""
    pixels = np.random.default_rng(1).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return jpeg(Image.fromarray(pixels))


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
