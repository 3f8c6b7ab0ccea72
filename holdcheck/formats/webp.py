"""WebP (RFC 9649): the chunks of its RIFF container."""

import io
import struct
from dataclasses import replace
from typing import BinaryIO

from holdcheck.errors import CorruptPhoto
from holdcheck.formats import exif
from holdcheck.formats.header import MAX_PROFILE, PhotoHeader, take, truncated

_ANIMATION, _ALPHA = 0x02, 0x10
_MAX_EXIF = 2**20
_MAX_CHUNKS = 4096
"""Most are frames of an animation, and libwebp notes down all of them to show the first."""


def read_header(file: BinaryIO) -> PhotoHeader:
    """Walk the chunks; the picture's data is skipped, not read.

    Raises:
        TruncatedPhoto: the file is shorter than RIFF says. CorruptPhoto: no sensible header.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(4)
    (length,) = struct.unpack("<I", take(file, 4, "WebP"))
    end = 8 + length
    if end > size:
        raise truncated("WebP")
    file.seek(12)
    header: PhotoHeader | None = None
    chunks = 0
    while file.tell() + 8 <= end:
        chunks += 1
        if chunks > _MAX_CHUNKS:
            raise CorruptPhoto("This WebP file has more chunks than any photo.")
        kind, length = struct.unpack("<4sI", take(file, 8, "WebP"))
        start = file.tell()
        if start + length > end:
            raise truncated("WebP")
        header = _add(header, kind, file, length)
        file.seek(start + length + length % 2)
    if header is None:
        raise CorruptPhoto("This WebP file has no picture in it.")
    return replace(header, held_bytes=2 * size)  # mapped, and what OpenCV or Pillow copies


def _add(header: PhotoHeader | None, kind: bytes, file: BinaryIO, length: int) -> PhotoHeader | None:
    """What is known after one more chunk. The first that gives a size decides it."""
    if header is None:
        read = {b"VP8X": _extended, b"VP8 ": _lossy, b"VP8L": _lossless}.get(kind)
        return read(file.read(min(length, 10))) if read else None
    if kind == b"EXIF" and length <= _MAX_EXIF:
        orientation = exif.orientation(file.read(length))
        upright = (header.height, header.width) if orientation >= 5 else (header.width, header.height)
        return replace(header, width=upright[0], height=upright[1], orientation=orientation)
    if kind == b"ALPH" or (kind == b"VP8L" and _lossless(file.read(min(length, 10))).alpha):
        return replace(header, channels=4, alpha=True)  # whatever VP8X said of it
    if kind == b"ICCP" and length <= MAX_PROFILE:
        return replace(header, profile_at=(file.tell(), length))
    return header


def _extended(data: bytes) -> PhotoHeader:
    if len(data) < 10:
        raise CorruptPhoto("This WebP file has a damaged header.")
    width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (4, 7))
    alpha = bool(data[0] & _ALPHA)
    return PhotoHeader(
        "WebP", width, height, channels=3 + alpha, alpha=alpha, animated=bool(data[0] & _ANIMATION)
    )


def _lossy(data: bytes) -> PhotoHeader:
    if len(data) < 10 or data[3:6] != b"\x9d\x01\x2a":
        raise CorruptPhoto("This WebP file has a damaged header.")
    width, height = (size & 0x3FFF for size in struct.unpack_from("<HH", data, 6))
    if not (width and height):
        raise CorruptPhoto("This WebP file has a damaged header.")
    return PhotoHeader("WebP", width, height)


def _lossless(data: bytes) -> PhotoHeader:
    if len(data) < 5 or data[0] != 0x2F:
        raise CorruptPhoto("This WebP file has a damaged header.")
    (fields,) = struct.unpack_from("<I", data, 1)
    alpha = bool(fields >> 28 & 1)
    return PhotoHeader(
        "WebP", (fields & 0x3FFF) + 1, (fields >> 14 & 0x3FFF) + 1, channels=3 + alpha, alpha=alpha
    )
