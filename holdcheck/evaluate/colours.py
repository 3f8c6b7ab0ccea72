"""Naming the colours of single holds through the code that serves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from holdcheck import colour, crops
from holdcheck.classifier import COLOURS, Classifier
from holdcheck.colour_score import ColourScore, figures
from holdcheck.errors import HoldcheckError
from holdcheck.evaluate.named_crops import NamedCrop, named_crops


@dataclass(frozen=True, slots=True)
class Named:
    """N holds' colour probabilities, (N, 13) each, in the order of COLOURS."""

    served: NDArray[np.float32]
    """Both experts together, as the service answers."""
    lab: NDArray[np.float32]
    """Lab statistics alone."""
    clip: NDArray[np.float32] | None
    """The CLIP alone; None without one."""


@dataclass(frozen=True, slots=True)
class ColourScores:
    """How well the crops were named, by both experts together and by each alone."""

    served: ColourScore
    lab: ColourScore
    clip: ColourScore | None


def score_crops(
    dataset: Path, classifier: Classifier | None, batch: int, progress: Callable[[str, int, int], None]
) -> ColourScores:
    """Name every crop of `dataset/color_crops.csv` and compare with what a person said.

    Args:
        classifier: a CLIP, or None for Lab statistics alone.
        batch: crops embedded at once.
        progress: takes what is counted, how many are done, and of how many.

    Raises:
        HoldcheckError: the crops cannot be read, or have a colour of another vocabulary.
    """
    named = named_crops(dataset)
    strange = {crop.colour for crop in named} - set(COLOURS)
    if strange or not named:
        what = f"has the colours {', '.join(sorted(strange))}" if strange else "has no rows"
        raise HoldcheckError(f"{dataset}/color_crops.csv {what}; expected {', '.join(COLOURS)}")
    answers = []
    for start in range(0, len(named), batch):
        answers.append(name_holds(named[start : start + batch], classifier))
        progress("crops", min(start + batch, len(named)), len(named))
    labels = np.array([COLOURS.index(crop.colour) for crop in named], np.int64)
    served, lab = (
        figures(np.concatenate([getattr(answer, part) for answer in answers]), labels)
        for part in ("served", "lab")
    )
    clip = [answer.clip for answer in answers if answer.clip is not None]
    return ColourScores(served, lab, figures(np.concatenate(clip), labels) if clip else None)


def name_holds(named: Sequence[NamedCrop], classifier: Classifier | None) -> Named:
    """Probabilities as the pipeline computes them from a photo, a box and a mask."""
    stats = [colour.measure(crop.pixels, crop.box, crop.mask) for crop in named]
    lab = colour.lab_probabilities(stats)
    if classifier is None:
        return Named(lab, lab, None)
    side = classifier.input_size
    cut = np.stack([crops.cut(crop.pixels, crop.box, crop.mask, side) for crop in named])
    clip = classifier.head.probabilities(classifier.embed(cut))
    return Named(colour.fuse(clip, lab, classifier.info.name), lab, clip)
