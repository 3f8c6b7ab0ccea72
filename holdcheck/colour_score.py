"""Score colour names: probabilities against the names that a person gave."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdcheck.classifier import COLOURS
from holdcheck.colour import UNKNOWN_BELOW

_BINS = 10
_LEAST = 1e-9
"""What a probability of nought counts as in the log loss."""


@dataclass(frozen=True, slots=True)
class ColourScore:
    """How well N holds were named. Shares are 0..1."""

    holds: int
    top1: float
    """Share of holds whose likeliest colour is theirs; `unknown` is not an answer here."""
    top3: float
    """Share of holds whose colour is among the three likeliest."""
    mean_recall: float
    """Mean of `recall`: every colour counts alike, however rare."""
    recall: Mapping[str, float]
    """Share of each colour's holds that got its name; colours without holds are left out."""
    unknown: float
    """Share of holds that would be called unknown."""
    log_loss: float
    """Nats per hold."""
    calibration_error: float
    """Expected calibration error (Naeini et al. 2015) of the likeliest colour, ten bins of equal width."""
    confusion: NDArray[np.int64]
    """(13, 13) counts: rows are the truth, columns the answer, both in the order of COLOURS."""


def figures(answers: NDArray[np.float32], labels: NDArray[np.int64]) -> ColourScore:
    """Score answers.

    Args:
        answers: (N, 13) probabilities in the order of COLOURS, N at least 1.
        labels: (N,) indices into COLOURS.
    """
    best = answers.argmax(axis=1)
    top3 = np.argsort(-answers, axis=1, kind="stable")[:, :3]
    recall: dict[str, float] = {
        name: _share(best[labels == i] == i) for i, name in enumerate(COLOURS) if (labels == i).any()
    }
    confusion = np.zeros((len(COLOURS), len(COLOURS)), dtype=np.int64)
    np.add.at(confusion, (labels, best), 1)
    return ColourScore(
        holds=len(labels),
        top1=_share(best == labels),
        top3=_share((top3 == labels[:, None]).any(axis=1)),
        mean_recall=float(np.mean(list(recall.values()))),
        recall=recall,
        unknown=_share(answers.max(axis=1) < UNKNOWN_BELOW),
        log_loss=log_loss(answers, labels),
        calibration_error=_calibration_error(answers, labels),
        confusion=confusion,
    )


def log_loss(answers: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Mean negative log likelihood in nats of (N,) labels under (N, 13) probabilities."""
    return float(-np.log(np.maximum(answers[np.arange(len(labels)), labels], _LEAST)).mean())


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean())


def _calibration_error(answers: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    surety, right = answers.max(axis=1), answers.argmax(axis=1) == labels
    which = np.minimum((surety * _BINS).astype(int), _BINS - 1)
    gaps = [
        (which == b).mean() * abs(surety[which == b].mean() - right[which == b].mean())
        for b in range(_BINS)
        if (which == b).any()
    ]
    return float(sum(gaps))
