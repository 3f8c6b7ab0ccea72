"""Copied holds: where the label says, and in the donor's colour."""

from dataclasses import replace

import cv2
import numpy as np

from training.datasets import Photo
from training.paste import PasteRecipe, paste

ALWAYS = PasteRecipe(chance=1.0, gain=0.0)


def photo(colour: tuple[int, int, int], box: tuple[int, int, int, int], kind: int = 0) -> Photo:
    """A grey wall with one block."""
    pixels = np.full((160, 200, 3), 128, np.uint8)
    x1, y1, x2, y2 = box
    pixels[y1:y2, x1:x2] = colour
    outline = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
    boxes = np.array([box], np.float32)
    return Photo("wall", pixels, np.array([kind], np.int64), boxes, (outline,), drawn_by_hand=True)


WALL, DONOR = photo((0, 0, 255), (20, 20, 60, 60)), photo((255, 0, 0), (70, 50, 100, 90))


def test_pasted_holds_lie_where_their_boxes_and_outlines_say() -> None:
    seen = 0
    for seed in range(10):
        result = paste(WALL, [DONOR], ALWAYS, np.random.default_rng(seed))
        for box, outline in zip(result.boxes[1:], result.outlines[1:], strict=True):
            np.testing.assert_allclose(outline.min(0), box[:2], atol=1e-3)
            np.testing.assert_allclose(outline.max(0), box[2:], atol=1e-3)
            x, y = ((box[:2] + box[2:]) / 2).astype(int)
            assert result.pixels[y, x].tolist() == [255, 0, 0]
            seen += 1
        assert len(result.classes) == len(result.boxes) == len(result.outlines)
        # Every red pixel belongs to a label: nothing is pasted unlabelled.
        cover = np.zeros(WALL.pixels.shape[:2], np.uint8)
        for outline in result.outlines:
            cv2.fillPoly(cover, [np.round(outline).astype(np.int32)], 1.0)
        red = result.pixels[..., 0] > 200
        assert not (red & ~cv2.dilate(cover, np.ones((5, 5), np.uint8)).astype(bool)).any()
    assert seen > 10


def test_the_photo_and_its_donor_stay_as_they_are() -> None:
    before, given = WALL.pixels.copy(), DONOR.pixels.copy()
    paste(WALL, [DONOR], ALWAYS, np.random.default_rng(1))
    np.testing.assert_array_equal(WALL.pixels, before)
    np.testing.assert_array_equal(DONOR.pixels, given)


def test_holds_that_were_there_are_not_covered() -> None:
    for seed in range(10):
        result = paste(WALL, [DONOR], replace(ALWAYS, overlap=0.0), np.random.default_rng(seed))
        assert (result.pixels[24:56, 24:56] == (0, 0, 255)).all()


def test_no_chance_no_donor_and_no_hold_change_nothing() -> None:
    rng = np.random.default_rng(0)
    assert paste(WALL, [DONOR], PasteRecipe(chance=0.0), rng) is WALL
    assert paste(WALL, [], ALWAYS, rng) is WALL
    volume = photo((255, 0, 0), (70, 50, 100, 90), kind=1)
    assert paste(WALL, [volume], ALWAYS, rng) is WALL
