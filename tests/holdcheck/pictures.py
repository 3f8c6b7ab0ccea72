"""Photos of every kind, made on the spot."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from holdcheck import image

DATA = Path(__file__).parent.parent / "data"


ORIENTATION = 0x0112


RED, GREEN, BLUE, YELLOW = (200, 40, 40), (40, 180, 60), (50, 70, 200), (230, 200, 40)


STORED_FOR = {  # how an upright picture lies in a file of each EXIF orientation
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def quarters(width: int = 160, height: int = 120) -> Image.Image:
    """Four quarters of four colours: any wrong turn or mirroring shows."""
    picture = Image.new("RGB", (width, height), RED)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((width // 2, 0, width, height // 2 - 1), GREEN)
    draw.rectangle((0, height // 2, width // 2 - 1, height), BLUE)
    draw.rectangle((width // 2, height // 2, width, height), YELLOW)
    return picture


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def lying(orientation: int, kind: str, **options: object) -> bytes:
    """The quarters, stored turned, with the EXIF orientation that turns them back."""
    turn = STORED_FOR[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    picture = quarters() if turn is None else quarters().transpose(turn)
    return encoded(picture, kind, exif=exif.tobytes(), **options)


def decode(photo: Path, max_side: int = 1600, **options: float) -> image.WallImage:
    return image.decode(photo, max_side, 120, **options)


def centres(wall: image.WallImage) -> NDArray[np.int64]:
    """The colours in the middles of the four quarters."""
    height, width = wall.pixels.shape[:2]
    rows, columns = [height // 4, height // 4, 3 * height // 4, 3 * height // 4], [width // 4, 3 * width // 4]
    return wall.pixels[rows, columns * 2].astype(np.int64)


def assert_quarters(wall: image.WallImage, tolerance: int = 12) -> None:
    assert wall.pixels.dtype == np.uint8
    assert np.abs(centres(wall) - [RED, GREEN, BLUE, YELLOW]).max() <= tolerance


Write = Callable[[bytes], Path]


def png(colour_type: int, bits: int, rows: NDArray[np.uint16], cut: int = 0) -> bytes:
    """A PNG of a kind that Pillow cannot write; rows (H, W * channels). Its data may lose its last bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = rows.shape[0], rows.shape[1] // {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    data = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows)
    packed = zlib.compress(data)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", packed[: len(packed) - cut]), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep(picture: Image.Image) -> NDArray[np.uint16]:
    values = np.asarray(picture).astype(np.uint16) * 257
    return values.reshape(values.shape[0], -1)
