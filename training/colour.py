"""Fit the bundled colour model: `python -m training.colour DATASET`.

Named crops give the common colours, holds of train photos named by eye the rare and confusable ones, and
rendered holds fill up what is still rare. Cross-validated by photo on the named crops alone, since holds of
one photo share its light and its problems; the others are only ever trained on. `--table` prints what each
group of features gains.
"""

import argparse
import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from holdcheck import colour
from holdcheck.classifier import COLOURS
from holdcheck.colour import LabModel
from holdcheck.colour_score import ColourScore, figures, log_loss
from holdcheck.prepare.artefact import list_file
from training import illuminant
from training.colour_crops import NamedCrop, drawn_crops, labelled_crops, named_crops, redrawn

_COPIES, _DRAWN_COPIES = 6, 2
"""Photometric variations of each crop beside the crop itself."""
_FLOOR = 80
"""Rendered holds fill a colour up to the weight of so many real ones."""
_EVERY = 8
"""And each colour gets this weight of them at least."""
_MOST_DRAWN = 170
"""Rendered holds of one colour beyond these teach nothing new."""
_LABELLED = 0.5
"""Weight of a labelled hold; they were picked for being rare or confusable, which the named crops are not."""
_BALANCE = 0.25
"""Exponent of the inverse frequency: 0 leaves frequencies, 1 evens them out."""
_SEEDS = (0, 1, 2)
"""Networks whose logits are averaged; side by side they are one network with a wider hidden layer."""
_HIDDEN, _STEPS, _BATCH, _DROPOUT, _SMOOTHING, _NOISE = 256, 500, 256, 0.5, 0.02, 0.05
_QUICK = 400
"""Steps of the fits that are only compared with each other, one network each."""
_SURFACE, _WALL, _ALL = 22, 26, 47
"""Features of the surface; those and the contrast with the wall; and all."""

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
HARD_LIGHT = Light(0.5, 0.15, 0.1)
"""As far as two photos of one wall may lie apart: half a stop, and red against blue by 30%."""


@dataclass(frozen=True, slots=True)
class Examples:
    """What the model is fitted on."""

    real: Floats
    """(N, 1 + copies, F): the crop as it is, then its variations."""
    lights: Floats
    """(N, 1 + copies, 4, 3): the photo's light, as training.illuminant estimates it."""
    real_labels: Labels
    photos: NDArray[np.str_]
    """(N,): the photo that each crop comes from."""
    scored: NDArray[np.bool_]
    """(N,): a named crop; the others are only trained on."""
    hard: Floats
    """(scored, F): the named crops under hard light, never trained on."""
    hard_lights: Floats
    """(scored, 4, 3)"""
    drawn: Floats
    """(M, 1 + copies, F)"""
    drawn_lights: Floats
    """(M, 1 + copies, 4, 3)"""
    drawn_labels: Labels


def examples(dataset: Path, walls: int, segmenter: Path | None = None, seed: int = 0) -> Examples:
    """Features of the named and labelled crops of `dataset`, and of the holds on `walls` rendered walls."""
    rng = np.random.default_rng(seed)
    named, labelled = named_crops(dataset), labelled_crops(dataset)
    if segmenter is not None:
        named, labelled = redrawn(named, segmenter), redrawn(labelled, segmenter)
    real = named + labelled
    photos = _photos(dataset, real)
    varied = [_varied(crop, photos[crop.photo], rng, REAL_LIGHT, _COPIES) for crop in real]
    hard = [_varied(crop, photos[crop.photo], rng, HARD_LIGHT, copies=1) for crop in named]
    drawn = list(_at_most(drawn_crops(walls), _MOST_DRAWN))
    walls_small = _photos(dataset, drawn)
    painted = [_varied(crop, walls_small[crop.photo], rng, DRAWN_LIGHT, _DRAWN_COPIES) for crop in drawn]
    return Examples(
        real=np.stack([features for features, _ in varied]),
        lights=np.stack([lights for _, lights in varied]),
        real_labels=np.array([COLOURS.index(crop.colour) for crop in real]),
        photos=np.array([crop.photo for crop in real]),
        scored=np.arange(len(real)) < len(named),
        hard=np.stack([features[1] for features, _ in hard]),
        hard_lights=np.stack([lights[1] for _, lights in hard]),
        drawn=np.stack([features for features, _ in painted]),
        drawn_lights=np.stack([lights for _, lights in painted]),
        drawn_labels=np.array([COLOURS.index(crop.colour) for crop in drawn]),
    )


def _photos(dataset: Path, crops: list[NamedCrop]) -> dict[str, NDArray[np.uint8]]:
    """Each photo small; where the data set lacks it, its crops side by side stand in."""
    with (dataset / "color_crops.csv").open(newline="") as file:
        places = {
            row["photo"]: f"val/{row['wall_image']}" for row in csv.DictReader(file) if row["wall_image"]
        }
    by_photo: dict[str, list[NDArray[np.uint8]]] = {}
    for crop in crops:
        by_photo.setdefault(crop.photo, []).append(crop.pixels)
    return {
        photo: _small(dataset, places.get(photo, f"train/{photo}"), parts)
        for photo, parts in by_photo.items()
    }


def _small(dataset: Path, place: str, crops: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    path = dataset / "images" / f"{place}.jpg"
    if path.is_file():
        photo = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        return illuminant.thumbnail(np.asarray(photo, dtype=np.uint8))
    parts = [cv2.resize(crop, (12, 12), interpolation=cv2.INTER_AREA) for crop in crops]
    return np.asarray(np.hstack(parts), dtype=np.uint8)


def _at_most(crops: Iterator[NamedCrop], each: int) -> Iterator[NamedCrop]:
    seen: dict[str, int] = dict.fromkeys(COLOURS, 0)
    for crop in crops:
        name = crop.colour
        seen[name] += 1
        if seen[name] <= each:
            yield crop


def _varied(
    crop: NamedCrop, photo: NDArray[np.uint8], rng: np.random.Generator, light: Light, copies: int
) -> tuple[Floats, Floats]:
    """Features (1 + copies, F) and lights (1 + copies, 4, 3); each copy's photo is relit as its crop is."""
    rows = [colour.measure(crop.pixels, crop.box, crop.mask).features]
    lights = [illuminant.estimates(photo)]
    for _ in range(copies):
        state = rng.bit_generator.state
        lights.append(illuminant.estimates(_relit(photo, rng, light)))
        rng.bit_generator.state = state
        pixels, inside = _relit(crop.pixels, rng, light), _misdrawn(crop.mask, rng)
        rows.append(colour.measure(pixels, crop.box, inside).features)
    return np.stack(rows), np.stack(lights)


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


def fit(
    data: Examples, train: NDArray[np.bool_], steps: int = _STEPS, seeds: Sequence[int] = _SEEDS
) -> LabModel:
    """Fit on the crops that `train` (N,) marks, and on all rendered holds. The temperature is 1."""
    features, labels, weights = _weighted(data, train)
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-3
    inputs = torch.tensor((features - mean) / scale, dtype=torch.float32)
    parts = [_network(inputs, torch.tensor(labels), torch.tensor(weights), steps, seed) for seed in seeds]
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
    worth = np.where(data.scored[train], 1.0, _LABELLED)
    real_count = np.bincount(labels, worth, minlength=len(COLOURS))
    drawn_weight = np.maximum(_FLOOR - real_count, _EVERY)
    balance = ((real_count + drawn_weight).mean() / (real_count + drawn_weight)) ** _BALANCE
    drawn_count = np.maximum(np.bincount(data.drawn_labels, minlength=len(COLOURS)), 1)
    real, drawn = data.real[train], data.drawn
    weights = [
        np.repeat(worth * balance[labels] / real.shape[1], real.shape[1]),
        np.repeat((drawn_weight * balance / drawn_count)[data.drawn_labels] / drawn.shape[1], drawn.shape[1]),
    ]
    rows = [part.reshape(-1, part.shape[-1]) for part in (real, drawn)]
    names = [np.repeat(labels, real.shape[1]), np.repeat(data.drawn_labels, drawn.shape[1])]
    return np.concatenate(rows), np.concatenate(names), np.concatenate(weights).astype(np.float32)


def _network(
    inputs: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, steps: int, seed: int
) -> tuple[torch.nn.Linear, torch.nn.Linear]:
    torch.manual_seed(seed)
    first, last = torch.nn.Linear(inputs.shape[1], _HIDDEN), torch.nn.Linear(_HIDDEN, len(COLOURS))
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


@dataclass(frozen=True, slots=True)
class Held:
    """Answers about crops from models that saw no crop of their photo."""

    answers: Floats
    """(scored, 13)"""
    hard: Floats
    """(scored, 13): the same crops under hard light."""
    labels: Labels
    fold: NDArray[np.int64]
    """(scored,)"""


def cross_validate(
    data: Examples, folds: int = 10, seed: int = 0, steps: int = _STEPS, seeds: Sequence[int] = _SEEDS
) -> Held:
    """Answer each named crop by a model that saw no crop of its photo."""
    fold = _folds(data.photos[data.scored], folds, seed)
    answers = np.zeros((len(fold), len(COLOURS)), dtype=np.float32)
    hard = np.zeros_like(answers)
    crops = data.real[data.scored, 0]
    for index in range(folds):
        train = np.ones(len(data.photos), dtype=bool)
        train[np.flatnonzero(data.scored)[fold == index]] = False
        model = fit(data, train, steps, seeds)
        answers[fold == index] = model(crops[fold == index])
        hard[fold == index] = model(data.hard[fold == index])
    return Held(answers, hard, data.real_labels[data.scored], fold)


def _folds(photos: NDArray[np.str_], folds: int, seed: int) -> NDArray[np.int64]:
    shuffled = np.random.default_rng(seed).permutation(np.unique(photos))
    fold_of = {photo: index % folds for index, photo in enumerate(shuffled)}
    return np.array([fold_of[photo] for photo in photos])


def calibrated(held: Held) -> Floats:
    """Held-out answers, each fold at the temperature that suits the other folds."""
    answers = held.answers.copy()
    for index in np.unique(held.fold):
        rest = held.fold != index
        answers[~rest] = tempered(answers[~rest], calibrate(held.answers[rest], held.labels[rest]))
    return answers


def calibrate(answers: Floats, labels: Labels) -> float:
    """The temperature with the least negative log likelihood on held-out answers (Guo et al. 2017)."""
    temperatures = np.geomspace(0.4, 2.5, 64)
    return float(min(temperatures, key=lambda value: log_loss(tempered(answers, value), labels)))


def tempered(answers: Floats, temperature: float) -> Floats:
    """Probabilities (N, 13) at another temperature."""
    powered = np.maximum(answers, 1e-12) ** (1 / temperature)
    return np.asarray(powered / powered.sum(axis=1, keepdims=True), dtype=np.float32)


def table(data: Examples) -> Iterator[tuple[str, Held]]:
    """What each group of features gains, by a shorter fit that is the same for all."""
    crops_alone = _subset(data, data.scored)
    for name, chosen, width in (
        ("surface, named crops and rendered holds", crops_alone, _SURFACE),
        ("and contrast with the wall", crops_alone, _WALL),
        ("and chalk, shade and halves", crops_alone, _ALL),
        ("surface, labelled holds beside", data, _SURFACE),
        ("and contrast with the wall", data, _WALL),
        ("and chalk, shade and halves", data, _ALL),
    ):
        yield name, cross_validate(_narrowed(chosen, width), steps=_QUICK, seeds=_SEEDS[:1])
    for index, name in enumerate(illuminant.METHODS):
        yield (
            f"and the light by {name}",
            cross_validate(_balanced(data, index), steps=_QUICK, seeds=_SEEDS[:1]),
        )


def _balanced(data: Examples, method: int) -> Examples:
    """With the medians of hold and wall as under grey light, and how bright the light is."""

    def with_light(features: Floats, lights: Floats) -> Floats:
        rows, light = features.reshape(-1, features.shape[-1]), lights[..., method, :].reshape(-1, 3)
        middle = rows[:, colour.MEDIANS]
        wall = middle - rows[:, _SURFACE : _SURFACE + 3]
        added = [illuminant.corrected(part, light) for part in (middle, wall)]
        joined = np.hstack([rows, *added, np.log(light.mean(axis=1, keepdims=True))])
        return joined.reshape(*features.shape[:-1], -1).astype(np.float32)

    return replace(
        data,
        real=with_light(data.real, data.lights),
        hard=with_light(data.hard, data.hard_lights),
        drawn=with_light(data.drawn, data.drawn_lights),
    )


def _subset(data: Examples, kept: NDArray[np.bool_]) -> Examples:
    return replace(
        data,
        real=data.real[kept],
        lights=data.lights[kept],
        real_labels=data.real_labels[kept],
        photos=data.photos[kept],
        scored=data.scored[kept],
    )


def _narrowed(data: Examples, width: int) -> Examples:
    return replace(
        data, real=data.real[..., :width], hard=data.hard[..., :width], drawn=data.drawn[..., :width]
    )


def _line(name: str, score: ColourScore, hard: ColourScore) -> str:
    shares = (score.top1, score.top3, score.mean_recall, hard.top1, hard.mean_recall)
    rare = (score.recall.get(colour, float("nan")) for colour in ("white", "gray", "brown", "mint", "lime"))
    return f"| {name} | " + " | ".join(f"{share:.3f}" for share in (*shares, *rare)) + " |"


def _examples(dataset: Path, walls: int, segmenter: Path | None, cache: Path | None) -> Examples:
    if cache is not None and cache.is_file():
        with np.load(cache) as arrays:
            return Examples(**arrays)
    data = examples(dataset, walls, segmenter)
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(cache, **{name: getattr(data, name) for name in Examples.__slots__})
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--walls", type=int, default=45, help="rendered walls")
    parser.add_argument(
        "--segmenter", type=Path, help="draw the masks with these weights of training.segmenter"
    )
    parser.add_argument("--out", type=Path, default=colour.MODEL)
    parser.add_argument("--cache", type=Path, help="keep the features in this file, and take them from it")
    parser.add_argument("--table", action="store_true", help="fit nothing: print what each feature gains")
    parser.add_argument("--splits", type=int, default=1, help="score further random folds, too")
    parser.add_argument("--held", type=Path, help="write the held-out answers here (.npz)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    data = _examples(arguments.dataset, arguments.walls, arguments.segmenter, arguments.cache)
    if arguments.table:
        for name, held in table(data):
            print(
                _line(name, figures(held.answers, held.labels), figures(held.hard, held.labels)), flush=True
            )
        return
    model = fit(data, np.ones(len(data.real_labels), dtype=bool))
    held = cross_validate(data)
    temperature = calibrate(held.answers, held.labels)
    arrays = {name: getattr(model, name) for name in LabModel.__slots__}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(arguments.out, **{**arrays, "temperature": np.array(temperature, dtype=np.float32)})
    list_file(arguments.out)
    answers = calibrated(held)
    if arguments.held is not None:
        np.savez(arguments.held, answers=answers, labels=held.labels, fold=held.fold)
    report, hard = figures(answers, held.labels), figures(held.hard, held.labels)
    hard_light = {"top1": hard.top1, "mean_recall": hard.mean_recall}
    print(
        json.dumps({"temperature": round(temperature, 3), "hard_light": hard_light, **_plain(report)}),
        flush=True,
    )
    for seed in range(1, arguments.splits):
        again = cross_validate(data, seed=seed)
        score = figures(calibrated(again), again.labels)
        print(
            json.dumps({"folds": seed, "top1": score.top1, "mean_recall": score.mean_recall, **score.recall})
        )


def _plain(score: ColourScore) -> dict[str, object]:
    return {**asdict(score), "confusion": score.confusion.tolist()}


if __name__ == "__main__":
    main()
