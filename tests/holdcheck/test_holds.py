import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from holdcheck.detector import FakeDetector
from holdcheck.holds import decode_masks, keep_largest
from tests.holdcheck.oracle import Oracle


def ellipse(cx: float, cy: float, rx: float, ry: float) -> NDArray[np.float32]:
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    return np.stack([cx + rx * np.cos(turn), cy + ry * np.sin(turn)], axis=1).astype(np.float32)


ELLIPSES = [ellipse(0.2, 0.3, 0.05, 0.08), ellipse(0.7, 0.6, 0.1, 0.05), ellipse(0.5, 0.9, 0.02, 0.02)]


def test_only_the_largest_holds_are_kept() -> None:
    photo = np.zeros((600, 800, 3), dtype=np.uint8)
    kept = keep_largest(Oracle(ELLIPSES).detect(photo), 2)
    width, height = (kept.boxes[:, 2:] - kept.boxes[:, :2]).T
    assert (width * height).tolist() == sorted(width * height, reverse=True)
    assert (width * height).min() > 40 * 40


@pytest.mark.parametrize(
    ("height", "width"),
    [
        (1200, 1600),  # landscape
        (1600, 1200),  # portrait
        (1024, 1024),  # square
        (777, 1301),  # odd
        (480, 640),  # as small as the network's own input
    ],
)
def test_outlines_lie_on_their_holds(height: int, width: int) -> None:
    photo = np.zeros((height, width, 3), dtype=np.uint8)
    masks = decode_masks(Oracle(ELLIPSES).detect(photo), photo.shape)
    assert len(masks) == len(ELLIPSES)
    for truth in (polygon * np.array([width, height], dtype=np.float32) for polygon in ELLIPSES):
        nearest = min(masks, key=lambda hold: float(np.hypot(*(np.array(hold.center) - truth.mean(axis=0)))))
        np.testing.assert_allclose(nearest.center, truth.mean(axis=0), atol=0.8)
        off = [abs(cv2.pointPolygonTest(truth, (float(x), float(y)), True)) for x, y in nearest.outline]
        assert max(off) < 2.5
        assert np.mean(off) < 1.0


def test_a_mask_exists_only_inside_its_own_box() -> None:
    photo = np.zeros((1200, 1600, 3), dtype=np.uint8)
    for hold in decode_masks(Oracle(ELLIPSES).detect(photo), photo.shape):
        x1, y1, x2, y2 = hold.box
        assert hold.mask.shape == (y2 - y1, x2 - x1)
        assert hold.mask.size < photo.shape[0] * photo.shape[1] / 20


def test_a_neighbours_speck_inside_the_box_is_not_part_of_the_hold() -> None:
    found = Oracle(ELLIPSES[:1]).detect(np.zeros((1200, 1600, 3), dtype=np.uint8))
    before = decode_masks(found, (1200, 1600))[0]
    found.prototypes[0, 44, 25] = 8.0  # in a corner of the box, clear of the ellipse
    after = decode_masks(found, (1200, 1600))[0]
    assert after.area == pytest.approx(before.area, rel=1e-3)


def test_a_detection_whose_mask_is_empty_is_no_hold() -> None:
    found = Oracle(ELLIPSES).detect(np.zeros((600, 800, 3), dtype=np.uint8))
    found.prototypes[0] = -8.0
    assert len(decode_masks(found, (600, 800))) == len(ELLIPSES) - 1


def test_boxes_at_the_edge_of_the_photo_stay_inside_it() -> None:
    photo = np.zeros((60, 80, 3), dtype=np.uint8)
    for hold in decode_masks(FakeDetector().detect(photo), photo.shape):
        x1, y1, x2, y2 = hold.box
        assert 0 <= x1 < x2 <= 80
        assert 0 <= y1 < y2 <= 60
