"""A report as Markdown tables, to read in a terminal and to paste into a document."""

from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np

from holdcheck.classifier import COLOURS
from holdcheck.colour_score import ColourScore
from holdcheck.evaluate import precision
from holdcheck.evaluate.colours import ColourScores
from holdcheck.evaluate.figures import ANY, KINDS, SIDES, SIZES
from holdcheck.evaluate.run import Report
from holdcheck.result import Kind


def tables(report: Report) -> str:
    """All that was measured."""
    parts = [_heading(report), _detection(report), _sizes(report)]
    if "wall" in report.counts:
        parts.append(_walls(report))
    if report.colours is not None:
        parts.append(_colours(report, report.colours))
    if not precision.is_installed():
        parts.append(precision.HOW_TO_INSTALL)
    return "\n\n".join("\n".join(part) if not isinstance(part, str) else part for part in parts)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table: the first column to the left, numbers to the right, padded for the terminal."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join([first, *others])} |"

    return [line(row) for row in (head, rule, *rows)]


def _heading(report: Report) -> str:
    info = report.detector
    return (
        f"{len(report.photos)} photos ({report.split}), {report.with_outlines} of them with polygons; "
        f"{info.name} in {report.runtime} {info.precision}, long side {report.img_size}, "
        f"confidence {report.confidence:g}"
    )


def _detection(report: Report) -> list[str]:
    head = ["", "true", "precision", "recall", "F1", "box AP", "AP50"]
    head += ["AP, 12 px up", "AP50, 12 px up", "mask AP", "AP50"]
    names = ["precision", "recall", "f1", "box_ap", "box_ap50", "box_ap_12", "box_ap50_12"]
    names += ["mask_ap", "mask_ap50"]
    rows = []
    for kind in (*get_args(Kind), "mean", ANY):
        count = report.counts.get(kind)
        figures = [_figure(report, f"{kind}.{name}") for name in names]
        rows.append([kind, "" if count is None else str(count), *figures])
    return table(head, rows)


def _sizes(report: Report) -> list[str]:
    titles = ("small", "medium", "large", "< 12 px", "12-16", "16-32", ">= 32 px")
    rows = [
        [
            kind,
            *(
                f"{_figure(report, f'{kind}.recall_{name}')} of {report.counts.get(f'{kind}.{name}', 0)}"
                for name in SIZES + SIDES
            ),
        ]
        for kind in KINDS
    ]
    lines = table(["recall", *titles], rows)
    return [
        *lines,
        "small, medium, large: box area in the original photo (32² and 96² px);"
        " px: short side at a long side of 1024",
    ]


def _walls(report: Report) -> list[str]:
    names = ("pairs", "pair_recall", "pair_precision", "adjusted_rand", "colour")
    head = [
        "rendered walls",
        "holds found",
        "pairs right",
        "same: recall",
        "precision",
        "adjusted Rand",
        "colour",
    ]
    found, total = report.counts["wall.found"], report.counts["wall.holds"]
    row = [str(report.counts["wall"]), f"{found} of {total}"]
    return table(head, [row + [_figure(report, f"wall.{name}") for name in names]])


def _colours(report: Report, scores: ColourScores) -> list[str]:
    experts = f"{report.classifier.name} and Lab statistics" if report.classifier else "Lab statistics alone"
    head = ["named crops", "top-1", "top-3", "mean recall", "calibration error", "unknown", "log loss"]
    rows = [_score_row("as served", scores.served), _score_row("Lab alone", scores.lab)]
    if scores.clip:
        rows.append(_score_row("CLIP alone", scores.clip))
    return [
        f"Colours of {scores.served.holds} holds by {experts}."
        " Crops that a model was fitted on do not test it: see docs/accuracy.md.",
        "",
        *table(head, rows),
        "",
        *table(["colour", "holds", "recall", "else called"], list(_colour_rows(scores.served))),
    ]


def _score_row(title: str, score: ColourScore) -> list[str]:
    shares = (score.top1, score.top3, score.mean_recall)
    values = (*shares, score.calibration_error, score.unknown, score.log_loss)
    return [title, *(f"{value:.3f}" for value in values)]


def _colour_rows(score: ColourScore) -> Iterator[list[str]]:
    for row, name in zip(score.confusion, COLOURS, strict=True):
        if row.sum():
            wrong = np.where(np.arange(len(row)) == COLOURS.index(name), 0, row)
            worst = [f"{COLOURS[i]} {wrong[i]}" for i in np.argsort(-wrong, kind="stable")[:3] if wrong[i]]
            yield [name, str(row.sum()), f"{score.recall[name]:.3f}", ", ".join(worst)]


def _figure(report: Report, name: str) -> str:
    value = report.figures.get(name)
    return "-" if value is None else f"{value:.3f}"
