"""Draw who is taken for whom: `python -m training.colour_chart DATA CLIP HELD docs/colour-confusion.png`.

CLIP and HELD are held-out answers as training.colour_pool takes them. Needs matplotlib.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from holdcheck.classifier import COLOURS
from holdcheck.colour_score import figures
from training.colour_pool import in_order, nested

_INCHES, _DPI = 5.2, 110
_DARK = 0.5
"""Shares above this get white figures."""


def draw(confusions: Mapping[str, NDArray[np.int64]], out: Path) -> None:
    """Side by side, each (13, 13): counts written, shares of the row (the truth) shaded."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(confusions), figsize=(_INCHES * len(confusions), _INCHES + 0.3))
    for axis, (title, counts) in zip(np.atleast_1d(axes), confusions.items(), strict=True):
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axis.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
        for row, column in np.argwhere(counts):
            ink = "white" if shares[row, column] > _DARK else "black"
            axis.text(column, row, str(counts[row, column]), ha="center", va="center", color=ink, fontsize=8)
        names = [f"{name}  {share:.2f}" for name, share in zip(COLOURS, np.diag(shares), strict=True)]
        axis.set_xticks(range(len(COLOURS)), COLOURS, rotation=60, ha="right", fontsize=8)
        axis.set_yticks(range(len(COLOURS)), names, fontsize=8)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("answer", fontsize=9)
        axis.set_ylabel("truth, and its recall", fontsize=9)
    figure.tight_layout()
    figure.savefig(out, dpi=_DPI)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("clip_answers", type=Path)
    parser.add_argument("held", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    with np.load(arguments.held) as arrays:
        lab, labels, fold = arrays["answers"], arrays["labels"], arrays["fold"]
    both = nested(lab, in_order(arguments.clip_answers, arguments.dataset), labels, fold)
    scores = {"Lab statistics alone": figures(lab, labels), "with holdclip": figures(both, labels)}
    titled = {f"{name}: top-1 {score.top1:.3f}": score.confusion for name, score in scores.items()}
    draw(titled, arguments.out)


if __name__ == "__main__":
    main()
