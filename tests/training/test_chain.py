"""From data to figures in short form: render, train, prepare, evaluate. Three steps owe no accuracy."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from holdcheck import cli
from holdcheck.evaluate.figures import LOWER_IS_BETTER, NAMES
from holdcheck.manifest import Manifest
from training import score
from training.datasets import CropRecipe, load_split
from training.detector import Run, Schedule, Stage, batches, new_model
from training.walls import WallSpec, render, write_dataset

STEPS = 3
SMALL = Stage(shapes=((160, 192),), recipe=CropRecipe(long_side=(192.0, 256.0)), batch=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    splits = (("train", 0), ("train", 1), ("val", 2), ("val", 3))
    write_dataset(
        folder, ((split, f"drawn_{seed}", render(WallSpec(320, 240, seed))) for split, seed in splits)
    )
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A detector after STEPS updates, saved as training saves it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    made = Run(new_model(None), Schedule(seconds=60.0, warmup_steps=1), tmp_path_factory.mktemp("run"))
    made.model.train()
    feed = batches(load_split(data, "train"), [], lambda: SMALL, np.random.default_rng(0))
    for _ in range(STEPS):
        losses = made.train_step(next(feed))
        assert all(np.isfinite(value) for value in losses.values())
    made.save()
    yield made
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def models(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MODELS_DIR after `prepare --yolo`."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODELS_DIR", str(folder))
        assert cli.main(["prepare", "--yolo", str(run.folder / "ema.pt")]) == 0
    return folder


def test_training_moves_the_weights_and_can_be_taken_up_again(run: Run) -> None:
    torch.manual_seed(0)
    untrained = new_model(None).state_dict()
    moved = [
        name
        for name, value in run.model.state_dict().items()
        if value.is_floating_point() and not torch.equal(value, untrained[name])
    ]
    assert len(moved) > len(untrained) / 2
    again = Run(new_model(None), run.schedule, run.folder)
    again.resume()
    assert again.step == STEPS
    for name, value in again.model.state_dict().items():
        assert torch.equal(value, run.model.state_dict()[name])


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_what_was_trained_is_prepared_and_measured(
    runtime: str, data: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Manifest.read(models / "yolo" / "ema").classes == ("hold", "volume")
    monkeypatch.chdir(tmp_path)
    settings = {
        "MODELS_DIR": str(models),
        "YOLO_WEIGHTS": "ema.pt",
        "YOLO_IMG_SIZE": "320",
        "RUNTIME": runtime,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert cli.main(["evaluate", str(data), "--json", "figures.json"]) == 0
    written = json.loads(Path("figures.json").read_text())
    assert written["models"]["detector"]["name"] == "ema"
    assert written["runtime"] == runtime
    assert set(written["figures"]) <= {*NAMES, *LOWER_IS_BETTER}
    assert {"hold.f1", "hold.box_ap50", "hold.mask_ap", "hold.recall_16_to_32"} <= set(written["figures"])
    assert all(0 <= value <= 1 for value in written["figures"].values())
    assert written["counts"]["wall"] == 2


def test_checkpoints_are_scored_as_artefacts_are(run: Run, data: Path) -> None:
    model = score.load_model(run.folder / "ema.safetensors")
    photos = load_split(data, "val")
    found = [score.find(model, photo, 320, with_masks=True) for photo in photos]
    text = score.report([score.truth_of(photo) for photo in photos], found, [0.4])
    holds = sum(int((photo.classes == 0).sum()) for photo in photos)
    assert f"| hold | >= 0 | {holds} | 0.40 |" in text
    assert "mask, 2 photos: hold AP" in text
