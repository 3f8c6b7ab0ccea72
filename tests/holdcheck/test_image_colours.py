import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.holdcheck.pictures import Write, assert_quarters, decode, deep, encoded, png, quarters


def _palette_with_transparency() -> bytes:
    picture = quarters().quantize(5)
    return encoded(picture, "PNG", transparency=255)


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
        png(2, 16, deep(quarters())),  # 48-bit RGB
        png(6, 16, deep(quarters().convert("RGBA"))),  # 64-bit RGBA
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
        png(0, 16, deep(_grey_ramp())),  # 16-bit grey: scaled, not clipped at 255
        png(4, 16, deep(_grey_ramp().convert("LA"))),
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
