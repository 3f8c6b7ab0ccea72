"""How much memory a decode takes, judged from the header; measured in docs/decoding.md.

It imports no decoder: whoever judges a container has not the memory of one to spare.
"""

import math

from holdcheck.formats.header import PhotoHeader

BAND_PIXELS = 500_000
"""In the rows that are averaged at once; in more where fewer rows would not make one."""
_MIB = 2**20
_MARGIN = 1.05
_FIXED_MIB = 7.0
"""Decoders' own tables and buffers and a band of rows."""
_LIBRARY_MIB = 4.0
"""libheif and its HEVC decoder, loaded with the first HEIC."""


def halves(header: PhotoHeader, max_side: int) -> bool:
    """Whether a WebP is handed over at half its size; OpenCV can do that for opaque ones."""
    return not header.alpha and max(header.width, header.height) >= 2 * max_side


def estimate_decode_mib(header: PhotoHeader, max_side: int) -> float:
    """Upper bound, within about 30% on what was measured, of what `image.decode` adds to RSS at its peak.

    Args:
        max_side: long side of the working copy, pixels.

    Returns:
        MiB.
    """
    pixels = header.width * header.height
    long_side = max(header.width, header.height)
    target = min(1.0, max_side / long_side) ** 2 * pixels
    shrink = max(1, long_side // max_side)
    if header.format == "JPEG":
        shrink = max(scale for scale in (1, 2, 4, 8) if scale <= shrink)
    reduced = pixels / shrink**2
    decoding = _decoding(header, max_side, reduced) + (
        0 if header.format == "JPEG" else _band(header, shrink)
    )
    peak = max(decoding, _resampling(reduced, target), _finishing(header, target))
    fixed = _FIXED_MIB + (_LIBRARY_MIB if header.format == "HEIC" else 0)
    return fixed + _MARGIN * (header.held_bytes + peak) / _MIB


def _decoding(header: PhotoHeader, max_side: int, reduced: float) -> float:
    """Bytes while the decoder runs, and while its whole picture is averaged into the reduced one."""
    pixels = header.width * header.height
    pillow = 1 if header.channels == 1 and header.bits <= 8 else 2 if header.channels == 1 else 4
    match header.format:
        case "JPEG":  # coefficients are 16-bit
            return pillow * reduced + (2 * header.samples if header.progressive else 0)
        case "PNG":
            return pillow * pixels + (4 * reduced if reduced < pixels or pillow != 4 or header.alpha else 0)
        case "HEIC":  # planes, then RGB
            planes = 1.5 if header.bits > 8 else 0
            return max((1.65 * header.channels + planes) * pixels, header.channels * pixels + 4 * reduced)
        case "AVIF":
            return max(pixels * header.channels * 3.15, 4 * pixels + 4 * reduced)
        case "WebP":
            if header.animated:
                return 16.1 * pixels + 4 * reduced
            if halves(header, max_side):
                return max(3.9 * pixels, 0.75 * pixels + 4 * reduced)
            return max(2.07 * header.channels * pixels, header.channels * pixels + 4 * reduced)


def _band(header: PhotoHeader, shrink: int) -> float:
    """Bytes of a band of rows, beyond what is among the fixed ones: a very wide picture has few, but long."""
    width = header.height if header.orientation >= 5 else header.width
    return 12 * max(0, width * shrink - BAND_PIXELS)


def _resampling(reduced: float, target: float) -> float:
    """Bytes while one picture is resampled into another; columns go first, by way of a third."""
    return 0 if math.isclose(reduced, target) else 4 * (reduced + math.sqrt(reduced * target) + target)


def _finishing(header: PhotoHeader, target: float) -> float:
    """Bytes while the small picture changes its colour space, is turned upright, and becomes an array."""
    return target * (4 + 4 + 3 if header.orientation > 1 else 4 + 4)
