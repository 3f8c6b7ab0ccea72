"""Train the crop segmenter, which turns a box into a mask: `python -m training.segmenter --help`.

A U-Net (Ronneberger et al., 2015, https://arxiv.org/abs/1505.04597) sees one crop and its box and answers
how likely each pixel belongs to the boxed object. As in training.detector, the schedule follows the clock.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import cos, pi
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.checkpoints import save_weights, save_whole
from training.datasets import Photo, load_split
from training.segmenter_crops import Crop, CropRecipe, crop_of, network_input
from training.segmenter_cutouts import Cutout, cutouts_of, paste

WIDTHS = (24, 48, 96, 96)
"""Channels at a half, quarter, eighth and sixteenth of the crop's resolution: 0.6 million parameters."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What decides the run. Times are seconds of training."""

    seconds: float
    learning_rate: float = 2e-3
    final_fraction: float = 0.02
    warmup_steps: int = 40
    weight_decay: float = 1e-2
    batch: int = 32
    save_every: float = 120.0

    def rate(self, step: int, elapsed: float) -> float:
        """Learning rate: linear warm-up by steps, then a cosine over the time."""
        done = min(elapsed / self.seconds, 1.0)
        cosine = self.final_fraction + (1 - self.final_fraction) * (1 + cos(pi * done)) / 2
        return self.learning_rate * cosine * min(1.0, (step + 1) / self.warmup_steps)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(),
    )


class CropSegmenter(nn.Module):
    """(B, 5, side, side), as network_input makes it -> (B, side, side) logits; side a multiple of 16.

    The first step folds 2x2 pixels into channels and the last unfolds them: full resolution at a quarter of
    the work.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        inputs = (20, *widths[:-1])
        self.down = nn.ModuleList(_block(i, o) for i, o in zip(inputs, widths, strict=True))
        coarse_to_fine = list(zip(widths[::-1], widths[-2::-1], strict=False))
        self.up = nn.ModuleList(_block(i + o, o) for i, o in coarse_to_fine)
        self.head = nn.Conv2d(widths[0] + 20, 4, 1)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        folded = functional.pixel_unshuffle(crops, 2)
        levels, value = [], folded
        for number, block in enumerate(self.down):
            value = block(functional.max_pool2d(value, 2) if number else value)
            levels.append(value)
        for block, finer in zip(self.up, levels[-2::-1], strict=True):
            value = functional.interpolate(value, scale_factor=2.0, mode="bilinear", align_corners=False)
            value = block(torch.cat([value, finer], 1))
        logits: torch.Tensor = functional.pixel_shuffle(self.head(torch.cat([value, folded], 1)), 2)
        return logits[:, 0]


def load_segmenter(path: Path) -> CropSegmenter:
    """A segmenter in eval mode from the safetensors file that a run leaves."""
    from safetensors.torch import load_file

    state = {name: value.float() for name, value in load_file(path).items()}
    widths = [state[f"down.{level}.0.weight"].shape[0] for level in range(len(WIDTHS))]
    model = CropSegmenter(widths)
    model.load_state_dict(state)
    return model.eval()


def mask_loss(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy plus soft Dice (Milletari et al., 2016) of (B, side, side), mean over crops."""
    entropy = functional.binary_cross_entropy_with_logits(logits, masks)
    chance = logits.sigmoid()
    shared = (chance * masks).sum((1, 2))
    dice = 1 - (2 * shared + 1) / (chance.sum((1, 2)) + masks.sum((1, 2)) + 1)
    return entropy + dice.mean()


@dataclass(frozen=True, slots=True)
class Sources:
    """Where crops come from, with the weight of each in a batch."""

    real: Sequence[tuple[Photo, int]]
    """Objects of photos with hand-drawn outlines: (photo, row)."""
    drawn: Sequence[tuple[Photo, int]] = ()
    """Objects of rendered walls."""
    pseudo: Sequence[tuple[Photo, int]] = ()
    """Objects of photos whose outlines an earlier segmenter drew."""
    cutouts: Sequence[Cutout] = ()
    """Holds to paste onto `walls`."""
    walls: Sequence[Photo] = ()
    weights: tuple[float, float, float, float] = (0.5, 0.15, 0.4, 0.35)
    """Of real, drawn, pseudo and pasted crops; an empty source falls away."""

    def crop(self, recipe: CropRecipe, rng: np.random.Generator) -> Crop:
        """One random crop."""
        pools = (self.real, self.drawn, self.pseudo, self.cutouts if self.walls else ())
        weights = np.array([w if pool else 0.0 for w, pool in zip(self.weights, pools, strict=True)])
        source = int(rng.choice(4, p=weights / weights.sum()))
        if source == 3:
            return paste(self.cutouts, self.walls, recipe, rng)
        objects = (self.real, self.drawn, self.pseudo)[source]
        photo, row = objects[int(rng.integers(len(objects)))]
        return crop_of(photo, row, recipe, rng)


def outlined(photos: Sequence[Photo], volume_repeats: int = 1) -> list[tuple[Photo, int]]:
    """(photo, row) of every outlined object that is large enough; volumes may count repeatedly."""
    rows = []
    for photo in photos:
        for row, outline in enumerate(photo.outlines):
            if (outline.max(0) - outline.min(0)).min() >= 4:
                rows += [(photo, row)] * (volume_repeats if photo.classes[row] == 1 else 1)
    return rows


def batches(
    sources: Sources, size: int, recipe: CropRecipe, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless (B, 5, SIDE, SIDE) inputs with their (B, SIDE, SIDE) masks."""
    while True:
        crops = [sources.crop(recipe, rng) for _ in range(size)]
        inputs = np.stack([network_input(crop.pixels, crop.box, crop.kind) for crop in crops])
        yield torch.from_numpy(inputs), torch.from_numpy(np.stack([crop.mask for crop in crops]))


class Run:
    """One training run and everything needed to take it up again after a stop."""

    def __init__(self, model: CropSegmenter, schedule: Schedule, folder: Path, seed: int = 0) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.schedule = schedule
        self.folder = folder
        self.seed = seed
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        self.average = deepcopy(self.model).eval()
        self.step = 0
        self.elapsed = 0.0

    @property
    def checkpoint(self) -> Path:
        return self.folder / "run.pt"

    def train_step(self, inputs: torch.Tensor, masks: torch.Tensor) -> float:
        """One update; returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.step, self.elapsed)
        inputs = inputs.to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            logits = self.model(inputs)
        loss = mask_loss(logits.float(), masks.to(self.device))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self._update_average()
        self.step += 1
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        # Ramped up, so that the first steps' random weights are soon forgotten.
        decay = 0.997 * (1 - np.exp(-(self.step + 1) / 100))
        for kept, new in zip(
            self.average.state_dict().values(), self.model.state_dict().values(), strict=True
        ):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    def save(self) -> None:
        """Write run.pt (to resume) and segmenter.safetensors (averaged weights), each whole or not at all."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "elapsed": self.elapsed,
        }
        save_whole(state, self.checkpoint)
        save_weights(self.average, self.folder / "segmenter.safetensors")

    def resume(self) -> None:
        """Take up the folder's run.pt, if there is one."""
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, weights_only=True, map_location=self.device)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.elapsed = state["step"], state["elapsed"]

    def train(self, sources: Sources, recipe: CropRecipe) -> None:
        """Train until the schedule's time is used up, saving now and then and at the end."""
        self.model.train()
        last_save = time.monotonic()
        began = last_save - self.elapsed
        rng = np.random.default_rng((self.seed, self.step))  # a resumed run must not see the same crops again
        for inputs, masks in batches(sources, self.schedule.batch, recipe, rng):
            if self.elapsed >= self.schedule.seconds:
                break
            loss = self.train_step(inputs, masks)
            self.elapsed = time.monotonic() - began
            if self.step % 20 == 0:
                self._log(loss)
            if time.monotonic() - last_save > self.schedule.save_every:
                self.save()
                last_save = time.monotonic()
        self.save()

    def _log(self, loss: float) -> None:
        row = {"step": self.step, "elapsed": round(self.elapsed, 1), "loss": round(loss, 5)}
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")


def pseudo_objects(photos: Sequence[Photo], root: Path, least: float) -> list[tuple[Photo, int]]:
    """(photo, row) of the machine-drawn outlines whose confidence is `least` or more.

    `root` is the folder that training.outlines wrote and that the photos of its train split come from.
    """
    chosen = []
    for photo in photos:
        path = root / "confidence" / "train" / f"{photo.name}.txt"
        if photo.drawn_by_hand or not path.exists():
            continue
        sure = np.loadtxt(path, ndmin=1) >= least
        chosen += [(p, row) for p, row in outlined([photo], volume_repeats=3) if sure[row]]
    return chosen


def gather(data: Path, drawn: Path | None, pseudo: Path | None, least: float) -> Sources:
    """Everything to learn from: polygons, rendered walls, earlier outlines, catalogue holds to paste."""
    photos = load_split(pseudo or data, "train")
    by_hand = [photo for photo in photos if photo.drawn_by_hand]
    catalogue = load_split(data, "catalogue") if (data / "images" / "catalogue").is_dir() else []
    return Sources(
        real=outlined(by_hand, volume_repeats=3),
        drawn=outlined(load_split(drawn, "train"), volume_repeats=3) if drawn else (),
        pseudo=pseudo_objects(photos, pseudo, least) if pseudo else (),
        cutouts=cutouts_of(by_hand, catalogue),
        walls=[photo for photo in photos if not photo.drawn_by_hand],
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with images, boxes, polygons")
    parser.add_argument("--drawn", type=Path, help="a folder of rendered walls to mix in")
    parser.add_argument("--pseudo", type=Path, help="what training.outlines wrote of DATA, to learn from too")
    parser.add_argument("--least", type=float, default=0.8, help="confidence from which its outlines count")
    parser.add_argument("--out", type=Path, default=Path("build/training/segmenter"))
    parser.add_argument("--weights", type=Path, help="safetensors of an earlier run to begin with")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Train, or take up a run whose folder holds a run.pt."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    torch.manual_seed(arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    schedule = Schedule(seconds=arguments.minutes * 60, learning_rate=arguments.lr)
    model = load_segmenter(arguments.weights) if arguments.weights else CropSegmenter()
    run = Run(model, schedule, arguments.out, arguments.seed)
    run.resume()
    sources = gather(arguments.data, arguments.drawn, arguments.pseudo, arguments.least)
    counts = [len(pool) for pool in (sources.real, sources.drawn, sources.pseudo, sources.cutouts)]
    print("objects: real {}, rendered {}, pseudo {}, to paste {}".format(*counts), flush=True)
    run.train(sources, CropRecipe())


if __name__ == "__main__":
    main()
