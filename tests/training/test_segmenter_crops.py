"""The window around a box: photo, box and mask stay in register whatever is done to them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.datasets import Photo
from training.segmenter_crops import (
    CONTEXT,
    SIDE,
    CropRecipe,
    box_coverage,
    coverage,
    crop_of,
    cut,
    loose_box,
    network_input,
    transform,
    window,
)

TRIANGLE = np.array([[60, 20], [140, 60], [40, 120]], np.float32)
PLAIN = CropRecipe(
    hsv=(0, 0, 0), harsh_chance=0, blur_chance=0, jpeg_chance=0, exact_box_chance=1, smallest=1e9
)


def white_on_black(outline: NDArray[np.float32]) -> Photo:
    inside = coverage(outline, (160, 200))
    low, high = outline.min(0), outline.max(0)
    return Photo(
        name="triangle",
        pixels=np.repeat((inside * 255).astype(np.uint8)[..., None], 3, 2),
        classes=np.array([1]),
        boxes=np.concatenate([low, high])[None].astype(np.float32),
        outlines=(outline,),
        drawn_by_hand=True,
    )


def test_the_box_lies_in_the_middle_of_its_window_with_context_around() -> None:
    box = np.array([30, 40, 70, 80], np.float32)
    seen = transform(box.reshape(2, 2), window(box))
    margin = SIDE * (1 - 1 / CONTEXT) / 2
    assert seen == pytest.approx(np.array([[margin] * 2, [SIDE - margin] * 2]))


def test_a_long_box_is_stretched_at_most_twofold() -> None:
    matrix = window(np.array([0, 0, 100, 10], np.float32))
    assert matrix[1, 1] / matrix[0, 0] == pytest.approx(2.0)


def test_coverage_counts_parts_of_pixels() -> None:
    square = np.array([[1.5, 1], [3, 1], [3, 3], [1.5, 3]], np.float32)
    seen = coverage(square, (4, 4))
    assert seen[1, 2] == 1
    assert seen[0, 0] == 0
    assert 0.4 < seen[1, 1] < 0.8
    assert coverage(TRIANGLE, (160, 200)).sum() == pytest.approx(4400, rel=0.02)  # by the shoelace formula


def test_box_coverage_counts_parts_of_pixels() -> None:
    seen = box_coverage(np.array([1.25, 0, 3, 2.5], np.float32), side=4)
    assert seen.sum() == pytest.approx(1.75 * 2.5)
    assert seen[0, 1] == pytest.approx(0.75)
    assert seen[2, 2] == pytest.approx(0.5)


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_the_cut_photo_and_the_cut_outline_match_at_any_scale(scale: float) -> None:
    photo = white_on_black(TRIANGLE)
    matrix = np.diag([scale, scale, 1.0])
    matrix[:2, 2] = SIDE / 2 - scale * TRIANGLE.mean(0)
    seen = cut(photo.pixels, matrix)[..., 0].astype(np.float32) / 255
    mask = coverage(transform(TRIANGLE, matrix), (SIDE, SIDE))
    frame = np.array([[0, 0], [200, 0], [200, 160], [0, 160]], np.float32)
    within = coverage(transform(frame, matrix), (SIDE, SIDE))
    assert np.abs(seen - mask)[within == 1].mean() < 0.015


@pytest.mark.parametrize("seed", range(6))
def test_turned_and_mirrored_crops_keep_the_mask_on_the_hold(seed: int) -> None:
    crop = crop_of(white_on_black(TRIANGLE), 0, PLAIN, np.random.default_rng(seed))
    inside = box_coverage(crop.box) > 0.99
    seen = crop.pixels[..., 0].astype(np.float32) / 255
    assert np.abs(seen - crop.mask)[inside].mean() < 0.02
    x1, y1, x2, y2 = crop.box
    rows, columns = np.nonzero(crop.mask > 0.5)
    touching = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert touching == pytest.approx(np.array([x1, y1, x2, y2]), abs=2.0)  # the turned outline's own box


def test_a_loose_box_moves_each_side_by_a_tenth_at_most() -> None:
    box, rng = np.array([10, 20, 110, 70], np.float32), np.random.default_rng(0)
    recipe = CropRecipe(exact_box_chance=0.0)
    moved = np.stack([loose_box(box, recipe, rng) for _ in range(200)]) - box
    assert np.abs(moved).max(0) == pytest.approx(np.array([10, 5, 10, 5]), rel=0.15)
    assert np.abs(moved).max() <= 10


def test_the_network_sees_the_box_on_the_plane_of_its_kind() -> None:
    box = np.array([2, 2, 6, 6], np.float32)
    for kind in (0, 1):
        planes = network_input(np.full((8, 8, 3), 255, np.uint8), box, kind)
        assert planes[:3].min() == planes[:3].max() == 1
        assert planes[3 + kind].sum() == 16
        assert planes[4 - kind].sum() == 0
