"""From a photo's bytes to upright RGB pixels: sniffed, limited, decoded at a reduced scale."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from holdcheck import memory
from holdcheck.errors import (
    CorruptPhoto,
    EmptyPhoto,
    PhotoError,
    PhotoNeedsTooMuchMemory,
    PhotoTooManyPixels,
    PhotoTooSmall,
    TruncatedPhoto,
)
from holdcheck.formats import decoder, isobmff, jpeg, png, webp
from holdcheck.formats.cost import estimate_decode_mib
from holdcheck.formats.header import PhotoHeader
from holdcheck.formats.sniff import SNIFFED_BYTES, sniff

__all__ = ["PhotoHeader", "WallImage", "decode", "estimate_decode_mib", "probe"]

MIN_SIDE = 64
"""Pixels below which no hold can be told on a wall; the detector would invent some."""
MAX_SIDE = 65_535
"""What a JPEG can have at most; others can say billions."""
_BAND_ROWS = 128
SLACK_MIB = 32
"""What a decode may reserve beyond its estimate where so much is there: threads that start meanwhile reserve
stacks, and some of what decoders reserve they never touch. A file that lies can take it."""
_LEAST_SLACK_MIB = 8
_COPY_QUALITY = 90
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what turns the stored picture upright (EXIF 2.32, section 4.6.4)."""


@dataclass(frozen=True, slots=True)
class WallImage:
    """The working copy of a photo, upright."""

    pixels: NDArray[np.uint8]
    """RGB (H, W, 3)."""
    original_width: int
    """Pixels of the upright original photo, in which every answer is given."""
    original_height: int


def probe(path: Path, max_megapixels: float) -> PhotoHeader:
    """Read what the file says about itself: its format by its content, its size, whether it is all there.

    No pixel is decoded and the file is never held in memory. A photo that passes may still turn out damaged
    when it is decoded.

    Raises:
        EmptyPhoto, UnsupportedPhoto, TruncatedPhoto, CorruptPhoto: what the file is instead of a photo.
        PhotoTooSmall: less than MIN_SIDE on a side.
        PhotoTooManyPixels: more than `max_megapixels`, or than MAX_SIDE on a side.
    """
    with path.open("rb") as file:
        start = file.read(SNIFFED_BYTES)
        if not start:
            raise EmptyPhoto("The photo is empty: no bytes came.")
        kind = sniff(start)
        if kind == "HEIC" or kind == "AVIF":
            header = isobmff.read_header(file, kind)
        else:
            header = {"JPEG": jpeg, "PNG": png, "WebP": webp}[kind].read_header(file)
    if min(header.width, header.height) < MIN_SIDE:
        raise PhotoTooSmall(
            f"The photo has {header.width} x {header.height} pixels; "
            f"at least {MIN_SIDE} on each side are needed."
        )
    if max(header.width, header.height) > MAX_SIDE:
        raise PhotoTooManyPixels(
            f"The photo has {header.width} x {header.height} pixels; at most {MAX_SIDE} on a side are taken."
        )
    if header.megapixels > max_megapixels:
        raise PhotoTooManyPixels(
            f"The photo has {header.width} x {header.height} pixels, {header.megapixels:.0f} megapixels; "
            f"at most {max_megapixels:g} are accepted. Send it smaller."
        )
    return header


def decode(path: Path, max_side: int, max_megapixels: float, available_mib: float | None = None) -> WallImage:
    """Decode a photo upright, in sRGB, no larger than `max_side` on its long side.

    A smaller photo keeps its size. The first frame of an animation, the first image of a sequence.

    Args:
        available_mib: memory that the decode may take; None for no limit.

    Raises:
        PhotoNeedsTooMuchMemory: `estimate_decode_mib` is more than is available.
        PhotoError: as `probe`, or what the decoder found.
    """
    header = probe(path, max_megapixels)
    needed = estimate_decode_mib(header, max_side)
    if available_mib is not None and needed > available_mib:
        raise PhotoNeedsTooMuchMemory(_too_much(header, needed, available_mib))
    try:
        with memory.at_most(_allowed_mib(needed, available_mib)):
            picture = decoder.decode(path, header, max_side)
            if header.orientation in _UPRIGHT:
                picture = picture.transpose(_UPRIGHT[header.orientation])
    except PhotoError:
        raise
    except MemoryError:
        raise PhotoNeedsTooMuchMemory(_too_much(header, needed, available_mib)) from None
    except Exception as error:  # decoders raise whatever comes up inside them
        raise _explain(error, header) from error
    return WallImage(_to_array(picture), header.width, header.height)


def _allowed_mib(needed: float, available: float | None) -> float:
    """Where a file lies about itself, its decoder is to fail, and not the server."""
    most = needed + SLACK_MIB
    return most if available is None else max(needed + _LEAST_SLACK_MIB, min(most, available))


def save_copy(wall: WallImage, target: Path) -> None:
    """Write the working copy as a JPEG that only its owner can read, without any of the photo's metadata.

    Raises:
        OSError: the disk does not take it.
    """
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        Image.fromarray(wall.pixels).save(file, "JPEG", quality=_COPY_QUALITY)


def _to_array(picture: Image.Image) -> NDArray[np.uint8]:
    # np.asarray(picture) would copy it three times.
    pixels = np.empty((picture.height, picture.width, 3), np.uint8)
    for top in range(0, picture.height, _BAND_ROWS):
        bottom = min(picture.height, top + _BAND_ROWS)
        pixels[top:bottom] = np.asarray(picture.crop((0, top, picture.width, bottom)))
    return pixels


def _too_much(header: PhotoHeader, needed: float, available: float | None) -> str:
    left = "" if available is None else f" and {available:.0f} are left"
    kind = "progressive JPEG" if header.progressive else header.format
    return (
        f"Decoding this {kind} of {header.megapixels:.0f} megapixels needs {needed:.0f} MiB of memory{left}. "
        "Send it smaller, or as a baseline JPEG."
    )


def _explain(error: Exception, header: PhotoHeader) -> PhotoError:
    text = str(error).lower()
    if isinstance(error, EOFError) or "truncated" in text or "end of file" in text:
        return TruncatedPhoto(f"This {header.format} file ends before its picture does; send the whole file.")
    return CorruptPhoto(f"This {header.format} file is damaged: its picture cannot be decoded.")
