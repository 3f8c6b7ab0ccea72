"""Train the hold detector from a warm start, for a fixed time: `python -m training.detector --help`.

The loop is written out instead of using ultralytics' trainer because the schedule follows the clock: the
learning rate reaches its end when the time given is up, whatever else the machine was doing meanwhile.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import cos, pi
from pathlib import Path
from typing import Any

os.environ.setdefault("YOLO_AUTOINSTALL", "false")

import cv2
import numpy as np
import torch
from torch import nn

from holdcheck import torchvision_shim
from training.checkpoints import save_weights, save_whole
from training.datasets import CropRecipe, Photo, collate, load_split, random_crop
from training.paste import SOME, paste

_HAND_DRAWN_REPEATS = 9


@dataclass(frozen=True, slots=True)
class Stage:
    """How crops are cut for a part of the run."""

    shapes: tuple[tuple[int, int], ...]
    """Batch shapes (height, width), drawn evenly: most wall photos are upright 4:3."""
    recipe: CropRecipe
    batch: int


LEARNING = Stage(
    shapes=((640, 480), (640, 480), (640, 480), (480, 640), (544, 544)), recipe=CropRecipe(), batch=8
)
"""Many small steps: windows of photos at every scale."""
FINISHING = Stage(
    shapes=((928, 704), (928, 704), (704, 928)),
    recipe=CropRecipe(long_side=(736.0, 1024.0), rotation_chance=0.15),
    batch=4,
)
"""Nearly whole photos at the scale of serving: volumes and full-frame context do not fit a small window."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What decides the run. Times are seconds of training."""

    seconds: float
    finishing: float = 0.3
    """Share of the time, at its end, that goes to the FINISHING stage."""
    learning_rate: float = 8e-4
    final_fraction: float = 0.02
    warmup_steps: int = 60
    weight_decay: float = 5e-4
    save_every: float = 300.0
    enlarged: int = 1
    """Crops in a batch, as a multiple of what suits a processor: a GPU takes four times as many."""

    def stage(self, elapsed: float) -> Stage:
        stage = FINISHING if elapsed >= (1 - self.finishing) * self.seconds else LEARNING
        return replace(stage, batch=stage.batch * self.enlarged)

    def rate(self, step: int, elapsed: float) -> float:
        """Learning rate: linear warm-up by steps, then a cosine over the time."""
        done = min(elapsed / self.seconds, 1.0)
        cosine = self.final_fraction + (1 - self.final_fraction) * (1 + cos(pi * done)) / 2
        return self.learning_rate * cosine * min(1.0, (step + 1) / self.warmup_steps)


def new_model(weights: Path | None) -> nn.Module:
    """yolo11n-seg with the classes hold and volume, in float32, from a safetensors state dict if given."""
    torchvision_shim.install()
    from ultralytics import settings
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import SegmentationModel

    settings.update({"sync": False})  # no telemetry
    model: nn.Module = SegmentationModel("yolo11n-seg.yaml", nc=2, verbose=False)
    if weights is not None:
        from safetensors.torch import load_file

        model.load_state_dict({name: value.float() for name, value in load_file(weights).items()})
    model.names = {0: "hold", 1: "volume"}  # type: ignore[assignment]
    model.args = get_cfg(overrides={"task": "segment", "overlap_mask": True, "mask_ratio": 4})
    return model


def make_optimizer(model: nn.Module, schedule: Schedule) -> torch.optim.AdamW:
    """AdamW that decays weights alone: decayed biases and norm gains only lose range."""
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    free = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": schedule.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=(0.9, 0.999))


def batches(
    photos: Sequence[Photo], drawn: Sequence[Photo], stage: Callable[[], Stage], rng: np.random.Generator
) -> Iterator[dict[str, torch.Tensor]]:
    """Endless shuffled passes over the photos; those with hand-drawn outlines come up more often.

    Rendered walls (`drawn`) come up once a pass, though their outlines are exact: they are no photos. Photos
    get holds pasted from others that are outlined in the same way.
    """
    donors = {by_hand: [p for p in photos if p.drawn_by_hand is by_hand] for by_hand in (True, False)}
    repeated = [photo for photo in photos for _ in range(_HAND_DRAWN_REPEATS if photo.drawn_by_hand else 1)]
    everything = [*repeated, *drawn]
    queue: list[int] = []
    while True:
        now = stage()
        while len(queue) < now.batch:
            queue += rng.permutation(len(everything)).tolist()
        chosen, queue = queue[: now.batch], queue[now.batch :]
        shape = now.shapes[rng.integers(len(now.shapes))]
        pasted = [
            paste(everything[i], donors[everything[i].drawn_by_hand], SOME, rng)
            if i < len(repeated)
            else everything[i]
            for i in chosen
        ]
        yield collate([random_crop(wall, shape, now.recipe, rng) for wall in pasted])


def sparse_mask_loss(model: nn.Module, share: float = 0.34) -> Any:
    """Ultralytics' segmentation loss with the mask term on a random share of the assigned anchors.

    Each object has about ten anchors that predict nearly the same mask, and decoding them all is the dearest
    part of the loss. The mask term is a mean over anchors, so a sample of them estimates it without bias.
    """
    from ultralytics.utils.loss import v8SegmentationLoss

    class SparseMaskLoss(v8SegmentationLoss):  # type: ignore[misc]
        def calculate_segmentation_loss(self, fg_mask: torch.Tensor, *rest: Any) -> torch.Tensor:
            chosen = fg_mask & (torch.rand(fg_mask.shape, device=fg_mask.device) < share)
            result: torch.Tensor = super().calculate_segmentation_loss(
                chosen if chosen.any() else fg_mask, *rest
            )
            return result

    return SparseMaskLoss(model)


class Run:
    """One training run and everything needed to take it up again after a stop."""

    def __init__(self, model: nn.Module, schedule: Schedule, folder: Path) -> None:
        from ultralytics.utils.torch_utils import ModelEMA

        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model.criterion = sparse_mask_loss(model)
        self.schedule = schedule
        self.folder = folder
        self.optimizer = make_optimizer(model, schedule)
        self.average = ModelEMA(model, decay=0.999, tau=200)
        self.step = 0
        self.elapsed = 0.0

    @property
    def checkpoint(self) -> Path:
        return self.folder / "run.pt"

    def train_step(self, batch: dict[str, torch.Tensor]) -> dict[str, float]:
        """One update; returns the loss by part. bfloat16 because it is 1.5 times as fast here as float32."""
        rate = self.schedule.rate(self.step, self.elapsed)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = {name: part.to(self.device) for name, part in batch.items()}
        image = batch["img"].contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            predictions = self.model(image)
        losses, parts = self.model.loss(batch, _to_float(predictions))
        self.optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimizer.step()
        self.average.update(self.model)
        self.step += 1
        return {"lr": rate, **{name: float(value) for name, value in parts.items()}}

    def save(self) -> None:
        """Write run.pt (to resume), ema.pt and ema.safetensors (to use), each whole or not at all."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.ema.state_dict(),
            "updates": self.average.updates,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "elapsed": self.elapsed,
        }
        save_whole(state, self.checkpoint)
        save_model(self.average.ema, self.folder / "ema.pt")
        save_weights(self.average.ema, self.folder / "ema.safetensors")

    def resume(self) -> None:
        """Take up the folder's run.pt, if there is one."""
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, weights_only=True, map_location=self.device)
        self.model.load_state_dict(state["model"])
        self.average.ema.load_state_dict(state["average"])
        self.average.updates = state["updates"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.elapsed = state["step"], state["elapsed"]

    def train(self, photos: Sequence[Photo], drawn: Sequence[Photo] = ()) -> None:
        """Train until the schedule's time is used up, saving now and then and at the end."""
        self.model.train()
        last_save = time.monotonic()
        began = last_save - self.elapsed
        # A resumed run must not see the same crops again: the seed takes in the step.
        rng = np.random.default_rng(self.step)
        for batch in batches(photos, drawn, lambda: self.schedule.stage(self.elapsed), rng):
            parts = self.train_step(batch)
            self.elapsed = time.monotonic() - began
            if self.step % 10 == 0:
                self._log(parts)
            if self.elapsed >= self.schedule.seconds:
                break
            if time.monotonic() - last_save > self.schedule.save_every:
                self.save()
                last_save = time.monotonic()
        self.save()

    def _log(self, parts: dict[str, float]) -> None:
        row = {"step": self.step, "elapsed": round(self.elapsed, 1)}
        row.update({name: round(value, 6) for name, value in parts.items()})
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")


def _to_float(value: Any) -> Any:
    """The same nested predictions in float32: the loss takes differences that bfloat16 would lose."""
    if isinstance(value, torch.Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: _to_float(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to_float(item) for item in value)
    return value


def save_model(model: nn.Module, path: Path) -> None:
    """Write a model as ultralytics' own checkpoints look, so that `YOLO(path)` loads it."""
    from copy import deepcopy

    copy = deepcopy(model).cpu().half().eval()
    copy = copy.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    copy.criterion = None  # it holds a local class, which cannot be pickled, and no one needs it again
    arguments = {"task": "segment", "model": "yolo11n-seg.yaml", "imgsz": 640}
    copy.args = arguments
    save_whole({"model": copy, "ema": None, "train_args": arguments, "epoch": -1, "optimizer": None}, path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with images, boxes, polygons, outlines")
    parser.add_argument("--drawn", type=Path, help="a folder of rendered walls to mix in")
    parser.add_argument("--out", type=Path, default=Path("build/training/run"))
    parser.add_argument("--weights", type=Path, help="safetensors state dict to begin with")
    parser.add_argument("--minutes", type=float, default=80.0)
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Train, or take up a run whose folder holds a run.pt."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    torch.manual_seed(0)
    arguments.out.mkdir(parents=True, exist_ok=True)
    enlarged = 4 if torch.cuda.is_available() else 1
    schedule = Schedule(arguments.minutes * 60, learning_rate=arguments.lr, enlarged=enlarged)
    run = Run(new_model(arguments.weights), schedule, arguments.out)
    run.resume()
    drawn = load_split(arguments.drawn, "train") if arguments.drawn else []
    run.train(load_split(arguments.data, "train"), drawn)


if __name__ == "__main__":
    main()
