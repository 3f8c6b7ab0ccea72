"""Score a detector on the val photos: `python -m training.score WEIGHTS DATA --size 640 800`.

`python -m holdcheck evaluate` measures prepared artefacts; this takes a checkpoint as training leaves it, at
several input sizes and confidences in one go. Both count alike (holdcheck.evaluate): recall and precision of
boxes at IoU 0.5 and of the right class; sizes are short sides in pixels of the photo at a long side of 1024,
so that one object falls into one bin whatever size the network worked at.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("YOLO_AUTOINSTALL", "false")

import numpy as np
import torch
from torch import nn

from holdcheck import torchvision_shim
from holdcheck.detector import KINDS, decode, letterbox
from holdcheck.evaluate.labels import Truth
from holdcheck.evaluate.matching import EVERY, Found, Matched, match_all
from holdcheck.evaluate.precision import Precision, average_precision
from holdcheck.evaluate.run import BAR_SIDE, LOWEST_CONFIDENCE, take
from training.datasets import Photo, load_split
from training.detector import new_model

LARGE = (16.0, np.inf)
SIZES = ((0.0, 12.0), (12.0, 16.0), (16.0, 32.0), (32.0, np.inf))
"""Ranges of short sides, [low, high)."""


def load_model(path: Path) -> nn.Module:
    """An ultralytics checkpoint (.pt), or a state dict of yolo11n-seg with two classes (.safetensors)."""
    if path.suffix == ".safetensors":
        return new_model(path).eval()
    torchvision_shim.install()
    # A whole pickled model, as ultralytics writes them: open only what this project wrote.
    model: nn.Module = torch.load(path, weights_only=False)["model"]
    return model.float().eval()


@torch.inference_mode()
def find(model: nn.Module, photo: Photo, long_side: int, with_masks: bool = False) -> Found:
    """Run the detector on one photo through the very code that serves, down to LOWEST_CONFIDENCE."""
    letterboxed = letterbox(photo.pixels, long_side)
    tensor = torch.from_numpy(letterboxed.image).permute(0, 3, 1, 2).float().div_(255)
    predictions, prototypes = (part.numpy() for part in _tensors(model(tensor)))
    shape = photo.pixels.shape
    seen = decode(predictions, prototypes, letterboxed, shape, KINDS, LOWEST_CONFIDENCE)
    return take(seen, shape, with_masks)


def _tensors(raw: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Predictions and prototypes from what ultralytics' segmentation head answers in eval mode."""
    predictions, prototypes = raw[0]
    return predictions, prototypes


def truth_of(photo: Photo) -> Truth:
    """The photo's labels; only outlines drawn by hand are true."""
    height, width = photo.pixels.shape[:2]
    outlines = photo.outlines if photo.drawn_by_hand else None
    return Truth(photo.name, (height, width), photo.classes, photo.boxes, outlines)


def best_confidence(matched: Matched, sides: tuple[float, float]) -> float:
    """The confidence, in steps of 0.01, with the best F1."""
    candidates = np.arange(0.02, 0.9, 0.01)
    return float(max(candidates, key=lambda value: matched.curve(float(value), sides)[2]))


def report(truths: Sequence[Truth], found: Sequence[Found], confidences: Sequence[float]) -> str:
    """Markdown: holds by confidence, both kinds by size at the best confidence, then the APs."""
    matched = [match_all(truths, found, number) for number in range(len(KINDS))]
    best = round(best_confidence(matched[0], LARGE), 2)
    rows = [(0, sides, value) for value in sorted({*confidences, best}) for sides in (LARGE, EVERY)]
    rows += [(number, sides, best) for number in range(len(KINDS)) for sides in (*SIZES, EVERY)]
    rows += [(1, LARGE, round(best_confidence(matched[1], LARGE), 2))]
    lines = ["| kind | short side, px | n | confidence | recall | precision | F1 |", "| --- " * 7 + "|"]
    lines += [_row(matched[number], KINDS[number], sides, value) for number, sides, value in rows]
    lines += ["", f"box, {len(truths)} photos: {_aps(average_precision(truths, found, 'bbox'))}"]
    large = average_precision(truths, found, "bbox", BAR_SIDE)
    lines.append(f"box, {BAR_SIDE:g} px and more: {_aps(large)}")
    drawn = [index for index, truth in enumerate(truths) if truth.outlines is not None]
    if drawn:
        by_hand = average_precision([truths[i] for i in drawn], [found[i] for i in drawn], "segm")
        lines.append(f"mask, {len(drawn)} photos: {_aps(by_hand)}")
    return "\n".join(lines)


def _row(matched: Matched, kind: str, sides: tuple[float, float], confidence: float) -> str:
    low, high = sides
    name = f">= {low:g}" if high == np.inf else f"{low:g}-{high:g}"
    count = int(((matched.object_sides >= low) & (matched.object_sides < high)).sum())
    figures = " | ".join(f"{value:.3f}" for value in matched.curve(confidence, sides))
    return f"| {kind} | {name} | {count} | {confidence:.2f} | {figures} |"


def _aps(values: Sequence[Precision]) -> str:
    pairs = zip(KINDS, values, strict=True)
    return ", ".join(f"{kind} AP {value.ap:.3f}, {kind} AP50 {value.ap50:.3f}" for kind, value in pairs)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--size", type=int, nargs="+", default=[640])
    parser.add_argument("--confidence", type=float, nargs="+", default=[0.25])
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Print one report per size."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    model = load_model(arguments.weights)
    photos = load_split(arguments.data, arguments.split)
    truths = [truth_of(photo) for photo in photos]
    for size in arguments.size:
        found = [find(model, photo, size, photo.drawn_by_hand) for photo in photos]
        print(f"\n### {arguments.weights.name}, long side {size}\n")
        print(report(truths, found, arguments.confidence), flush=True)


if __name__ == "__main__":
    main()
