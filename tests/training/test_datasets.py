"""What training reads and crops, on photos of a few pixels."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.clutter import ClutterRecipe
from training.datasets import CropRecipe, Photo, collate, load_photo, load_split, random_crop
from training.people import PeopleRecipe

SIZE = (64, 96)
PLAIN = CropRecipe(
    long_side=(100.0, 100.0),
    max_enlargement=1.0,
    aspect_jitter=0.0,
    rotation_chance=0.0,
    hsv=(0.0, 0.0, 0.0),
    clutter=ClutterRecipe(chance=0.0),
    people=PeopleRecipe(chance=0.0),
    harsh_chance=0.0,
    blur_chance=0.0,
    noise_chance=0.0,
)
LARGE, SMALL = [10, 10, 60, 50], [30, 20, 42, 32]


def square(x1: float, y1: float, x2: float, y2: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)


@pytest.fixture
def wall() -> Photo:
    """100 x 80 of grey; a small red hold on a large blue volume."""
    pixels = np.full((80, 100, 3), 128, np.uint8)
    pixels[10:50, 10:60] = (0, 0, 255)
    pixels[20:32, 30:42] = (255, 0, 0)
    return Photo(
        name="wall",
        pixels=pixels,
        classes=np.array([0, 1]),
        boxes=np.array([SMALL, LARGE], np.float32),
        outlines=(square(*SMALL), square(*LARGE)),
        drawn_by_hand=True,
    )


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Lays out a data set of one photo, 100 x 50, in the way of the hold data."""

    def write_rows(**folders: str) -> Path:
        for folder, rows in folders.items():
            path = tmp_path / folder / "train" / "a.txt"
            path.parent.mkdir(parents=True)
            path.write_text(rows)
        photo = tmp_path / "images" / "train" / "a.jpg"
        photo.parent.mkdir(parents=True)
        cv2.imwrite(str(photo), np.full((50, 100, 3), (255, 0, 0), np.uint8))
        (tmp_path / "index.csv").write_text("name,split\na,train\nb,val\n")
        return tmp_path

    return write_rows


def test_boxes_are_read_as_corners_in_pixels(write: Callable[..., Path]) -> None:
    photo = load_photo(write(boxes="1 0.5 0.5 0.2 0.4\n"), "train", "a")
    np.testing.assert_allclose(photo.boxes, [[40, 15, 60, 35]], atol=1e-4)
    assert photo.classes.tolist() == [1]


def test_photos_are_read_as_rgb(write: Callable[..., Path]) -> None:
    photo = load_photo(write(boxes=""), "train", "a")
    red, green, blue = photo.pixels.reshape(-1, 3).mean(0)
    assert blue > 200 > max(red, green)


def test_polygons_are_preferred_to_machine_made_outlines(write: Callable[..., Path]) -> None:
    root = write(
        boxes="0 0.5 0.5 0.2 0.4\n", polygons="0 0.4 0.3 0.6 0.3 0.5 0.7\n", outlines="0 0 0 0 1 1 1\n"
    )
    photo = load_photo(root, "train", "a")
    assert photo.drawn_by_hand
    np.testing.assert_allclose(photo.outlines[0], [[40, 15], [60, 15], [50, 35]], atol=1e-4)


def test_outlines_are_used_where_there_is_no_polygon(write: Callable[..., Path]) -> None:
    photo = load_photo(
        write(boxes="0 0.5 0.5 0.2 0.4\n", outlines="0 0.4 0.3 0.6 0.3 0.5 0.7\n"), "train", "a"
    )
    assert not photo.drawn_by_hand
    assert len(photo.outlines) == 1


def test_rows_that_do_not_match_are_refused(write: Callable[..., Path]) -> None:
    root = write(boxes="0 0.5 0.5 0.2 0.4\n0 0.2 0.2 0.1 0.1\n", outlines="0 0.4 0.3 0.6 0.3 0.5 0.7\n")
    with pytest.raises(ValueError, match="1 outlines for 2 boxes"):
        load_photo(root, "train", "a")


def test_a_missing_photo_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.jpg"):
        load_photo(tmp_path, "train", "nowhere")


def test_only_the_split_asked_for_is_read(write: Callable[..., Path]) -> None:
    assert [photo.name for photo in load_split(write(boxes=""), "train")] == ["a"]


def test_a_crop_has_the_size_asked_for(wall: Photo) -> None:
    sample = random_crop(wall, SIZE, CropRecipe(), np.random.default_rng(0))
    assert sample.pixels.shape == (*SIZE, 3)
    assert sample.mask.shape == (16, 24)


def test_boxes_follow_the_pixels_through_mirror_and_shift(wall: Photo) -> None:
    for seed in range(8):
        sample = random_crop(wall, SIZE, PLAIN, np.random.default_rng(seed))
        x1, y1, x2, y2 = sample.boxes[sample.classes == 0][0].astype(int)
        red = sample.pixels[:, :, 0] > 200
        assert red[y1:y2, x1:x2].all()
        assert red.sum() == (y2 - y1) * (x2 - x1)


def test_boxes_and_masks_follow_the_pixels_through_rotation(wall: Photo) -> None:
    recipe = CropRecipe(
        long_side=(200.0, 200.0), max_enlargement=2.0, rotation_chance=1.0, hsv=(0.0, 0.0, 0.0)
    )
    sample = random_crop(wall, (192, 224), recipe, np.random.default_rng(1))
    red = (sample.pixels[:, :, 0] > 150) & (sample.pixels[:, :, 2] < 100)
    rows, columns = np.nonzero(red)
    box = sample.boxes[sample.classes == 0][0]
    np.testing.assert_allclose(box, [columns.min(), rows.min(), columns.max(), rows.max()], atol=3)
    number = int(np.flatnonzero(sample.classes == 0)[0]) + 1
    mask = (
        cv2.resize((sample.mask == number).astype(np.uint8), (224, 192), interpolation=cv2.INTER_NEAREST) > 0
    )
    assert (mask & red).sum() / (mask | red).sum() > 0.7


def test_the_smaller_object_lies_on_top(wall: Photo) -> None:
    recipe = CropRecipe(long_side=(100.0, 100.0), aspect_jitter=0.0, rotation_chance=0.0)
    sample = random_crop(wall, (96, 128), recipe, np.random.default_rng(0))
    assert sample.classes.tolist() == [1, 0]  # sorted from large to small
    x1, y1, x2, y2 = sample.boxes[1]
    assert sample.mask[int((y1 + y2) / 8), int((x1 + x2) / 8)] == 2
    assert (sample.mask == 1).any()


def test_an_object_outside_the_window_is_dropped(wall: Photo) -> None:
    counts = {
        len(random_crop(wall, (32, 32), PLAIN, np.random.default_rng(seed)).classes) for seed in range(40)
    }
    assert 0 in counts or 1 in counts
    for seed in range(40):
        boxes = random_crop(wall, (32, 32), PLAIN, np.random.default_rng(seed)).boxes
        assert ((boxes >= 0) & (boxes <= 32)).all()


def test_the_same_seed_gives_the_same_crop(wall: Photo) -> None:
    first, second = (random_crop(wall, SIZE, CropRecipe(), np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.pixels, second.pixels)
    np.testing.assert_array_equal(first.boxes, second.boxes)


def test_a_batch_is_what_the_loss_reads(wall: Photo) -> None:
    recipe = CropRecipe(long_side=(100.0, 100.0), rotation_chance=0.0)
    empty = Photo("empty", wall.pixels, np.empty(0, np.int64), np.empty((0, 4), np.float32), (), False)
    rng = np.random.default_rng(0)
    batch = collate([random_crop(photo, (96, 128), recipe, rng) for photo in (wall, empty, wall)])
    assert batch["img"].shape == (3, 3, 96, 128)
    assert 0 <= float(batch["img"].min()) <= float(batch["img"].max()) <= 1
    assert batch["masks"].shape == (3, 24, 32)
    assert batch["batch_idx"].tolist() == [0, 0, 2, 2]
    assert batch["cls"].shape == (4, 1)
    assert ((batch["bboxes"] >= 0) & (batch["bboxes"] <= 1)).all()


def test_holds_behind_a_climber_lose_their_label_and_half_hidden_ones_their_hidden_part(wall: Photo) -> None:
    """Whatever the figure looks like: no label may stay where nothing of the hold is to be seen."""
    recipe, hidden = replace(PLAIN, people=PeopleRecipe(chance=1.0, height=(2.0, 3.0))), 0
    for seed in range(20):
        plain = random_crop(wall, SIZE, PLAIN, np.random.default_rng(seed))
        crowded = random_crop(wall, SIZE, recipe, np.random.default_rng(seed))
        assert len(crowded.classes) <= len(plain.classes)
        hidden += len(plain.classes) - len(crowded.classes)
        assert np.count_nonzero(crowded.mask) <= np.count_nonzero(plain.mask)
    assert hidden > 0
