"""PNG (ISO/IEC 15948): its chunks from IHDR to IEND."""

import io
import struct
from typing import BinaryIO

from holdcheck.errors import CorruptPhoto
from holdcheck.formats import exif
from holdcheck.formats.header import MAX_BLOCKS, PhotoHeader, take, truncated

_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_CHANNELS = {_GREY: 1, _RGB: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGB_ALPHA: 4}
_MAX_EXIF = 2**20
_NEEDED = {b"PLTE": 768, b"tRNS": 256, b"iCCP": 2**20, b"IDAT": 2**32}
"""Chunks that a decoder makes use of, and how long each may be."""


def read_header(file: BinaryIO) -> PhotoHeader:
    """Walk the chunks; the picture's data is skipped, not read.

    Raises:
        TruncatedPhoto: a chunk or IEND is missing. CorruptPhoto: no sensible header, or no picture.
    """
    end = file.seek(0, io.SEEK_END)
    file.seek(8)  # the signature
    length, kind = struct.unpack(">I4s", take(file, 8, "PNG"))
    if kind != b"IHDR" or length != 13:
        raise CorruptPhoto("This PNG file has no header.")
    width, height, bits, colour = struct.unpack_from(">IIBB", take(file, 17, "PNG"))
    if not (width and height) or colour not in _CHANNELS:
        raise CorruptPhoto("This PNG file has a damaged header.")
    seen, orientation, needed = _walk(file, end)
    if b"IDAT" not in seen:
        raise CorruptPhoto("This PNG file has no picture in it.")
    upright = (height, width) if orientation >= 5 else (width, height)
    alpha = colour in (_GREY_ALPHA, _RGB_ALPHA) or b"tRNS" in seen
    return PhotoHeader(
        "PNG",
        *upright,
        orientation,
        channels=_CHANNELS[colour],
        bits=bits,
        alpha=alpha,
        needed=tuple(needed),
    )


def _walk(file: BinaryIO, end: int) -> tuple[set[bytes], int, list[tuple[int, int]]]:
    """The kinds of the chunks up to IEND, the orientation, and where lies what the decoder needs: no texts,
    which unpack to many MiB, and no frames but the one that everybody shows."""
    seen: set[bytes] = set()
    orientation, needed = 1, [(0, file.tell())]
    for _ in range(MAX_BLOCKS):
        length, kind = struct.unpack(">I4s", take(file, 8, "PNG"))
        if file.tell() + length + 4 > end:
            raise truncated("PNG")
        after = file.tell() + length + 4
        if kind == b"IEND":
            return seen, orientation, [*needed, (after - 12 - length, after)]
        if length <= _NEEDED.get(kind, -1) and (kind == b"IDAT" or kind not in seen):
            needed = _with(needed, after - 12 - length, after)
        seen.add(kind)
        if kind == b"eXIf" and length <= _MAX_EXIF:
            orientation = exif.orientation(take(file, length, "PNG"))
        file.seek(after)
    raise CorruptPhoto("This PNG file has more chunks than any photo.")


def _with(stretches: list[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """One more; an encoder may cut its data into thousands of chunks, all in a row."""
    if stretches[-1][1] == start:
        stretches[-1] = (stretches[-1][0], end)
    else:
        stretches.append((start, end))
    return stretches
