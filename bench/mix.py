"""The photos of load and soak: what phones send, and what should not have been sent."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import httpx
import numpy as np
from PIL import Image

from bench.server import ROOT

_SAMPLES = ROOT / "samples"
_HEICS = Path(__file__).with_name("data")
_ORIENTATION = 0x0112
_TURNED_RIGHT = 6
"""EXIF: the upright photo is the stored one turned by 90 degrees clockwise."""
_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Photo:
    """A body to send, and what has to come back."""

    name: str
    body: bytes
    """multipart/form-data, whole, so that sending it costs the sender nothing."""
    content_type: str
    sha256: str
    """Of the photo alone."""
    size: tuple[int, int] = (0, 0)
    """Width and height of the upright photo, pixels, where it is analysed."""
    refused: str = ""
    """The code of the answer, where it is not accepted."""
    fails: str = ""
    """The code of its `error` event, where it is accepted and cannot be analysed."""
    chunked: bool = False
    """Sent without its length."""

    def content(self) -> bytes | Iterator[bytes]:
        if not self.chunked:
            return self.body
        return (self.body[start : start + _CHUNK] for start in range(0, len(self.body), _CHUNK))


def deck() -> list[Photo]:
    """One round of everything: 25 photos, 5 of them not accepted and 1 that fails."""
    return [*small(), *large(), *unwelcome()]


def small() -> list[Photo]:
    """The samples and cuts of them, up to 3 megapixels, in every format."""
    plain = [_whole(path.stem) for path in sorted(_SAMPLES.glob("*.jpg"))]
    twins, slab, painted = _wall("twins"), _wall("slab"), _wall("painted")
    return [
        *plain,
        _photo("small JPEG", twins.resize((1200, 900)), "JPEG", quality=85),
        _photo("small progressive JPEG", slab.resize((1280, 960)), "JPEG", quality=85, progressive=True),
        _photo("3 MP PNG", _enlarged(painted, 1), "PNG", compress_level=1),
        _photo("small WebP", twins.resize((1400, 1050)), "WEBP", quality=80, method=0),
        _photo("small AVIF", slab.resize((1000, 750)), "AVIF", quality=60, speed=10),
        _file("3 MP HEIC", "slab-3mp.heic", (2016, 1512)),
        _damaged_png(painted.resize((600, 800))),
    ]


def large() -> list[Photo]:
    """What phones' cameras make."""
    plywood, navy, twins = _wall("plywood"), _wall("navy"), _wall("twins")
    return [
        _photo("12 MP JPEG", _enlarged(plywood, 2.25), "JPEG", quality=88),
        _photo("12 MP JPEG, turned", _enlarged(navy, 2.24), "JPEG", quality=88, turned=True),
        _photo("12 MP progressive JPEG", _enlarged(twins, 2.23), "JPEG", quality=88, progressive=True),
        _photo("48 MP JPEG", _enlarged(plywood, 4.48), "JPEG", quality=80),
        _photo("12 MP WebP", _enlarged(navy, 2.22), "WEBP", quality=75, method=0),
        _photo("8 MP PNG", twins.resize((3264, 2448)), "PNG", compress_level=1),
        _file("12 MP HEIC", "navy-12mp.heic", (3024, 4032)),
    ]


def heavy() -> list[Photo]:
    """What takes the most memory to decode of its size: a coefficient of each pixel until the last scan."""
    plywood = _wall("plywood")
    return [
        _photo("48 MP progressive JPEG", _enlarged(plywood, 4.48), "JPEG", quality=80, progressive=True),
    ]


def unwelcome() -> list[Photo]:
    """What is over a limit, or no photo."""
    noise = np.random.default_rng(1).bytes(21 * 2**20)
    cut_short = _encoded(_wall("slab"), "JPEG", quality=85)[:-2000]
    return [
        _refused("21 MiB", b"\xff\xd8" + noise, "photo_too_many_bytes"),
        _refused("21 MiB without a length", b"\xff\xd8" + noise, "photo_too_many_bytes", chunked=True),
        _refused("130 MP PNG", _encoded(Image.new("L", (13000, 10000)), "PNG"), "photo_too_many_pixels"),
        _refused("cut short", cut_short, "photo_truncated"),
        _refused("no photo", b"%PDF-1.7\n" + noise[:300_000], "photo_type_unsupported"),
    ]


@cache
def _wall(name: str) -> Image.Image:
    with Image.open(_SAMPLES / f"{name}.jpg") as picture:
        picture.load()
        return picture


def _enlarged(wall: Image.Image, factor: float) -> Image.Image:
    """Enlarged, under a sensor's noise: it compresses about as well as a photo does."""
    pixels = cv2.resize(np.asarray(wall), None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    noise = np.random.default_rng(0).integers(0, 28, (256, *pixels.shape[1:]), dtype=np.uint8)
    for top in range(0, len(pixels), len(noise)):
        band = pixels[top : top + len(noise)]
        cv2.add(band, noise[: len(band)], band)
    return Image.fromarray(np.asarray(pixels, np.uint8))


def _whole(name: str) -> Photo:
    return _multipart(f"sample {name}", (_SAMPLES / f"{name}.jpg").read_bytes(), _wall(name).size)


def _photo(name: str, picture: Image.Image, kind: str, *, turned: bool = False, **options: int) -> Photo:
    if not turned:
        return _multipart(name, _encoded(picture, kind, **options), picture.size)
    exif = Image.Exif()
    exif[_ORIENTATION] = _TURNED_RIGHT
    stored = picture.transpose(Image.Transpose.ROTATE_90)
    return _multipart(name, _encoded(stored, kind, exif=exif.tobytes(), **options), picture.size)


def _file(name: str, file: str, size: tuple[int, int]) -> Photo:
    return _multipart(name, (_HEICS / file).read_bytes(), size)


def _damaged_png(picture: Image.Image) -> Photo:
    """Right from outside; its picture does not decompress."""
    data = bytearray(_encoded(picture, "PNG"))
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    return _multipart("damaged PNG", bytes(data), fails="photo_corrupt")


def _refused(name: str, data: bytes, code: str, *, chunked: bool = False) -> Photo:
    return _multipart(name, data, refused=code, chunked=chunked)


def _multipart(
    name: str,
    data: bytes,
    size: tuple[int, int] = (0, 0),
    *,
    refused: str = "",
    fails: str = "",
    chunked: bool = False,
) -> Photo:
    form = httpx.Request("POST", "http://127.0.0.1", files={"image": ("photo", data)})
    sha256 = hashlib.sha256(data).hexdigest()
    return Photo(name, form.read(), form.headers["content-type"], sha256, size, refused, fails, chunked)


def _encoded(picture: Image.Image, kind: str, **options: int | bytes) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
