"""Fit the bundled colour model: `python -m training.colour DATASET`.

Named crops give the common colours; rendered holds fill up the rare ones. Cross-validated by photo, since
holds of one photo share its light and its problems; a rendered hold is only ever trained on.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from holdcheck import colour
from holdcheck.classifier import COLOURS
from holdcheck.colour import LabModel
from holdcheck.colour_score import figures, log_loss
from training.colour_crops import NamedCrop, drawn_crops, named_crops

_COPIES = 8
"""Photometric variations of each crop beside the crop itself; rendered holds get half as many."""
_FLOOR = 80
"""Rendered holds fill a colour up to the weight of so many real ones."""
_EVERY = 8
"""And each colour gets this weight of them at least."""
_BALANCE = 0.25
"""Exponent of the inverse frequency: 0 leaves frequencies, 1 evens them out."""
_SEEDS = (0, 1, 2)
"""Networks whose logits are averaged; side by side they are one network with a wider hidden layer."""
_HIDDEN, _STEPS, _BATCH, _DROPOUT, _SMOOTHING, _NOISE = 48, 600, 512, 0.1, 0.02, 0.05

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Light:
    """How far one copy's light is moved: standard deviations."""

    stops: float
    warmth: float
    """Of the log of red against blue; green against magenta moves a third of it."""
    chalk: float
    """Share of a pale veil."""


REAL_LIGHT, DRAWN_LIGHT = Light(0.15, 0.05, 0.02), Light(0.2, 0.1, 0.1)


@dataclass(frozen=True, slots=True)
class Examples:
    """What the model is fitted on."""

    real: Floats
    """(N, 1 + copies, F): the crop as it is, then its variations."""
    real_labels: Labels
    photos: NDArray[np.str_]
    """(N,): the photo that each crop comes from."""
    drawn: Floats
    """(M, 1 + copies, F)"""
    drawn_labels: Labels


def examples(dataset: Path, walls: int, seed: int = 0) -> Examples:
    """Features of every named crop of `dataset`, and of the holds on `walls` rendered walls."""
    rng = np.random.default_rng(seed)
    named = named_crops(dataset)
    real = [_varied(crop, rng, REAL_LIGHT, _COPIES) for crop in named]
    drawn = list(drawn_crops(walls))
    return Examples(
        np.stack(real),
        np.array([COLOURS.index(crop.colour) for crop in named]),
        np.array([crop.photo for crop in named]),
        np.stack([_varied(crop, rng, DRAWN_LIGHT, _COPIES // 2) for crop in drawn]),
        np.array([COLOURS.index(crop.colour) for crop in drawn]),
    )


def _varied(crop: NamedCrop, rng: np.random.Generator, light: Light, copies: int) -> Floats:
    """(1 + copies, F)"""
    rows = [colour.measure(crop.pixels, crop.box, crop.mask).features]
    for _ in range(copies):
        pixels, inside = _relit(crop.pixels, rng, light), _misdrawn(crop.mask, rng)
        rows.append(colour.measure(pixels, crop.box, inside).features)
    return np.stack(rows)


def _relit(pixels: NDArray[np.uint8], rng: np.random.Generator, light: Light) -> NDArray[np.uint8]:
    linear = (pixels / 255.0) ** 2.2
    warmth, tint = rng.normal(0, light.warmth), rng.normal(0, light.warmth / 3)
    linear = linear * 2 ** rng.normal(0, light.stops) * np.exp(np.array([warmth, tint, -warmth]))
    veil = min(abs(rng.normal(0, light.chalk)), 0.8)
    linear = linear * (1 - veil) + veil * rng.uniform(0.5, 0.9)
    return np.asarray(np.clip(linear, 0, 1) ** (1 / 2.2) * 255, dtype=np.uint8)


def _misdrawn(inside: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """A mask as a detector draws it: too large or too small, and a little beside the hold."""
    side = float(np.sqrt(np.count_nonzero(inside)))
    depth = round(abs(rng.normal(0, 0.06)) * side)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * depth + 1, 2 * depth + 1))
    morph = cv2.erode if rng.random() < 0.5 else cv2.dilate
    moved = np.asarray(morph(inside.astype(np.uint8), disc), dtype=bool)
    shift = np.round(rng.normal(0, 0.04 * side, 2)).astype(int)
    moved = np.roll(moved, (int(shift[0]), int(shift[1])), axis=(0, 1))
    return moved if moved.any() else inside


def fit(data: Examples, train: NDArray[np.bool_], hidden: int = _HIDDEN, steps: int = _STEPS) -> LabModel:
    """Fit on the crops that `train` (N,) marks, and on all rendered holds. The temperature is 1."""
    features, labels, weights = _weighted(data, train)
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-3
    inputs = torch.tensor((features - mean) / scale, dtype=torch.float32)
    parts = [_network(inputs, torch.tensor(labels), torch.tensor(weights), hidden, steps, s) for s in _SEEDS]
    hidden_layers, outputs = [part[0] for part in parts], [part[1] for part in parts]
    return LabModel(
        mean=mean.astype(np.float32),
        scale=scale.astype(np.float32),
        hidden_weights=np.concatenate([_array(layer.weight).T for layer in hidden_layers], axis=1),
        hidden_bias=np.concatenate([_array(layer.bias) for layer in hidden_layers]),
        weights=np.concatenate([_array(layer.weight / len(parts)).T for layer in outputs]),
        bias=np.mean([_array(layer.bias) for layer in outputs], axis=0).astype(np.float32),
        temperature=np.array(1, dtype=np.float32),
    )


def _weighted(data: Examples, train: NDArray[np.bool_]) -> tuple[Floats, Labels, Floats]:
    """Rows, labels and sampling weights."""
    labels = data.real_labels[train]
    real_count = np.bincount(labels, minlength=len(COLOURS))
    drawn_weight = np.maximum(_FLOOR - real_count, _EVERY)
    balance = ((real_count + drawn_weight).mean() / (real_count + drawn_weight)) ** _BALANCE
    drawn_count = np.maximum(np.bincount(data.drawn_labels, minlength=len(COLOURS)), 1)
    real, drawn = data.real[train], data.drawn
    weights = [
        np.repeat(balance[labels] / real.shape[1], real.shape[1]),
        np.repeat((drawn_weight * balance / drawn_count)[data.drawn_labels] / drawn.shape[1], drawn.shape[1]),
    ]
    rows = [part.reshape(-1, part.shape[-1]) for part in (real, drawn)]
    names = [np.repeat(labels, real.shape[1]), np.repeat(data.drawn_labels, drawn.shape[1])]
    return np.concatenate(rows), np.concatenate(names), np.concatenate(weights).astype(np.float32)


def _network(
    inputs: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, hidden: int, steps: int, seed: int
) -> tuple[torch.nn.Linear, torch.nn.Linear]:
    torch.manual_seed(seed)
    first, last = torch.nn.Linear(inputs.shape[1], hidden), torch.nn.Linear(hidden, len(COLOURS))
    network = torch.nn.Sequential(first, torch.nn.ReLU(), torch.nn.Dropout(_DROPOUT), last)
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=1e-2, total_steps=steps)
    for batch in torch.multinomial(weights, _BATCH * steps, replacement=True).view(steps, _BATCH):
        noisy = inputs[batch] + _NOISE * torch.randn(_BATCH, inputs.shape[1])
        loss = torch.nn.functional.cross_entropy(network(noisy), labels[batch], label_smoothing=_SMOOTHING)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return first, last


def _array(parameter: torch.Tensor) -> Floats:
    return np.asarray(parameter.detach().numpy(), dtype=np.float32)


def cross_validate(data: Examples, folds: int = 10, seed: int = 0) -> Floats:
    """(N, 13) probabilities of each crop from a model that saw no crop of its photo."""
    photos = np.random.default_rng(seed).permutation(np.unique(data.photos))
    fold_of = {photo: index % folds for index, photo in enumerate(photos)}
    fold = np.array([fold_of[photo] for photo in data.photos])
    answers = np.zeros((len(fold), len(COLOURS)), dtype=np.float32)
    for index in range(folds):
        answers[fold == index] = fit(data, fold != index)(data.real[fold == index, 0])
    return answers


def calibrate(answers: Floats, labels: Labels) -> float:
    """The temperature with the least negative log likelihood on held-out answers (Guo et al. 2017)."""
    temperatures = np.geomspace(0.4, 2.5, 64)
    return float(min(temperatures, key=lambda value: log_loss(tempered(answers, value), labels)))


def tempered(answers: Floats, temperature: float) -> Floats:
    """Probabilities (N, 13) at another temperature."""
    powered = np.maximum(answers, 1e-12) ** (1 / temperature)
    return np.asarray(powered / powered.sum(axis=1, keepdims=True), dtype=np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--walls", type=int, default=100, help="rendered walls")
    parser.add_argument("--out", type=Path, default=colour.MODEL)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    data = examples(arguments.dataset, arguments.walls)
    answers = cross_validate(data)
    temperature = calibrate(answers, data.real_labels)
    report = figures(tempered(answers, temperature), data.real_labels)
    model = fit(data, np.ones(len(data.real_labels), dtype=bool))
    arrays = {name: getattr(model, name) for name in LabModel.__slots__}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(arguments.out, **{**arrays, "temperature": np.array(temperature, dtype=np.float32)})
    print(
        json.dumps(
            {"temperature": round(temperature, 3), **asdict(report), "confusion": report.confusion.tolist()}
        )
    )


if __name__ == "__main__":
    main()
