"""The decode of each format into a small RGB picture, still as the file stores it: not yet turned upright.

A JPEG is decoded at a reduced scale. The others can only be decoded whole: the result is then read in bands
that are turned into RGB and averaged down one at a time, so that no second full-size picture ever exists.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
from PIL import _avif as libavif

from holdcheck.formats import excerpt, profile
from holdcheck.formats.cost import BAND_PIXELS, halves
from holdcheck.formats.header import PhotoHeader

# The header was checked against MAX_IMAGE_MEGAPIXELS before; Pillow's own global limit would only surprise.
Image.MAX_IMAGE_PIXELS = None

_SIZE_TOLERANCE = 1.02
"""A crop in a HEIC or AVIF may round by a row."""
_BACKDROP = (128, 128, 128)
"""Behind transparent pixels: without hue, far from chalk-white and black, it reads as wall, not as hold."""

_Band = Callable[[int, int], Image.Image]
"""Rows top..bottom of a decoded picture, in RGB."""


@dataclass(frozen=True, slots=True)
class _Reduced:
    """A decoded picture, averaged down to less than twice the size that is wanted where it was larger."""

    picture: Image.Image
    span: tuple[float, float]
    """Columns and rows that stand for the photo: the last of them may be there in part."""
    profile: bytes | None = None


def decode(path: Path, header: PhotoHeader, max_side: int) -> Image.Image:
    """RGB picture in sRGB whose long side is at most `max_side`, in the file's own orientation.

    Raises:
        OSError, SyntaxError, ValueError, ...: whatever the decoder has to say about a damaged file.
    """
    # By now the full-size picture, where there was one, is freed: nothing here may hold on to it.
    reduced = _read(path, header, max_side)
    stored = (header.height, header.width) if header.orientation >= 5 else (header.width, header.height)
    target = _fit(stored, max_side)
    picture = reduced.picture
    if target != picture.size:
        picture = picture.resize(target, Image.Resampling.LANCZOS, (0, 0, *reduced.span))
    return profile.to_srgb(picture, reduced.profile)


def _read(path: Path, header: PhotoHeader, max_side: int) -> _Reduced:
    if header.format == "WebP":
        return _animated_webp(path, header, max_side) if header.animated else _webp(path, header, max_side)
    read = {"JPEG": _jpeg, "PNG": _png, "HEIC": _heic, "AVIF": _avif}[header.format]
    return read(path, header, max_side)


# The plugins by name: Image.open would try dozens of formats that are not accepted.


def _png(path: Path, header: PhotoHeader, max_side: int) -> _Reduced:
    with excerpt.opened(path, header.needed) as file, PngImagePlugin.PngImageFile(file) as picture:
        _check_size(picture.size, header)
        picture.load()
        return replace(_averaged_whole(picture, max_side), profile=picture.info.get("icc_profile"))


def _animated_webp(path: Path, header: PhotoHeader, max_side: int) -> _Reduced:
    with WebPImagePlugin.WebPImageFile(path) as picture:
        _check_size(picture.size, header)
        picture.load()
        return replace(_averaged_whole(picture, max_side), profile=_stored_profile(path, header))


def _jpeg(path: Path, header: PhotoHeader, max_side: int) -> _Reduced:
    # Not Image.open: it would read a phone's MPO as a sequence. The first image is a JPEG like any other.
    with excerpt.opened(path, header.needed) as file, JpegImagePlugin.JpegImageFile(file) as picture:
        _check_size(picture.size, header)
        drafted = picture.draft(None, _fit(picture.size, max_side))
        picture.load()
        span = drafted[1][2:] if drafted else picture.size
        # Pillow takes every CMYK for one of Adobe's, which are stored inverted, and say whose they are.
        inverted = picture.mode == "CMYK" and "adobe" not in picture.info
        inked = ImageChops.invert(picture) if inverted else picture
        return _Reduced(inked, span, picture.info.get("icc_profile"))


def _webp(path: Path, header: PhotoHeader, max_side: int) -> _Reduced:
    # Pillow's decoder keeps four copies of the canvas, 16 bytes a pixel; OpenCV's two of 3. Mapped, not read.
    data = np.memmap(path, dtype=np.uint8, mode="r")
    flags = cv2.IMREAD_REDUCED_COLOR_2 if halves(header, max_side) else cv2.IMREAD_UNCHANGED
    pixels: NDArray[Any] | None = cv2.imdecode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise ValueError("not decodable")
    height, width, channels = pixels.shape
    _check_size((width, height), header)
    order = [2, 1, 0, 3][:channels]
    mode = "RGBA" if channels == 4 else "RGB"
    reduced = _averaged(
        (width, height), lambda top, bottom: _from_array(pixels[top:bottom][..., order], mode), max_side
    )
    return replace(reduced, profile=_stored_profile(path, header))


def _stored_profile(path: Path, header: PhotoHeader) -> bytes | None:
    if header.profile_at is None:
        return None
    offset, length = header.profile_at
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def _heic(path: Path, header: PhotoHeader, max_side: int) -> _Reduced:
    import pi_heif  # 3 MiB, only for those who send it

    # Not pi_heif.HeifFile: it reads the EXIF of every image, too, and crashes on a damaged one.
    threads, to_8_bit, bgr, packed, hdr_to_16_bit, decoder, unlimited = 1, True, False, False, True, "", False
    images = pi_heif.heif._pi_heif.load_file(
        path.read_bytes(), threads, to_8_bit, bgr, packed, hdr_to_16_bit, decoder, unlimited
    )
    encoded = next(image for image in images if image is not None and image.primary)
    picture = pi_heif.heif.BaseImage(encoded)
    _check_size(picture.size, header)
    pixels: NDArray[np.uint8] = np.asarray(picture)
    mode, (width, height) = picture.mode, picture.size  # of the decoded picture: only now are they final
    _check_size((width, height), header)
    reduced = _averaged(
        (width, height), lambda top, bottom: _from_array(pixels[top:bottom, :width], mode), max_side
    )
    stored = encoded.color_profile or {}
    return replace(reduced, profile=stored["data"] if stored.get("type") in ("rICC", "prof") else None)


def _avif(path: Path, header: PhotoHeader, max_side: int) -> _Reduced:
    # Not AvifImageFile: it follows EXIF wherever that leads, and takes as many threads as there are cores,
    # each with memory of its own.
    codec, threads, first = "auto", 1, 0
    data = np.fromfile(path, np.uint8)
    data[8:12] = list(b"avif")  # the still picture, which was looked at, and not the first one of a track
    file = libavif.AvifDecoder(data, codec, threads)
    size, _, mode, stored_profile, *_ = file.get_info()
    _check_size(size, header)
    pixels = np.frombuffer(file.get_frame(first)[0], np.uint8).reshape(size[1], size[0], -1)
    reduced = _averaged(size, lambda top, bottom: _from_array(pixels[top:bottom], mode), max_side)
    return replace(reduced, profile=stored_profile)


def _from_array(rows: NDArray[Any], mode: str) -> Image.Image:
    return _to_rgb(Image.frombytes(mode, (rows.shape[1], rows.shape[0]), rows.tobytes()))


def _check_size(size: tuple[int, int], header: PhotoHeader) -> None:
    """Refuse to decode what turns out larger than the header said, on which every limit was judged."""
    if size[0] * size[1] > _SIZE_TOLERANCE * header.width * header.height:
        raise ValueError("larger than its header says")


def _averaged_whole(picture: Image.Image, max_side: int) -> _Reduced:
    width = picture.width
    if max(picture.size) < 2 * max_side and picture.mode == "RGB" and "transparency" not in picture.info:
        return _Reduced(picture, picture.size)
    return _averaged(
        picture.size, lambda top, bottom: _to_rgb(picture.crop((0, top, width, bottom))), max_side
    )


def _to_rgb(band: Image.Image) -> Image.Image:
    if band.mode.startswith("I"):  # 16-bit grey; Pillow itself would clip, not scale
        return Image.fromarray((np.asarray(band) >> 8).astype(np.uint8)).convert("RGB")
    if band.mode in ("LA", "RGBa") or "transparency" in band.info:
        band = band.convert("RGBA")
    if band.mode != "RGBA":
        return band.convert("RGB")
    opaque = Image.new("RGB", band.size, _BACKDROP)
    opaque.paste(band, mask=band.getchannel("A"))
    return opaque


def _averaged(size: tuple[int, int], band: _Band, max_side: int) -> _Reduced:
    """Average by a whole number in both directions, a band at a time."""
    width, height = size
    factor = max(1, max(size) // max_side)
    rows = max(1, BAND_PIXELS // (width * factor)) * factor
    reduced = Image.new("RGB", (math.ceil(width / factor), math.ceil(height / factor)))
    for top in range(0, height, rows):
        reduced.paste(band(top, min(height, top + rows)).reduce(factor), (0, top // factor))
    return _Reduced(reduced, (width / factor, height / factor))


def _fit(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    scale = min(1.0, max_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
