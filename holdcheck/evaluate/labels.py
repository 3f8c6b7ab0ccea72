"""Reading a labelled data set: photos with boxes, and where there are any, outlines and whole truths."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdcheck.classifier import COLOURS
from holdcheck.detector import KINDS
from holdcheck.errors import HoldcheckError

REFERENCE_SIDE = 1024
"""Short sides are counted in pixels of the photo scaled to this long side."""
NO_PROBLEM = -1

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Labels:
    """One photo's labels as they stand in the files: fractions of its width and height."""

    photo: Path
    classes: Ints
    """(N,): index into KINDS."""
    boxes: Floats
    """(N, 4): x1, y1, x2, y2."""
    outlines: tuple[Floats, ...] | None
    """N of (K, 2); None where the photo has boxes alone."""
    whole: "WholeTruth | None" = None
    """Where the wall was drawn, so that all of it is known."""


@dataclass(frozen=True, slots=True)
class WholeTruth:
    """What only a renderer knows of each labelled object, row for row."""

    problems: Ints
    """(N,); NO_PROBLEM for volumes."""
    colours: Ints
    """(N,): index into COLOURS, -1 where nobody would name one."""


@dataclass(frozen=True, slots=True)
class Truth:
    """One photo's labels in pixels of the picture that the detector was given."""

    name: str
    size: tuple[int, int]
    """Height and width of that picture."""
    classes: Ints
    """(N,): index into KINDS."""
    boxes: Floats
    """(N, 4): x1, y1, x2, y2."""
    outlines: tuple[Floats, ...] | None = None
    """N of (K, 2); None where the photo has boxes alone."""
    original_scale: float = 1.0
    """Pixels of the original photo per pixel of the picture."""

    def short_sides(self, boxes: Floats) -> Floats:
        """(N,): short sides of (N, 4) boxes on this picture, in pixels at a long side of REFERENCE_SIDE."""
        sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf)
        return np.asarray(sides * (REFERENCE_SIDE / max(self.size)), np.float32)

    def areas(self) -> Floats:
        """(N,): areas of the labelled boxes in px² of the original photo, as COCO's size classes count."""
        return np.asarray((self.boxes[:, 2:] - self.boxes[:, :2]).prod(axis=1) * self.original_scale**2)


def truth_on(labels: Labels, size: tuple[int, int], original_width: int) -> Truth:
    """The labels on a picture of `size` (height, width) of a photo `original_width` pixels wide."""
    height, width = size
    extent = np.array([width, height], np.float32)
    outlines = None if labels.outlines is None else tuple(outline * extent for outline in labels.outlines)
    boxes = np.asarray(labels.boxes * np.tile(extent, 2), np.float32)
    return Truth(labels.photo.stem, size, labels.classes, boxes, outlines, original_width / width)


def read_split(dataset: Path, split: str) -> list[Labels]:
    """Every photo `images/SPLIT/NAME.jpg` with its labels.

    boxes/SPLIT/NAME.txt has rows `class cx cy w h`, polygons/SPLIT/NAME.txt (if any)
    `class x1 y1 x2 y2 ...`, and truth/SPLIT/NAME.json (if any) what `training.walls` writes; row n is the
    same object in all three.

    Raises:
        HoldcheckError: one line that names the folder or the file, and what is wrong with it.
    """
    photos = sorted((dataset / "images" / split).glob("*.jpg"))
    if not photos:
        splits = ", ".join(path.name for path in sorted((dataset / "images").glob("*")) if path.is_dir())
        hint = f"; there are the splits {splits}" if splits else "; expected images/, boxes/ as .jpg and .txt"
        raise HoldcheckError(f"no photos in {dataset}/images/{split}{hint}")
    return [_read(dataset, split, photo) for photo in photos]


def _read(dataset: Path, split: str, photo: Path) -> Labels:
    file = dataset / "boxes" / split / f"{photo.stem}.txt"
    rows = list(_rows(file))
    if any(len(row) != 5 for row in rows):
        raise HoldcheckError(f"{file}: each row must be `class cx cy w h`")
    table = np.array(rows, np.float32).reshape(-1, 5)
    centre, half = table[:, 1:3], table[:, 3:5] / 2
    classes = table[:, 0].astype(np.int64)
    if not np.isin(classes, range(len(KINDS))).all():
        raise HoldcheckError(f"{file}: a class is neither 0 (hold) nor 1 (volume)")
    whole = dataset / "truth" / split / f"{photo.stem}.json"
    return Labels(
        photo,
        classes,
        np.concatenate([centre - half, centre + half], axis=1),
        _outlines(dataset / "polygons" / split / f"{photo.stem}.txt", len(classes)),
        _whole_truth(whole, len(classes)) if whole.is_file() else None,
    )


def _outlines(file: Path, count: int) -> tuple[Floats, ...] | None:
    if not file.is_file():
        return None
    rows = list(_rows(file))
    if any(len(row) < 7 or len(row) % 2 == 0 for row in rows):
        raise HoldcheckError(f"{file}: each row must be `class x1 y1 x2 y2 x3 y3 ...`")
    if len(rows) != count:
        raise HoldcheckError(f"{file}: {len(rows)} outlines for {count} boxes")
    return tuple(np.array(row[1:], np.float32).reshape(-1, 2) for row in rows)


def _rows(file: Path) -> Iterator[list[float]]:
    try:
        for line in file.read_text().splitlines():
            if line.strip():
                row = [float(value) for value in line.split()]
                if not np.isfinite(row).all():
                    raise ValueError(line)
                yield row
    except FileNotFoundError:
        raise HoldcheckError(f"{file} is missing: each photo needs its boxes") from None
    except ValueError:
        raise HoldcheckError(f"{file} has something that is no number") from None


def _whole_truth(file: Path, count: int) -> WholeTruth:
    try:
        holds: list[dict[str, Any]] = json.loads(file.read_text())["holds"]
        problems = [NO_PROBLEM if hold["problem_id"] is None else hold["problem_id"] for hold in holds]
        colours = [COLOURS.index(hold["colour"]) if hold["colour"] in COLOURS else -1 for hold in holds]
        truth = WholeTruth(np.array(problems, np.int64), np.array(colours, np.int64))
    except (ValueError, KeyError, TypeError):
        raise HoldcheckError(f"{file} is not a truth file as training.walls writes them") from None
    if len(holds) != count:
        raise HoldcheckError(f"{file}: {len(holds)} objects for {count} boxes")
    return truth
