"""The crop segmenter's network, schedule and run."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from training.checkpoints import save_weights
from training.datasets import Photo, load_split
from training.segmenter import (
    CropSegmenter,
    Run,
    Schedule,
    Sources,
    batches,
    load_segmenter,
    mask_loss,
    outlined,
    pseudo_objects,
)
from training.segmenter_crops import SIDE, CropRecipe

NARROW = (4, 8, 8, 8)


@pytest.fixture
def photo() -> Photo:
    """A large red square, a small one beside it and a tiny one, on grey."""
    pixels = np.full((100, 100, 3), 128, np.uint8)
    corners = []
    for left, top, side in ((10, 10, 40), (60, 60, 12), (90, 90, 2)):
        pixels[top : top + side, left : left + side] = (220, 20, 20)
        square = [[0, 0], [side, 0], [side, side], [0, side]]
        corners.append(np.array(square, np.float32) + np.array([left, top]))
    outlines = tuple(np.asarray(square, np.float32) for square in corners)
    boxes = np.stack([np.concatenate([o.min(0), o.max(0)]) for o in outlines])
    return Photo("squares", pixels, np.array([1, 0, 0]), boxes, outlines, True)


def run_for(seconds: float, folder: Path) -> Run:
    torch.manual_seed(0)
    return Run(CropSegmenter(NARROW), Schedule(seconds, learning_rate=1e-2, warmup_steps=10, batch=4), folder)


def test_the_network_answers_one_logit_for_each_pixel() -> None:
    assert CropSegmenter(NARROW)(torch.zeros(2, 5, SIDE, SIDE)).shape == (2, SIDE, SIDE)


def test_the_network_has_less_than_a_million_parameters() -> None:
    assert 2e5 < sum(p.numel() for p in CropSegmenter().parameters()) < 8e5


def test_weights_of_any_width_come_back_from_disk(tmp_path: Path) -> None:
    model = CropSegmenter(NARROW).eval()
    save_weights(model, tmp_path / "w.safetensors")
    inputs = torch.rand(1, 5, SIDE, SIDE)
    back = load_segmenter(tmp_path / "w.safetensors")(inputs)
    assert torch.allclose(back, model(inputs), atol=0.02)  # float16 on disk


def test_a_right_mask_costs_nothing_and_a_wrong_one_much() -> None:
    masks = torch.zeros(1, 8, 8)
    masks[:, 2:6, 2:6] = 1
    assert mask_loss((masks - 0.5) * 40, masks).item() < 0.01
    assert mask_loss((0.5 - masks) * 40, masks).item() > 10


def test_the_learning_rate_warms_up_by_steps_and_falls_by_the_clock() -> None:
    schedule = Schedule(100.0, learning_rate=1.0, warmup_steps=10, final_fraction=0.1)
    assert schedule.rate(0, 0.0) == pytest.approx(0.1)
    assert schedule.rate(99, 50.0) == pytest.approx(0.55)
    assert schedule.rate(99, 200.0) == pytest.approx(0.1)


def test_volumes_count_repeatedly_and_specks_not_at_all(photo: Photo) -> None:
    assert [row for _, row in outlined([photo], volume_repeats=3)] == [0, 0, 0, 1]


def test_training_lowers_the_loss_and_saves_what_it_learnt(photo: Photo, tmp_path: Path) -> None:
    run = run_for(1e9, tmp_path)
    sources, rng = Sources(real=outlined([photo])), np.random.default_rng(0)
    losses = [run.train_step(*batch) for batch in islice(batches(sources, 4, CropRecipe(), rng), 60)]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    run.save()
    kept, saved = run.average.state_dict(), load_segmenter(tmp_path / "segmenter.safetensors").state_dict()
    assert all(torch.allclose(kept[name].float(), saved[name].float(), atol=1e-2) for name in kept)


def test_a_run_logs_its_loss_as_it_goes(photo: Photo, tmp_path: Path) -> None:
    run = run_for(1e9, tmp_path)
    run.step = 19
    run.schedule = replace(run.schedule, seconds=1e-6)
    run.train(Sources(real=outlined([photo])), CropRecipe())
    (row,) = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert row["step"] == 20
    assert 0 < row["loss"] < 5


def test_a_stopped_run_goes_on_where_it_was(photo: Photo, tmp_path: Path) -> None:
    first = run_for(0.5, tmp_path)
    first.train(Sources(real=outlined([photo])), CropRecipe())
    again = run_for(1.0, tmp_path)
    again.resume()
    assert (again.step, again.elapsed) == (first.step, first.elapsed)
    assert torch.equal(again.model.head.weight, first.model.head.weight)
    again.train(Sources(real=outlined([photo])), CropRecipe())
    assert again.step > first.step
    assert again.elapsed >= 1.0


def test_a_finished_run_does_not_train_on(photo: Photo, tmp_path: Path) -> None:
    first = run_for(0.5, tmp_path)
    first.train(Sources(real=outlined([photo])), CropRecipe())
    again = run_for(0.5, tmp_path)
    again.resume()
    again.train(Sources(real=outlined([photo])), CropRecipe())
    assert again.step == first.step


def test_sources_that_are_empty_fall_away(photo: Photo) -> None:
    rng = np.random.default_rng(0)
    crops = [Sources(real=[(photo, 0)], drawn=[(photo, 1)]).crop(CropRecipe(), rng) for _ in range(40)]
    share = np.mean([crop.kind for crop in crops])
    assert 0.5 < share < 1.0  # weights 0.5 to 0.15


def test_only_confident_machine_drawn_outlines_are_learnt_from(tmp_path: Path) -> None:
    import cv2

    for folder, rows in {
        "boxes": "0 0.3 0.3 0.2 0.2\n0 0.7 0.7 0.2 0.2\n",
        "outlines": "0 0.2 0.2 0.4 0.2 0.3 0.4\n0 0.6 0.6 0.8 0.6 0.7 0.8\n",
        "confidence": "0.5\n0.9\n",
    }.items():
        (tmp_path / folder / "train").mkdir(parents=True)
        (tmp_path / folder / "train" / "a.txt").write_text(rows)
    (tmp_path / "images" / "train").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "images" / "train" / "a.jpg"), np.zeros((100, 100, 3), np.uint8))
    photos = load_split(tmp_path, "train")
    assert [row for _, row in pseudo_objects(photos, tmp_path, 0.8)] == [1]
