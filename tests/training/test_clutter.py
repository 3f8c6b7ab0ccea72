"""Painted clutter: beside the holds, never on them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from training.clutter import ClutterRecipe, paint

BOXES = np.array([[60, 60, 90, 84], [110, 40, 150, 90], [20, 120, 44, 140]], np.float32)
ALWAYS = ClutterRecipe(chance=1.0)


def wall() -> NDArray[np.uint8]:
    return np.full((160, 180, 3), 120, np.uint8)


def test_no_chance_leaves_the_picture_alone() -> None:
    pixels = wall()
    paint(pixels, BOXES, ClutterRecipe(chance=0.0), np.random.default_rng(0))
    np.testing.assert_array_equal(pixels, wall())


def test_a_crop_without_holds_stays_bare() -> None:
    pixels = wall()
    paint(pixels, BOXES[:0], ALWAYS, np.random.default_rng(0))
    np.testing.assert_array_equal(pixels, wall())


@pytest.mark.parametrize("seed", range(8))
def test_it_paints_and_spares_the_middle_of_every_hold(seed: int) -> None:
    pixels, few = wall(), ClutterRecipe(chance=1.0, most=2, size=(0.4, 0.8))
    paint(pixels, BOXES, few, np.random.default_rng(seed))
    painted = (pixels != 120).any(axis=2)
    assert 0 < painted.mean() < 0.3
    for x, y in ((BOXES[:, :2] + BOXES[:, 2:]) / 2).astype(int):
        assert not painted[y - 2 : y + 3, x - 2 : x + 3].any()


def test_cards_at_the_edge_are_cut_off() -> None:
    pixels = wall()
    edge = np.array([[0, 0, 30, 30], [150, 130, 180, 160]], np.float32)
    for seed in range(40):
        paint(pixels, edge, ALWAYS, np.random.default_rng(seed))
    assert pixels.shape == wall().shape
