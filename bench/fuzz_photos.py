"""Whole photos of every accepted kind, to be damaged by `bench.mutate`: small, so that thousands decode
in a minute."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms, ImageDraw

_DATA = Path(__file__).parents[1] / "tests" / "data"
_COLOURS = [(200, 40, 40), (40, 180, 60), (50, 70, 200), (230, 200, 40), (25, 25, 25), (240, 240, 240)]
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def wall(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Holds of six colours on a wall."""
    picture = Image.new("RGB", (width, height), (128, 120, 100))
    draw = ImageDraw.Draw(picture)
    for number, colour in enumerate(_COLOURS):
        left, top = number * width // 7, number * height // 8
        draw.ellipse((left, top, left + width // 6, top + height // 5), fill=colour)
    if mode == "RGBA":
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture.convert(mode)


@cache
def srgb_profile() -> bytes:
    # Without its date: the same bytes every time.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + bytes(12) + profile[36:]


def exif(orientation: int = 6) -> bytes:
    block = Image.Exif()
    block[0x010F], block[0x0112] = "wall", orientation
    block.get_ifd(0x8769)[0x9003] = "2026:11:21 08:00:00"
    return block.tobytes()


def saved(kind: str, picture: Image.Image, **options: Any) -> Callable[[], bytes]:
    """What encodes the picture, when it is called."""

    def save() -> bytes:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        return file.getvalue()

    return save


def png(colour_type: int, bits: int, width: int, height: int, *, interlaced: bool = False) -> bytes:
    """A PNG of any colour type and depth, also those that Pillow cannot write."""
    passes = _ADAM7 if interlaced else [(0, 0, 1, 1)]
    rows = []
    for left, top, step_x, step_y in passes:
        columns = -(-(width - left) // step_x)
        for row in range(top, height, step_y):
            size = -(-columns * _PNG_CHANNELS[colour_type] * bits // 8)
            rows.append(bytes([row % 5]) + bytes((row * 7 + at) & 15 for at in range(size)))
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, interlaced)
    palette = [(b"PLTE", bytes(range(256)) * 3)] if colour_type == 3 else []
    chunks = [(b"IHDR", header), *palette, (b"IDAT", zlib.compress(b"".join(rows), 1)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, data) for kind, data in chunks)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _jpegs() -> dict[str, Callable[[], bytes]]:
    small, grey, inked = wall(320, 240), wall(200, 300, "L"), wall(160, 200, "CMYK")
    return {
        "jpeg-baseline": saved("JPEG", small, exif=exif(), icc_profile=srgb_profile()),
        "jpeg-444": saved("JPEG", wall(96, 130), subsampling=0, comment=b"wall"),
        "jpeg-large": saved("JPEG", wall(2400, 1800), quality=60, exif=exif(8)),
        "jpeg-restarts": saved("JPEG", small, restart_marker_blocks=2),
        "jpeg-progressive": saved("JPEG", wall(400, 300), progressive=True, exif=exif(3)),
        "jpeg-progressive-444": saved("JPEG", small, progressive=True, subsampling=0),
        "jpeg-progressive-large": saved("JPEG", wall(1900, 1400), progressive=True),
        "jpeg-grey": saved("JPEG", grey),
        "jpeg-grey-progressive": saved("JPEG", grey, progressive=True),
        "jpeg-cmyk": saved("JPEG", inked),
        "jpeg-cmyk-progressive": saved("JPEG", inked, progressive=True),
        "jpeg-mpo": saved("MPO", small, save_all=True, append_images=[wall(96, 96)]),
    }


def _pngs() -> dict[str, Callable[[], bytes]]:
    kinds = [(0, 1), (0, 8), (0, 16), (2, 8), (2, 16), (3, 4), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16)]
    made: dict[str, Callable[[], bytes]] = {}
    for colour_type, bits in kinds:
        for interlaced in (False, True):
            name = f"png-{colour_type}-{bits}{'-interlaced' * interlaced}"
            made[name] = lambda c=colour_type, b=bits, i=interlaced: png(c, b, 100, 80, interlaced=i)  # type: ignore[misc]
    small = wall(300, 200)
    made["png-photo"] = saved("PNG", small, exif=exif(), icc_profile=srgb_profile())
    made["png-large"] = saved("PNG", wall(2000, 1500), compress_level=1)
    made["apng"] = saved("PNG", small, save_all=True, append_images=[small.rotate(9), small.rotate(90)])
    return made


def _webps() -> dict[str, Callable[[], bytes]]:
    small, clear = wall(300, 220), wall(220, 180, "RGBA")
    return {
        "webp-lossy": saved("WebP", small),
        "webp-lossless": saved("WebP", wall(160, 120), lossless=True),
        "webp-lossless-alpha": saved("WebP", clear, lossless=True),
        "webp-alpha": saved("WebP", clear),
        "webp-extended": saved("WebP", small, exif=exif(), icc_profile=srgb_profile()),
        "webp-animated": saved(
            "WebP", small, save_all=True, append_images=[small.rotate(9), small.rotate(5)]
        ),
        "webp-animated-alpha": saved("WebP", clear, save_all=True, append_images=[clear.rotate(9)]),
        "webp-large": saved("WebP", wall(3300, 1200), method=0),
    }


def _avifs() -> dict[str, Callable[[], bytes]]:
    small, quick = wall(200, 160), {"speed": 10, "max_threads": 1}
    grain = {"advanced": {"film-grain-test": "5"}, "codec": "aom"}
    return {
        "avif": saved("AVIF", small, **quick),
        "avif-photo": saved("AVIF", small, exif=exif(), icc_profile=srgb_profile(), **quick),
        "avif-444": saved("AVIF", small, subsampling="4:4:4", **quick),
        "avif-grey": saved("AVIF", wall(96, 120, "L"), **quick),
        "avif-alpha": saved("AVIF", wall(160, 120, "RGBA"), **quick),
        "avif-tiles": saved("AVIF", wall(600, 500), tile_rows=1, tile_cols=1, autotiling=False, **quick),
        "avif-grain": saved("AVIF", small, **grain, **quick),
        "avif-sequence": saved("AVIF", small, save_all=True, append_images=[small.rotate(9)] * 3, **quick),
    }


def _heics() -> dict[str, Callable[[], bytes]]:
    files = [*sorted(_DATA.glob("*.heic")), *sorted((_DATA / "heic").glob("*.heic"))]
    return {f"heic-{path.stem}": path.read_bytes for path in files if path.stem != "huge"}


FORMATS: dict[str, Callable[[], dict[str, Callable[[], bytes]]]] = {
    "JPEG": _jpegs,
    "PNG": _pngs,
    "WebP": _webps,
    "AVIF": _avifs,
    "HEIC": _heics,
}


@cache
def photos(kind: str) -> dict[str, bytes]:
    """Name -> file, of one format of FORMATS."""
    return {name: make() for name, make in FORMATS[kind]().items()}


@cache
def huge_heic() -> bytes:
    """8192 x 8192 grey pixels in 15 KB."""
    return (_DATA / "heic" / "huge.heic").read_bytes()
