"""Problems and colours of rendered walls, whose whole truth is known, as the pipeline answers them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdcheck import pipeline
from holdcheck.classifier import COLOURS
from holdcheck.detector import KINDS
from holdcheck.evaluate.labels import NO_PROBLEM, Ints, Labels
from holdcheck.evaluate.matching import match
from holdcheck.registry import Models
from holdcheck.result import Result
from holdcheck.settings import Settings

_HOLD = KINDS.index("hold")


@dataclass(frozen=True, slots=True)
class AnsweredWall:
    """The true holds of one wall that the pipeline found, and what it said of them."""

    problems: Ints
    """(N,): true problem."""
    answered: Ints
    """(N,): the answer's problem; a hold that joined none has a number of its own."""
    colours: Ints
    """(N,): true colour, an index into COLOURS."""
    named: Ints
    """(N,): the hold's own colour in the answer; -1 for unknown."""
    total: int
    """Holds that are there to be found."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a grouping's pairs of holds agree with the truth, all walls together."""

    pairs: float
    """Share of pairs rightly called same or different problem (the Rand index, Rand 1971)."""
    recall: float
    """Share of the pairs of one problem that were called so."""
    precision: float
    """Share of the pairs called same that are."""
    adjusted: float
    """Mean adjusted Rand index of the walls (Hubert & Arabie 1985): 0 by chance, 1 where all is right."""


def answer_wall(labels: Labels, models: Models, settings: Settings) -> AnsweredWall:
    """Run the pipeline on one wall and match the holds that it answers to the true ones, at IoU 0.5."""
    if labels.whole is None:
        raise ValueError(f"{labels.photo}: there is no truth of its problems")
    result = _analysed(labels, models, settings)
    problem_of = {hold: problem.id for problem in result.problems for hold in problem.holds}
    holds = sorted((hold for hold in result.hold_data if hold.kind == "hold"), key=lambda hold: -hold.score)
    true = np.flatnonzero((labels.classes == _HOLD) & (labels.whole.problems != NO_PROBLEM))
    size = np.array([result.image_width, result.image_height] * 2, np.float32)
    boxes = np.array([hold.bbox for hold in holds], np.float32).reshape(-1, 4)
    partner = match(boxes, labels.boxes[true] * size)
    seen = [(hold, true[row]) for hold, row in zip(holds, partner, strict=True) if row >= 0]
    rows = np.array([row for _, row in seen], np.int64)
    return AnsweredWall(
        problems=labels.whole.problems[rows],
        answered=np.array([problem_of.get(hold.id, -hold.id) for hold, _ in seen], np.int64),
        colours=labels.whole.colours[rows],
        named=np.array(
            [COLOURS.index(h.individual_color) if h.individual_color in COLOURS else -1 for h, _ in seen],
            np.int64,
        ),
        total=len(true),
    )


def _analysed(labels: Labels, models: Models, settings: Settings) -> Result:
    answer: object = None
    for event in pipeline.analyze(labels.photo, models, settings, job_id=labels.photo.stem):
        answer = event.data.get("result")
    return Result.model_validate(answer)


def agreement(walls: Iterable[tuple[Ints, Ints]]) -> Agreement:
    """Compare truth and answer: for each wall two arrays (N,) of problem numbers of the same holds."""
    right = same = called = hits = total = 0
    adjusted = []
    for truth, answered in walls:
        upper = np.triu_indices(len(truth), 1)
        true_same = (truth[:, None] == truth[None])[upper]
        called_same = (answered[:, None] == answered[None])[upper]
        right += int((true_same == called_same).sum())
        total += len(true_same)
        same, called = same + int(true_same.sum()), called + int(called_same.sum())
        hits += int((true_same & called_same).sum())
        adjusted.append(adjusted_rand(truth, answered))
    return Agreement(
        right / max(total, 1), hits / max(same, 1), hits / max(called, 1), float(np.mean(adjusted or [0.0]))
    )


def adjusted_rand(truth: Ints, answered: Ints) -> float:
    """Adjusted Rand index of two partitions (N,) of the same holds (Hubert & Arabie 1985)."""
    _, rows = np.unique(truth, return_inverse=True)
    _, columns = np.unique(answered, return_inverse=True)
    table = np.zeros((rows.max(initial=0) + 1, columns.max(initial=0) + 1))
    np.add.at(table, (rows, columns), 1)

    def pairs(counts: NDArray[np.float64]) -> float:
        return float((counts * (counts - 1) / 2).sum())

    both, ours, theirs = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    expected = ours * theirs / max(len(truth) * (len(truth) - 1) / 2, 1)
    most = (ours + theirs) / 2
    return 1.0 if most == expected else (both - expected) / (most - expected)
