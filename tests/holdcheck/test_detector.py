import numpy as np
import pytest

from holdcheck.detector import STRIDE, FakeDetector, decode, letterbox

NAMES = ("hold", "volume")


def raw(
    *rows: tuple[float, float, float, float, float, float],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A network's raw answer from (cx, cy, w, h, hold score, volume score) rows."""
    predictions = np.zeros((1, 6 + 32, len(rows)), dtype=np.float32)
    predictions[0, :6] = np.array(rows, dtype=np.float32).T
    return predictions


PROTOTYPES = np.zeros((1, 32, 120, 160), dtype=np.float32)
PHOTO = np.zeros((960, 1280, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "input_height", "input_width"),
    [
        (960, 1280, 480, 640),  # landscape
        (1280, 960, 640, 480),  # portrait: no square
        (500, 500, 640, 640),  # a small photo is enlarged
        (3000, 37, 640, 32),  # a sliver
        (777, 1031, 512, 640),  # odd sizes are padded to the stride
    ],
)
def test_the_letterbox_keeps_the_photos_shape(
    height: int, width: int, input_height: int, input_width: int
) -> None:
    boxed = letterbox(np.zeros((height, width, 3), dtype=np.uint8), 640)
    assert boxed.image.shape == (1, input_height, input_width, 3)
    assert input_height % STRIDE == input_width % STRIDE == 0
    assert boxed.scale_x == pytest.approx(boxed.scale_y, abs=0.5 / min(height, width))


def test_boxes_come_back_in_pixels_of_the_working_image() -> None:
    found = decode(
        raw((100, 50, 20, 10, 0.9, 0.1)), PROTOTYPES, letterbox(PHOTO, 640), PHOTO.shape, NAMES, 0.25
    )
    np.testing.assert_allclose(found.boxes, [[180, 90, 220, 110]])
    assert found.prototype_scale == (0.125, 0.125)


def test_boxes_are_clipped_to_the_photo() -> None:
    found = decode(raw((5, 5, 40, 40, 0.9, 0)), PROTOTYPES, letterbox(PHOTO, 640), PHOTO.shape, NAMES, 0.25)
    np.testing.assert_allclose(found.boxes, [[0, 0, 50, 50]])


def test_what_lies_in_the_padding_alone_is_dropped() -> None:
    boxed = letterbox(np.zeros((950, 1280, 3), dtype=np.uint8), 640)  # 475 rows of the network's 480
    rows = raw((100, 478, 20, 4, 0.9, 0), (100, 472, 20, 12, 0.8, 0))
    found = decode(rows, PROTOTYPES, boxed, (950, 1280, 3), NAMES, 0.25)
    np.testing.assert_allclose(found.boxes, [[180, 932, 220, 950]], atol=0.1)


def test_detections_under_the_confidence_are_dropped() -> None:
    rows = raw((100, 100, 20, 20, 0.24, 0), (300, 300, 20, 20, 0.26, 0))
    assert len(decode(rows, PROTOTYPES, letterbox(PHOTO, 640), PHOTO.shape, NAMES, 0.25)) == 1


def test_one_thing_is_either_a_hold_or_a_volume() -> None:
    rows = raw((100, 100, 80, 80, 0.6, 0), (102, 100, 80, 80, 0, 0.7), (100, 100, 20, 20, 0.5, 0))
    found = decode(rows, PROTOTYPES, letterbox(PHOTO, 640), PHOTO.shape, NAMES, 0.25)
    # The volume wins over the hold of the same shape; the small hold screwed onto it stays.
    assert found.classes.tolist() == [1, 0]


def test_a_second_look_at_a_part_of_a_hold_is_dropped() -> None:
    rows = raw(
        (100, 100, 80, 80, 0.6, 0),  # a hold
        (100, 85, 78, 45, 0.5, 0),  # its upper half
        (300, 300, 40, 40, 0.7, 0),  # a hold
        (305, 305, 60, 80, 0.5, 0),  # the same with its shadow
        (100, 110, 20, 20, 0.5, 0),  # far smaller: a foot chip on top of it
    )
    found = decode(rows, PROTOTYPES, letterbox(PHOTO, 640), PHOTO.shape, NAMES, 0.25)
    assert sorted((found.boxes[:, 2] - found.boxes[:, 0]).round().tolist()) == [40, 80, 160]


def test_a_head_without_nms_gives_the_same_detections() -> None:
    end_to_end = np.zeros((1, 300, 38), dtype=np.float32)
    end_to_end[0, 0, :6] = [90, 45, 110, 55, 0.9, 1]
    found = decode(end_to_end, PROTOTYPES, letterbox(PHOTO, 640), PHOTO.shape, NAMES, 0.25)
    np.testing.assert_allclose(found.boxes, [[180, 90, 220, 110]])
    assert found.classes.tolist() == [1]


def test_classes_of_other_networks_are_holds_unless_they_are_called_volume() -> None:
    predictions = np.zeros((1, 4 + 3 + 32, 3), dtype=np.float32)
    for index in range(3):
        predictions[0, :4, index] = [100 + 100 * index, 100, 20, 20]
        predictions[0, 4 + index, index] = 0.9 - index / 10
    found = decode(
        predictions, PROTOTYPES, letterbox(PHOTO, 640), PHOTO.shape, ("jug", "volume", "crimp"), 0.25
    )
    assert found.classes.tolist() == [0, 1, 0]


def test_a_photo_without_holds_gives_no_detections() -> None:
    found = decode(raw((1, 1, 1, 1, 0, 0)), PROTOTYPES, letterbox(PHOTO, 640), PHOTO.shape, NAMES, 0.25)
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)


def test_the_fake_says_that_it_is_one() -> None:
    fake = FakeDetector()
    assert fake.info.is_dummy
    assert len(fake.detect(PHOTO)) == 12
