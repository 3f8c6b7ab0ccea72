"""From boxes to outlines: the whole chain in short on rendered walls, and its parts."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from training.datasets import Photo, load_split
from training.outlines import (
    Outline,
    Scored,
    average_logits,
    draw_outlines,
    ellipse,
    outline_iou,
    photos_with_boxes_only,
    photos_with_polygons,
    report,
    score,
    write_outlines,
)
from training.segmenter import CropSegmenter, Run, Schedule, Sources, batches, load_segmenter, outlined
from training.segmenter_crops import SIDE, CropRecipe
from training.walls import WallSpec, render, write_dataset

BOXES_ONLY = "wall_12", "wall_13"
SQUARE = np.array([[10, 10], [30, 10], [30, 30], [10, 30]], np.float32)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten rendered walls to learn from, two to measure on, and one of each split without its polygons."""
    folder = tmp_path_factory.mktemp("walls")
    names = [("train", f"wall_{seed:02}") for seed in range(10)]
    names += [("val", "wall_10"), ("val", "wall_11"), ("train", BOXES_ONLY[0]), ("val", BOXES_ONLY[1])]
    specs = [WallSpec(640, 480, seed, light="easy", quality="clean") for seed in range(len(names))]
    write_dataset(folder, ((*name, render(spec)) for name, spec in zip(names, specs, strict=True)))
    for split, name in names[-2:]:
        (folder / "polygons" / split / f"{name}.txt").unlink()
    return folder


@pytest.fixture(scope="module")
def trained(data: Path) -> CropSegmenter:
    """A narrow network after 250 steps: by steps, so that a busy machine trains it as well as an idle one."""
    torch.manual_seed(0)
    folder = data / "run"
    folder.mkdir()
    sources = Sources(real=outlined([photo for photo in load_split(data, "train") if photo.drawn_by_hand]))
    schedule = Schedule(seconds=1e9, learning_rate=1e-2, warmup_steps=10)
    run = Run(CropSegmenter((8, 16, 24, 24)), schedule, folder)
    recipe = CropRecipe(hsv=(0.3, 0.5, 0.4), harsh_chance=0, blur_chance=0, jpeg_chance=0, smallest=1e9)
    for inputs, masks in islice(batches(sources, 8, recipe, np.random.default_rng(0)), 250):
        run.train_step(inputs, masks)
    run.save()
    return load_segmenter(folder / "segmenter.safetensors")


class ByRedness(torch.nn.Module):
    """An ideal answer for red holds on grey: no training needed."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return (inputs[:, 0] - inputs[:, 2]) * 8 - 4


def red_square(box: list[float]) -> Photo:
    pixels = np.full((60, 60, 3), 100, np.uint8)
    pixels[10:30, 10:30] = (250, 30, 30)
    return Photo("red", pixels, np.array([0]), np.array([box], np.float32), (SQUARE,), True)


def test_a_short_training_beats_the_ellipse_on_a_wall_it_never_saw(
    data: Path, trained: CropSegmenter
) -> None:
    rows = score([trained], photos_with_polygons(data, "val"))
    assert len(rows) > 60
    ours, plain = (np.mean([getattr(row, name) for row in rows]) for name in ("ours", "ellipse"))
    assert ours > plain + 0.02


def test_written_outlines_are_a_data_set_with_a_row_inside_each_box(
    data: Path, trained: CropSegmenter, tmp_path: Path
) -> None:
    count = write_outlines([trained], data, tmp_path / "out", ["train", "val"], views=1)
    photos = [p for split in ("train", "val") for p in load_split(tmp_path / "out", split)]
    ours = [photo for photo in photos if not photo.drawn_by_hand]
    assert [photo.name for photo in ours] == list(BOXES_ONLY)
    assert count == sum(len(photo.boxes) for photo in ours)
    for photo in ours:
        assert len(photo.outlines) == len(photo.boxes)
        for outline, box in zip(photo.outlines, photo.boxes, strict=True):
            assert len(outline) >= 3
            assert (outline.min(0) >= box[:2] - 0.01).all()
            assert (outline.max(0) <= box[2:] + 0.01).all()
    sure = np.loadtxt(tmp_path / "out" / "confidence" / "train" / f"{BOXES_ONLY[0]}.txt")
    assert len(sure) == len(ours[0].boxes)
    assert sure.min() >= 0
    assert sure.max() <= 1


def test_writing_again_replaces_the_outlines(data: Path, trained: CropSegmenter, tmp_path: Path) -> None:
    first, again = (write_outlines([trained], data, tmp_path, ["val"], views=1) for _ in range(2))
    assert first == again


def test_a_split_that_is_not_there_is_an_error(data: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_outlines([ByRedness()], data, tmp_path, ["nowhere"])


def test_only_photos_without_polygons_are_drawn(data: Path) -> None:
    assert [photo.name for photo in photos_with_boxes_only(data, "val")] == [BOXES_ONLY[1]]
    assert [photo.name for photo in photos_with_polygons(data, "val")] == ["wall_10", "wall_11"]
    assert photos_with_polygons(data, "nowhere") == []


@pytest.mark.parametrize("views", [1, 2, 8])
def test_a_clear_hold_is_traced_to_a_fraction_of_a_pixel(views: int) -> None:
    (outline,) = draw_outlines([ByRedness()], red_square([10, 10, 30, 30]), views)
    assert outline_iou(outline.points, SQUARE) > 0.97
    assert np.abs(outline.points.max(0) - 30).max() < 0.5
    assert outline.confidence > 0.8


def test_an_outline_is_clipped_to_its_box_and_doubted_where_it_misses_a_side() -> None:
    (cut,) = draw_outlines([ByRedness()], red_square([10, 10, 20, 30]))
    assert cut.points.max(0)[0] <= 20
    (loose,) = draw_outlines([ByRedness()], red_square([10, 10, 40, 30]))
    assert outline_iou(loose.points, SQUARE) > 0.95
    assert loose.confidence < 0.6


def test_a_box_with_nothing_in_it_gets_an_ellipse_without_confidence() -> None:
    empty = red_square([35, 35, 55, 55])
    (outline,) = draw_outlines([ByRedness()], empty)
    assert np.array_equal(outline.points, ellipse(empty.boxes[0]))
    assert outline.confidence == 0


def test_a_box_that_leaves_the_photo_is_clipped_to_it() -> None:
    photo = replace(red_square([10, 10, 30, 30]), boxes=np.array([[-5, -5, 30, 30]], np.float32))
    (outline,) = draw_outlines([ByRedness()], photo)
    assert isinstance(outline, Outline)
    assert outline.points.min() >= 0


def test_every_view_is_turned_back_before_averaging() -> None:
    inputs = torch.rand(2, 5, SIDE, SIDE)
    alone = average_logits([ByRedness()], inputs, 1)
    assert average_logits([ByRedness(), ByRedness()], inputs, 8) == pytest.approx(alone, abs=1e-4)


def test_an_ellipse_covers_its_share_of_the_box() -> None:
    assert outline_iou(ellipse(np.array([0, 0, 80, 40], np.float32)), SQUARE) < 0.5
    full = np.array([[0, 0], [80, 0], [80, 40], [0, 40]], np.float32)
    assert outline_iou(ellipse(np.array([0, 0, 80, 40], np.float32)), full) == pytest.approx(0.785, abs=0.02)


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (10, 1 / 3), (25, 0.0)])
def test_outline_iou_of_shifted_squares(shift: float, expected: float) -> None:
    moved = SQUARE + np.array([shift, 0], np.float32)
    assert outline_iou(SQUARE, moved) == pytest.approx(expected, abs=0.03)


def test_the_report_tells_kinds_and_sizes_apart() -> None:
    text = report([Scored(0, 20.0, 0.9, 0.7), Scored(0, 50.0, 0.8, 0.6), Scored(1, 200.0, 0.5, 0.4)])
    assert "| all | 3 | 0.567 | 0.733 | 0.333 |" in text
    assert "| volume | 1 | 0.400 | 0.500 | 1.000 |" in text
    assert "| hold 0-24 px | 1 | 0.700 | 0.900 | 0.000 |" in text
    assert "24-48" not in text
