"""Fit a CLIP's weight beside the Lab model: `python -m training.colour_pool DATA CLIP HELD --name NAME`.

Both files hold answers about the named crops from models that saw no crop of their photo: CLIP (.npz) as
training.holdclip leaves them (file, probabilities), HELD (.npz) from `training.colour --held`, whose rows are
those of color_crops.csv.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from holdcheck import colour
from holdcheck.colour_score import ColourScore, figures
from holdcheck.prepare.artefact import list_file

WEIGHTS = tuple(round(0.05 * step, 2) for step in range(31))

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


def pooled(lab: Floats, clip: Floats, weight: float) -> Floats:
    """lab * clip ** weight, normalised, (N, 13): what colour.fuse computes."""
    product = lab * np.maximum(clip, colour.CLIP_FLOOR) ** weight
    return np.asarray(product / product.sum(axis=1, keepdims=True), dtype=np.float32)


def best_weight(lab: Floats, clip: Floats, labels: Labels) -> float:
    """The least of WEIGHTS whose negative log likelihood is within one standard error of the best.

    The one-standard-error rule (Breiman, Friedman, Olshen & Stone 1984): of models that the data cannot tell
    apart, the simplest. The error is that of the paired differences.
    """
    rows = np.arange(len(labels))
    losses = np.stack([-np.log(pooled(lab, clip, weight)[rows, labels]) for weight in WEIGHTS])
    best = losses[losses.mean(axis=1).argmin()]
    worse = losses - best
    error = worse.std(axis=1) / len(labels) ** 0.5
    return WEIGHTS[int(np.argmax(worse.mean(axis=1) <= error))]


def nested(lab: Floats, clip: Floats, labels: Labels, fold: Labels) -> Floats:
    """(N, 13): each fold pooled with the weight that suits the other folds."""
    answers = np.zeros_like(lab)
    for index in np.unique(fold):
        rest = fold != index
        weight = best_weight(lab[rest], clip[rest], labels[rest])
        answers[~rest] = pooled(lab[~rest], clip[~rest], weight)
    return answers


def in_order(clip_answers: Path, dataset: Path) -> Floats:
    """CLIP's answers in the order of the dataset's color_crops.csv."""
    with (dataset / "color_crops.csv").open(newline="") as file:
        files = [row["file"] for row in csv.DictReader(file)]
    with np.load(clip_answers) as arrays:
        at = {str(name): row for row, name in enumerate(arrays["file"])}
        return np.asarray(arrays["probabilities"][[at[name] for name in files]], dtype=np.float32)


def _line(name: str, score: ColourScore) -> str:
    shares = (score.top1, score.top3, score.mean_recall, score.calibration_error, score.log_loss)
    return f"| {name} | " + " | ".join(f"{share:.3f}" for share in shares) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("clip_answers", type=Path)
    parser.add_argument("held", type=Path)
    parser.add_argument("--name", default="holdclip", help="the CLIP's name, as its manifest gives it")
    parser.add_argument("--out", type=Path, help="write the weight into this file of weights by name")
    arguments = parser.parse_args()
    with np.load(arguments.held) as arrays:
        lab, labels, fold = arrays["answers"], arrays["labels"], arrays["fold"]
    clip = in_order(arguments.clip_answers, arguments.dataset)
    weight = best_weight(lab, clip, labels)
    both = nested(lab, clip, labels, fold)
    print("| | top-1 | top-3 | mean recall | calibration error | log loss |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    print(_line("Lab", figures(lab, labels)))
    print(_line(arguments.name, figures(clip, labels)))
    print(_line(f"both, weight {weight}", figures(both, labels)))
    score = figures(both, labels)
    print(json.dumps({"recall": dict(score.recall), "confusion": score.confusion.tolist()}))
    if arguments.out is not None:
        fitted = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
        arguments.out.write_text(json.dumps(fitted | {arguments.name: weight}) + "\n")
        list_file(arguments.out)


if __name__ == "__main__":
    main()
