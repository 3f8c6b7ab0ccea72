"""Scores of colour names."""

import numpy as np
import pytest

from holdcheck.classifier import COLOURS
from holdcheck.colour_score import figures, log_loss

RED, PINK, BLUE, GRAY = (COLOURS.index(name) for name in ("red", "pink", "blue", "gray"))


def answer(**shares: float) -> list[float]:
    return [shares.get(name, 0.0) for name in COLOURS]


ANSWERS = np.array(
    [
        answer(red=0.9, pink=0.1),
        answer(red=0.8, pink=0.2),
        answer(red=0.6, orange=0.2, brown=0.15, pink=0.05),
        answer(blue=1.0),
    ],
    dtype=np.float32,
)
LABELS = np.array([RED, RED, PINK, BLUE])


def test_shares_count_the_likeliest_and_the_three_likeliest() -> None:
    score = figures(ANSWERS, LABELS)
    assert (score.holds, score.top1, score.top3) == (4, 0.75, 0.75)  # pink comes fourth


def test_every_colour_counts_alike_in_the_mean_recall() -> None:
    score = figures(ANSWERS, LABELS)
    assert score.recall == {"red": 1.0, "pink": 0.0, "blue": 1.0}
    assert score.mean_recall == pytest.approx(2 / 3)


def test_confusion_has_the_truth_in_rows() -> None:
    confusion = figures(ANSWERS, LABELS).confusion
    assert confusion[PINK, RED] == 1
    assert confusion[RED, RED] == 2
    assert confusion.sum() == 4


def test_calibration_error_is_the_gap_between_surety_and_truth() -> None:
    answers = np.array([answer(red=0.85, pink=0.15)] * 20, dtype=np.float32)
    labels = np.array([RED] * 13 + [PINK] * 7)
    assert figures(answers, labels).calibration_error == pytest.approx(0.85 - 0.65, abs=1e-6)


def test_a_hesitant_answer_counts_as_unknown() -> None:
    answers = np.array([answer(red=0.3, pink=0.3, gray=0.3, blue=0.1), answer(gray=1)], dtype=np.float32)
    assert figures(answers, np.array([RED, GRAY])).unknown == 0.5


def test_a_sure_mistake_has_a_finite_log_loss() -> None:
    assert log_loss(np.array([answer(red=1)], dtype=np.float32), np.array([BLUE])) == pytest.approx(
        20.7, abs=0.1
    )
