"""How much memory a decode takes, judged from the header; measured in docs/decoding.md."""

from holdcheck.formats.header import PhotoHeader

_MIB = 2**20
_FIXED_MIB = 12.0
"""Decoders' own tables and buffers, libraries loaded on first use, a band of rows."""
_BYTES_PER_PIXEL = {"WebP": 6.3, "HEIC": 5.3, "AVIF": 10.0}
_ANIMATED_WEBP = 16.5


def estimate_decode_mib(header: PhotoHeader, max_side: int) -> float:
    """Upper bound, within a third on what was measured, of what `image.decode` adds to RSS at its peak.

    Args:
        max_side: long side of the working copy, pixels.
    """
    pixels = header.width * header.height
    long_side = max(header.width, header.height)
    target = min(1.0, max_side / long_side) ** 2 * pixels
    shrink = max(1.0, long_side // max_side)
    if header.format == "JPEG":
        scale = max(s for s in (1, 2, 4, 8) if s <= shrink)
        decoded = pixels / scale**2 * 4 + (2 * header.samples if header.progressive else 0)
        return _FIXED_MIB + (decoded + _working(target)) / _MIB
    reduced = pixels / shrink**2 * 4
    return _FIXED_MIB + (pixels * _bytes_per_pixel(header) + reduced + _working(target)) / _MIB


def _working(target: float) -> float:
    """The resampled picture (4 bytes a pixel in Pillow), turned upright, and as an array."""
    return target * (4 + 4 + 3)


def _bytes_per_pixel(header: PhotoHeader) -> float:
    if header.format == "PNG":
        return 4.1 if header.channels > 1 else 2.1 if header.bits == 16 else 1.1
    if header.format == "WebP" and header.animated:
        return _ANIMATED_WEBP
    return _BYTES_PER_PIXEL[header.format] * (4 / 3 if header.alpha else 1)
