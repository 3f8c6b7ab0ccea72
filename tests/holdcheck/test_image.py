import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from holdcheck import image
from holdcheck.errors import (
    CorruptPhoto,
    EmptyPhoto,
    PhotoError,
    PhotoTooManyPixels,
    PhotoTooSmall,
    TruncatedPhoto,
    UnsupportedPhoto,
)
from tests.holdcheck.pictures import DATA, Write, assert_quarters, decode, deep, encoded, lying, png, quarters


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


@pytest.mark.parametrize(
    ("width", "height", "max_side", "expected"),
    [
        (4000, 3000, 1600, (1600, 1200)),  # landscape
        (3000, 4000, 1600, (1200, 1600)),  # portrait
        (4031, 3021, 1600, (1600, 1199)),  # odd sizes
        (3333, 2111, 641, (641, 406)),  # reduced five times, then a little more
        (1600, 1200, 1600, (1600, 1200)),  # exactly as large
        (800, 600, 1600, (800, 600)),  # never enlarged
        (5000, 64, 640, (640, 8)),  # a strip
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
        decode(photo(png(2, 16, deep(quarters()), cut=100)))


FUZZ = """
import random, sys
import subprocess
import sys
from pathlib import Path
from holdcheck import image
from holdcheck.errors import PhotoError
random.seed(7)
whole, photo = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
for _ in range(1500):
    damaged = bytearray(whole)
    for _ in range(random.randint(1, 6)):
        damaged[random.randrange(len(damaged))] = random.choice([0, 1, 128, 255, random.randrange(256)])
    photo.write_bytes(damaged)
    try:
        image.decode(photo, 64, 2)
    except PhotoError:
        pass
"""


def test_a_damaged_heic_never_takes_the_process_with_it(tmp_path: Path) -> None:
    # pi_heif's own HeifFile crashes on a damaged EXIF block; in a process of its own, that would show here.
    command = [sys.executable, "-c", FUZZ, str(DATA / "quarters_rotated.heic"), str(tmp_path / "photo")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "comment",
    [b"", b"\xff\xfe\x00\x04\xff\xd9"],  # none; one that holds the bytes of an end-of-image marker
)
def test_a_jpeg_of_a_thousand_scans_is_refused_before_it_keeps_a_decoder_busy(
    tmp_path: Path, comment: bytes
) -> None:
    photo = tmp_path / "photo.jpg"
    Image.new("L", (640, 480), 128).save(photo, progressive=True)
    whole = photo.read_bytes()
    last_scan = whole.rindex(b"\xff\xda")
    bomb = tmp_path / "bomb.jpg"
    bomb.write_bytes(whole[:last_scan] + comment + 1000 * whole[last_scan:-2] + b"\xff\xd9")
    assert image.probe(photo, 120).progressive
    with pytest.raises(CorruptPhoto, match="scans"):
        image.probe(bomb, 120)


@pytest.mark.parametrize("size", [(1, 1), (63, 4000), (4000, 63)])
def test_a_photo_on_which_no_hold_could_be_seen_is_refused(photo: Write, size: tuple[int, int]) -> None:
    with pytest.raises(PhotoTooSmall, match=f"{size[0]} x {size[1]}"):
        image.probe(photo(encoded(Image.new("RGB", size), "PNG")), 120)
