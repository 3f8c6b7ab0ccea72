import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageDraw

from holdcheck import image
from holdcheck.errors import (
    CorruptPhoto,
    EmptyPhoto,
    PhotoError,
    PhotoNeedsTooMuchMemory,
    PhotoTooManyPixels,
    TruncatedPhoto,
    UnsupportedPhoto,
)

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


@pytest.fixture
def photo(tmp_path: Path) -> Callable[[bytes], Path]:
    """Bytes -> a file whose name says nothing."""

    def write(data: bytes) -> Path:
        path = tmp_path / "upload.bin"
        path.write_bytes(data)
        return path

    return write


Write = Callable[[bytes], Path]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"quality": 95}), ("PNG", {}), ("WebP", {}), ("AVIF", {})]
)
def test_every_exif_orientation_is_applied_exactly_once(
    photo: Write, kind: str, options: dict[str, object], orientation: int
) -> None:
    path = photo(lying(orientation, kind, **options))
    wall = decode(path)
    assert (wall.original_width, wall.original_height) == (160, 120)
    assert wall.pixels.shape == (120, 160, 3)
    assert_quarters(wall)
    header = image.probe(path, 120)
    assert (header.format, header.width, header.height) == (kind, 160, 120)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_pixels_of_all_orientations_are_identical(photo: Write, orientation: int) -> None:
    upright = decode(photo(lying(1, "PNG")), max_side=77).pixels
    assert (
        np.abs(decode(photo(lying(orientation, "PNG")), max_side=77).pixels.astype(int) - upright).max() <= 1
    )


@pytest.mark.parametrize(
    "name",
    [
        "quarters.heic",  # as it lies
        "quarters_rotated.heic",  # stored on its side, turned by an irot property
    ],
)
def test_a_heic_is_turned_upright_by_its_own_properties(name: str) -> None:
    wall = decode(DATA / name)
    assert (wall.original_width, wall.original_height) == (160, 120)
    assert_quarters(wall)


def _palette_with_transparency() -> bytes:
    picture = quarters().quantize(5)
    return encoded(picture, "PNG", transparency=255)


def _png(colour_type: int, bits: int, rows: NDArray[np.uint16], cut: int = 0) -> bytes:
    """A PNG of a kind that Pillow cannot write; rows (H, W * channels). Its data may lose its last bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = rows.shape[0], rows.shape[1] // {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    data = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows)
    packed = zlib.compress(data)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", packed[: len(packed) - cut]), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _deep(picture: Image.Image) -> NDArray[np.uint16]:
    values = np.asarray(picture).astype(np.uint16) * 257
    return values.reshape(values.shape[0], -1)


@pytest.mark.parametrize(
    "data",
    [
        encoded(quarters(), "JPEG", quality=95),  # what phones send
        encoded(quarters(), "JPEG", quality=95, progressive=True),  # what websites send
        encoded(quarters(), "PNG"),
        encoded(quarters(), "WebP", quality=95),
        encoded(quarters(), "WebP", lossless=True),
        encoded(quarters(), "AVIF", quality=95),
        encoded(quarters().convert("RGBA"), "WebP", lossless=True),  # opaque alpha
        encoded(quarters().convert("RGBA"), "AVIF", quality=95),
        encoded(quarters().quantize(8), "PNG"),  # palette
        _palette_with_transparency(),
        _png(2, 16, _deep(quarters())),  # 48-bit RGB
        _png(6, 16, _deep(quarters().convert("RGBA"))),  # 64-bit RGBA
        encoded(quarters(), "WebP", save_all=True, append_images=[Image.new("RGB", (160, 120))]),  # animated
        encoded(quarters(), "PNG", save_all=True, append_images=[Image.new("RGB", (160, 120))]),
        encoded(quarters(), "AVIF", save_all=True, append_images=[Image.new("RGB", (160, 120))]),
        encoded(quarters(), "MPO", quality=95, save_all=True, append_images=[Image.new("RGB", (160, 120))]),
    ],
)
def test_every_kind_of_colour_picture_becomes_right_rgb(photo: Write, data: bytes) -> None:
    assert_quarters(decode(photo(data)), tolerance=16)


def _grey_ramp() -> Image.Image:
    return Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (64, 1)))


@pytest.mark.parametrize(
    "data",
    [
        encoded(_grey_ramp(), "JPEG", quality=95),
        encoded(_grey_ramp(), "PNG"),
        encoded(_grey_ramp().convert("LA"), "PNG"),
        _png(0, 16, _deep(_grey_ramp())),  # 16-bit grey: scaled, not clipped at 255
        _png(4, 16, _deep(_grey_ramp().convert("LA"))),
    ],
)
def test_grey_keeps_its_brightness(photo: Write, data: bytes) -> None:
    pixels = decode(photo(data)).pixels
    assert np.abs(pixels[32].astype(int) - np.arange(256)[:, None]).max() <= 3


def test_one_bit_becomes_black_and_white_and_is_averaged_when_reduced(photo: Write) -> None:
    checks = Image.fromarray((np.indices((128, 128)).sum(0) % 2).astype(bool))
    path = photo(encoded(checks, "PNG"))
    assert set(np.unique(decode(path).pixels)) == {0, 255}
    assert np.abs(decode(path, max_side=64).pixels.astype(int) - 128).max() <= 1


@pytest.mark.parametrize("inverted", [True, False])
def test_cmyk_is_read_whichever_way_round_it_is_stored(photo: Write, inverted: bool) -> None:
    # Pillow writes CMYK as Adobe does, inverted and marked so.
    data = encoded(quarters().convert("CMYK"), "JPEG", quality=95)
    if not inverted:
        negative = Image.fromarray(255 - np.asarray(quarters().convert("CMYK")), "CMYK")
        data = encoded(negative, "JPEG", quality=95)
        at = data.index(b"Adobe")
        data = data[: at - 4] + data[at + 12 :]
    assert_quarters(decode(photo(data)), tolerance=16)


def test_transparent_pixels_become_neutral_grey(photo: Write) -> None:
    for kind in ("PNG", "WebP"):
        pixels = decode(photo(encoded(Image.new("RGBA", (64, 64), (255, 0, 0, 0)), kind))).pixels
        assert (pixels == 128).all()


def test_a_display_p3_photo_becomes_as_vivid_as_it_was_shot(photo: Write) -> None:
    profile = _display_p3()
    shot = Image.new("RGB", (64, 64), (200, 60, 60))
    for kind in ("JPEG", "PNG", "WebP"):
        options = {"quality": 100} if kind != "PNG" else {}
        red, green, _ = decode(photo(encoded(shot, kind, icc_profile=profile, **options))).pixels[32, 32]
        assert red > 210  # sRGB needs more red for the same colour
        assert green < 55


def test_an_srgb_profile_and_a_damaged_one_change_nothing(photo: Write) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile at all" * 20):
        assert_quarters(decode(photo(encoded(quarters(), "PNG", icc_profile=profile))), tolerance=0)


def _display_p3() -> bytes:
    """A matrix profile with Display P3's primaries (adapted to D50) and a gamma of 2.2."""

    def s15(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256)) + bytes(2)
    xyz = b"XYZ " + bytes(4)
    tags = {
        b"wtpt": xyz + s15(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz + s15(0.5151, 0.2412, -0.0011),
        b"gXYZ": xyz + s15(0.2920, 0.6922, 0.0419),
        b"bXYZ": xyz + s15(0.1571, 0.0666, 0.7841),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    size = at + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ ") + bytes(12)
    header += b"acsp" + bytes(28) + s15(0.9642, 1.0, 0.8249)
    return header.ljust(128, b"\0") + table + body


@pytest.mark.parametrize(
    ("width", "height", "max_side", "expected"),
    [
        (4000, 3000, 1600, (1600, 1200)),  # landscape
        (3000, 4000, 1600, (1200, 1600)),  # portrait
        (4031, 3021, 1600, (1600, 1199)),  # odd sizes
        (3333, 2111, 641, (641, 406)),  # reduced five times, then a little more
        (1600, 1200, 1600, (1600, 1200)),  # exactly as large
        (800, 600, 1600, (800, 600)),  # never enlarged
        (5000, 3, 640, (640, 1)),  # a strip
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP"])
def test_reduction_keeps_the_aspect(
    photo: Write, kind: str, width: int, height: int, max_side: int, expected: tuple[int, int]
) -> None:
    wall = decode(photo(encoded(quarters(width, height), kind)), max_side)
    assert (wall.original_width, wall.original_height) == (width, height)
    assert wall.pixels.shape == (expected[1], expected[0], 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP"])
@pytest.mark.parametrize("max_side", [1500, 1000, 641, 400])
def test_reduction_moves_nothing_by_more_than_half_an_original_pixel(
    photo: Write, kind: str, max_side: int
) -> None:
    edges = [(501, 301), (2003, 1502)]
    for x, y in edges:
        picture = Image.new("L", (3001, 2251))
        picture.paste(255, (x, y, 3001, 2251))
        options = {"lossless": True, "method": 0} if kind == "WebP" else {}
        wall = decode(photo(encoded(picture.convert("RGB"), kind, **options)), max_side)
        rows, columns = wall.pixels[..., 1].astype(float) / 255, wall.original_width / wall.pixels.shape[1]
        assert abs((1 - rows[-3]).sum() * columns - x) < 0.5
        assert abs((1 - rows[:, -3]).sum() * wall.original_height / rows.shape[0] - y) < 0.5


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EmptyPhoto),
        (b"hello, I am a text", UnsupportedPhoto),
        (encoded(quarters(), "JPEG")[:-200], TruncatedPhoto),
        (encoded(quarters(), "JPEG")[:100], TruncatedPhoto),  # within the header
        (b"\xff\xd8", TruncatedPhoto),
        (encoded(quarters(), "PNG")[:-20], TruncatedPhoto),
        (encoded(quarters(), "PNG")[:20], TruncatedPhoto),
        (encoded(quarters(), "WebP")[:-50], TruncatedPhoto),
        (encoded(quarters(), "AVIF")[:-50], TruncatedPhoto),
        ((DATA / "quarters.heic").read_bytes()[:-50], TruncatedPhoto),
        (b"\xff\xd8\xff\xd9", CorruptPhoto),  # a JPEG without a picture
        (b"\x89PNG\r\n\x1a\n" + bytes(60), CorruptPhoto),
        (b"RIFF\x10\0\0\0WEBPVP8 \4\0\0\0\0\0\0\0", CorruptPhoto),
        (b"\0\0\0\x14ftypheic\0\0\0\0heic\0\0\0\x0cmeta\0\0\0\0", CorruptPhoto),
        (b"\0\0\0\x14ftypheic\0\0\0\0heic", UnsupportedPhoto),  # no still picture in it
    ],
)
def test_probe_says_what_is_wrong(photo: Write, data: bytes, error: type[PhotoError]) -> None:
    with pytest.raises(error):
        image.probe(photo(data), 120)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (encoded(quarters(), "GIF"), "GIF"),
        (encoded(quarters(), "TIFF"), "TIFF"),
        (encoded(quarters(), "BMP"), "BMP"),
        (encoded(quarters(), "JPEG2000"), "JPEG 2000"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", "video"),
        (b"<!DOCTYPE html><html>", "web page"),
    ],
)
def test_an_unsupported_file_is_named_and_told_what_is_accepted(photo: Write, data: bytes, name: str) -> None:
    with pytest.raises(UnsupportedPhoto, match=f"This is a {name}.*JPEG, PNG, WebP, HEIC and AVIF"):
        image.probe(photo(data), 120)


def test_too_many_pixels_are_refused_from_the_header_whatever_the_orientation(photo: Write) -> None:
    path = photo(encoded(Image.new("1", (12_000, 10_100)), "PNG"))
    with pytest.raises(PhotoTooManyPixels, match="12000 x 10100 pixels, 121 megapixels; at most 120"):
        image.decode(path, 1600, 120)


@pytest.mark.parametrize("trailing", [b"\0" * 200_000, b"\xff" * 70_000, b"MotionPhoto_Data" * 9000])
def test_data_behind_the_picture_is_no_damage(photo: Write, trailing: bytes) -> None:
    assert_quarters(decode(photo(encoded(quarters(), "JPEG", quality=95) + trailing)))
    assert_quarters(decode(photo(encoded(quarters(), "PNG") + trailing)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "AVIF"])
def test_damage_inside_the_picture_is_found_by_decoding_and_never_an_unexpected_error(
    photo: Write, kind: str
) -> None:
    data = encoded(quarters(640, 480), kind)
    rng = np.random.default_rng(5)
    for _ in range(60):
        damaged = bytearray(data)
        for at in rng.integers(2, len(data), 12):
            damaged[at] = rng.integers(256)
        try:
            assert decode(photo(bytes(damaged))).pixels.ndim == 3
        except PhotoError:
            continue


def test_a_picture_cut_short_inside_a_whole_file_is_truncated(photo: Write) -> None:
    with pytest.raises(TruncatedPhoto):
        decode(photo(_png(2, 16, _deep(quarters()), cut=100)))


def test_a_decode_that_does_not_fit_is_refused_with_what_to_do(photo: Write) -> None:
    path = photo(encoded(Image.new("L", (4000, 3000)), "JPEG", progressive=True))
    with pytest.raises(
        PhotoNeedsTooMuchMemory, match=r"progressive JPEG .* needs \d+ MiB .* 20 are left.*baseline"
    ):
        decode(path, available_mib=20)
    assert decode(path, available_mib=120).pixels.shape == (1200, 1600, 3)


MEASURE = """
import sys
from pathlib import Path
from holdcheck import image, memory
path = Path(sys.argv[1])
estimate = image.estimate_decode_mib(image.probe(path, 200), 1600)
memory.reset_peak()
before = memory.snapshot().rss_mb
image.decode(path, 1600, 200)
print(memory.snapshot().peak_mb - before, estimate)
"""


def _measured(path: Path) -> tuple[float, float]:
    """Peak MiB that a decode adds in a fresh process, and what was estimated."""
    output = subprocess.run([sys.executable, "-c", MEASURE, path], check=True, capture_output=True, text=True)
    peak, estimate = output.stdout.split()
    return float(peak), float(estimate)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a moment can only be read on Linux")
@pytest.mark.parametrize(
    ("size", "limit_mib"),
    [((4032, 3024), 35), ((8064, 6048), 35), ((12_000, 9000), 55)],  # 12, 48 and 108 MP
)
def test_a_baseline_jpeg_of_any_size_decodes_in_little_memory(
    tmp_path: Path, size: tuple[int, int], limit_mib: float
) -> None:
    path = tmp_path / "photo.jpg"
    quarters(*size).save(path, quality=85)
    peak, estimate = _measured(path)
    assert peak < limit_mib
    assert peak <= estimate < 1.4 * peak


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a moment can only be read on Linux")
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"progressive": True}),
        ("JPEG", {"progressive": True, "subsampling": 0}),
        ("PNG", {}),
        ("WebP", {"method": 0}),
        ("AVIF", {"speed": 10}),
    ],
)
def test_the_estimate_is_an_upper_bound_and_not_far_off(
    tmp_path: Path, kind: str, options: dict[str, int]
) -> None:
    path = tmp_path / "photo"
    quarters(4032, 3024).save(path, kind, **options)
    peak, estimate = _measured(path)
    assert peak <= estimate < 1.4 * peak
