"""Painted climbers: what they cover is said, and nothing else is touched."""

import numpy as np
import pytest

from training.people import PeopleRecipe, paint


def test_nobody_comes_without_a_chance() -> None:
    pixels = np.full((120, 100, 3), 130, np.uint8)
    assert not paint(pixels, PeopleRecipe(chance=0.0), np.random.default_rng(0)).any()
    assert (pixels == 130).all()


@pytest.mark.parametrize("seed", range(6))
def test_only_the_covered_part_changes(seed: int) -> None:
    pixels = np.full((240, 200, 3), 130, np.uint8)
    covered = paint(pixels, PeopleRecipe(chance=1.0, height=(0.6, 0.8)), np.random.default_rng(seed))
    changed = (pixels != 130).any(axis=2)
    grown = np.pad(covered, 4)
    near = np.zeros_like(covered)
    for dy in range(9):
        for dx in range(9):
            near |= grown[dy : dy + 240, dx : dx + 200]
    assert not (changed & ~near).any()
    if covered.any():
        assert changed[covered].mean() > 0.9
