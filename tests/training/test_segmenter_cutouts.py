"""Cutting holds from plain ground and pasting them onto walls."""

import cv2
import numpy as np
import pytest

from training.datasets import Photo
from training.segmenter_crops import CropRecipe, box_coverage
from training.segmenter_cutouts import Cutout, catalogue_cutouts, cutouts_of, facet_volume, paste

ORANGE, GREY = (230, 120, 20), (170, 170, 165)
BOX = (40, 30, 120, 90)


def shop_picture(colour: tuple[int, int, int] = ORANGE, box: tuple[int, int, int, int] = BOX) -> Photo:
    """An ellipse that touches BOX on grey ground with a little noise, labelled with `box`."""
    rng = np.random.default_rng(0)
    pixels = np.full((120, 160, 3), GREY, np.uint8)
    cv2.ellipse(pixels, (80, 60), (40, 30), 0, 0, 360, colour, cv2.FILLED)
    noisy = np.clip(pixels + rng.normal(0, 3, pixels.shape), 0, 255).astype(np.uint8)
    return Photo("cat", noisy, np.array([0]), np.array([box], np.float32), (), False)


@pytest.fixture
def walls() -> list[Photo]:
    rng = np.random.default_rng(1)
    pixels = rng.integers(90, 140, (300, 400, 3)).astype(np.uint8)
    return [Photo("wall", pixels, np.array([0]), np.array([[0, 0, 40, 40]], np.float32), (), False)]


def test_a_hold_on_plain_ground_is_cut_along_its_outline() -> None:
    (cutout,) = catalogue_cutouts(shop_picture())
    true = np.zeros((120, 160), np.uint8)
    cv2.ellipse(true, (80, 60), (40, 30), 0, 0, 360, 1, cv2.FILLED)
    assert cutout.alpha.sum() == pytest.approx(true.sum(), rel=0.08)
    middle = cutout.pixels[cutout.alpha > 0.99].mean(0)
    assert np.abs(middle - ORANGE).max() < 10


@pytest.mark.parametrize(
    "picture",
    [
        shop_picture(colour=GREY),  # nothing to tell it from the ground
        shop_picture(box=(60, 30, 140, 90)),  # the box is not where the hold is
        shop_picture(box=(70, 50, 90, 70)),  # the hold goes on all around the box
    ],
)
def test_what_cannot_be_cut_cleanly_is_left_out(picture: Photo) -> None:
    assert catalogue_cutouts(picture) == []


def test_outlined_holds_cut_by_the_photos_edge_are_left_out() -> None:
    pixels = np.zeros((100, 100, 3), np.uint8)
    whole = np.array([[20, 20], [60, 20], [60, 60], [20, 60]], np.float32)
    cut_off = whole - np.array([20, 0], np.float32)
    boxes = np.array([[20, 20, 60, 60], [0, 20, 40, 60]], np.float32)
    photo = Photo("sam", pixels, np.array([0, 0]), boxes, (whole, cut_off), True)
    (cutout,) = cutouts_of([photo], [])
    assert cutout.alpha.shape == (40, 40)
    assert cutout.alpha.mean() > 0.95


def test_a_pasted_hold_is_inside_its_box_and_of_another_colour_than_the_wall(walls: list[Photo]) -> None:
    square = Cutout(np.full((40, 40, 3), (250, 250, 10), np.uint8), np.ones((40, 40), np.float32), 0)
    recipe = CropRecipe(
        exact_box_chance=1.0, smallest=1e9, hsv=(0, 0, 0), harsh_chance=0, blur_chance=0, jpeg_chance=0
    )
    different = []
    for seed in range(12):
        crop = paste([square], walls, recipe, np.random.default_rng(seed))
        box = box_coverage(crop.box) > 0
        assert (crop.mask * ~box).sum() < 0.02 * crop.mask.sum()
        assert crop.mask.sum() > 0.2 * box.sum()
        colours = crop.pixels.astype(np.float32)
        gap = colours[crop.mask > 0.9].mean(0) - colours[(crop.mask < 0.1) & box].mean(0)
        different.append(np.abs(gap).max())
    assert np.median(different) > 25


def test_pasting_repeats_itself_with_the_same_seed(walls: list[Photo]) -> None:
    square = Cutout(np.full((40, 40, 3), 200, np.uint8), np.ones((40, 40), np.float32), 0)
    one, other = (paste([square], walls, CropRecipe(), np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one.pixels, other.pixels)
    assert np.array_equal(one.mask, other.mask)


def test_a_made_up_volume_is_convex_and_a_volume(walls: list[Photo]) -> None:
    for seed in range(5):
        volume = facet_volume(walls, np.random.default_rng(seed))
        assert volume.kind == 1
        (contour,) = cv2.findContours(
            (volume.alpha > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )[0]
        assert cv2.contourArea(contour) > 0.95 * cv2.contourArea(cv2.convexHull(contour))
        assert volume.alpha.mean() > 0.1
