"""How reading of cards is measured."""

import numpy as np
from numpy.typing import NDArray

from holdcheck.tags import Box
from training.tags import measure, rendered, with_cards

BOXES: list[Box] = [(60.0 + 120 * i, 60.0, 100.0 + 120 * i, 100.0) for i in range(4)]


def wall() -> NDArray[np.uint8]:
    canvas = np.full((260, 560, 3), 150, dtype=np.uint8)
    for x1, y1, x2, y2 in BOXES:
        canvas[int(y1) : int(y2), int(x1) : int(x2)] = (40, 60, 190)
    return canvas


def test_cards_stuck_on_a_picture_are_read_there() -> None:
    reading = measure(with_cards([(wall(), BOXES, {})] * 4, np.random.default_rng(0)))
    assert (reading.pictures, reading.cards) == (4, 8)
    assert reading.right >= 4
    assert reading.wrong == 0


def test_a_picture_keeps_its_pixels_when_cards_go_on_a_copy() -> None:
    before = wall()
    (_, _, truth), *_ = with_cards([(before, BOXES, {})], np.random.default_rng(0))
    assert sorted(truth.values()) == ["start", "top"]
    assert np.array_equal(before, wall())


def test_a_tag_that_no_hold_has_counts_as_wrong() -> None:
    ((pixels, boxes, _),) = with_cards([(wall(), BOXES, {})], np.random.default_rng(1))
    reading = measure([(pixels, boxes, {})])
    assert reading.cards == reading.right == 0
    assert reading.wrong >= 1


def test_rendered_walls_bring_their_tags() -> None:
    ((pixels, boxes, truth),) = rendered(1)
    assert pixels.shape == (768, 1024, 3)
    assert {"start", "top"} == set(truth.values())
    assert max(truth) < len(boxes)
