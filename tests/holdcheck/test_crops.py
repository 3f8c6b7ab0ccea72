"""Crops for CLIP."""

from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from holdcheck import crops
from holdcheck.crops import Background

RED, WALL = (200, 30, 30), (40, 90, 160)


def photo_with_hold(
    box: tuple[int, int, int, int], size: tuple[int, int] = (120, 160)
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A blue wall (height, width) with a red hold that fills its box."""
    pixels = np.full((*size, 3), WALL, dtype=np.uint8)
    x1, y1, x2, y2 = box
    pixels[y1:y2, x1:x2] = RED
    return pixels, np.ones((y2 - y1, x2 - x1), dtype=bool)


@pytest.mark.parametrize(
    "box",
    [
        (60, 40, 100, 80),  # in the middle
        (0, 0, 30, 20),  # in a corner of the photo
        (140, 100, 160, 120),  # in the opposite one
        (0, 50, 160, 60),  # as wide as the photo
        (80, 60, 84, 64),  # four pixels
        (80, 60, 81, 61),  # one pixel
    ],
)
@pytest.mark.parametrize("background", get_args(Background))
def test_a_crop_is_square_and_shows_its_hold_in_the_centre(
    box: tuple[int, int, int, int], background: Background
) -> None:
    pixels, mask = photo_with_hold(box)
    crop = crops.cut(pixels, box, mask, 64, background)
    assert crop.shape == (64, 64, 3)
    assert crop.dtype == np.uint8
    red, _, blue = (int(channel) for channel in crop[32, 32])
    assert red > blue


def test_a_hold_keeps_its_proportions() -> None:
    box = (40, 50, 100, 70)  # three times as wide as high
    pixels, mask = photo_with_hold(box)
    crop = crops.cut(pixels, box, mask, 224, "untouched").astype(int)
    is_red = crop[..., 0] > crop[..., 2]
    width, height = is_red.any(axis=0).sum(), is_red.any(axis=1).sum()
    assert width / height == pytest.approx(3, rel=0.1)


def test_the_margin_shows_wall_around_the_hold() -> None:
    box = (60, 40, 100, 80)
    pixels, mask = photo_with_hold(box)
    crop = crops.cut(pixels, box, mask, 104, "untouched", margin=0.15)
    assert (crop[0, 0] == WALL).all()
    is_red = (crop[..., 0] > crop[..., 2]).any(axis=0)
    assert is_red.sum() / 104 == pytest.approx(1 / 1.3, abs=0.03)


def test_past_the_photo_its_edge_is_repeated_and_no_black_appears() -> None:
    pixels, mask = photo_with_hold((0, 0, 30, 30))
    crop = crops.cut(pixels, (0, 0, 30, 30), mask, 64, "untouched")
    assert crop.reshape(-1, 3).max(axis=1).min() > 100


@pytest.mark.parametrize("background", ["grey", "blurred", "dimmed"])
def test_a_treated_background_is_less_vivid_and_the_hold_stays_as_it_is(background: Background) -> None:
    box = (60, 40, 100, 80)
    pixels, mask = photo_with_hold(box)
    crop = crops.cut(pixels, box, mask, 224, background)
    assert (np.abs(crop[112, 112].astype(int) - RED) <= 1).all()
    plain = crops.cut(pixels, box, mask, 224, "untouched")
    corner_vividness, plain_vividness = (int(np.ptp(picture[3, 3])) for picture in (crop, plain))
    if background != "blurred":  # an even wall has nothing to blur
        assert corner_vividness < 0.5 * plain_vividness


def test_outside_the_mask_but_inside_the_box_is_background() -> None:
    box = (60, 40, 100, 80)
    pixels, mask = photo_with_hold(box)
    mask[:, 20:] = False
    crop = crops.cut(pixels, box, mask, 224, "grey")
    assert (np.abs(crop[112, 170].astype(int) - 128) <= 2).all()
    assert (np.abs(crop[112, 70].astype(int) - RED) <= 2).all()


def test_the_photo_is_not_modified() -> None:
    pixels, mask = photo_with_hold((60, 40, 100, 80))
    before = pixels.copy()
    pixels.flags.writeable = False
    crop = crops.cut(pixels, (60, 40, 100, 80), mask, 64)
    crop[:] = 0
    assert (pixels == before).all()


def test_a_crop_never_shares_memory_with_the_photo() -> None:
    pixels, mask = photo_with_hold((60, 40, 100, 80))
    # Same side as the cut window: a resize that changes nothing might hand back the photo itself.
    crop = crops.cut(pixels, (60, 40, 100, 80), mask, 52, "untouched")
    assert not np.shares_memory(crop, pixels)


def test_enlarging_and_reducing_keep_an_even_colour() -> None:
    pixels = np.full((400, 400, 3), RED, dtype=np.uint8)
    for box in [(10, 10, 14, 14), (10, 10, 390, 390)]:
        mask = np.ones((box[3] - box[1], box[2] - box[0]), dtype=bool)
        assert (crops.cut(pixels, box, mask, 224, "untouched") == RED).all()
