"""Walls on disk, in the layout that the training code reads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.walls.truth import Kind, TrueHold, TrueProblem, Wall

#: Numbers of the kinds in box and polygon files.
CLASSES: Final[dict[Kind, int]] = {"hold": 0, "volume": 1}
JPEG_QUALITY: Final = 92


def write_dataset(folder: Path, walls: Iterable[tuple[str, str, Wall]]) -> int:
    """Writes pictures with boxes, polygons and the whole truth, one wall at a time.

    The layout is `images/SPLIT/NAME.jpg`, `boxes/SPLIT/NAME.txt` (`class cx cy w h`),
    `polygons/SPLIT/NAME.txt` (`class x1 y1 x2 y2 ...`), both as fractions of the width and height, and
    `truth/SPLIT/NAME.json` (see `truth_of`). Rows of all three stand in the order of `Wall.holds`.

    Args:
        folder: made when missing; files of the same name are replaced.
        walls: split, name and wall; a generator keeps one picture in memory at a time.

    Returns:
        How many walls were written.
    """
    count = 0
    for split, name, wall in walls:
        image = _path(folder, "images", split, name, "jpg")
        Image.fromarray(wall.pixels).save(image, quality=JPEG_QUALITY, subsampling=0)
        _path(folder, "boxes", split, name, "txt").write_text(_box_rows(wall), encoding="utf-8")
        _path(folder, "polygons", split, name, "txt").write_text(_polygon_rows(wall), encoding="utf-8")
        text = json.dumps(truth_of(wall)) + "\n"
        _path(folder, "truth", split, name, "json").write_text(text, encoding="utf-8")
        count += 1
    return count


def truth_of(wall: Wall) -> dict[str, object]:
    """The truth as plain JSON values: `image_width`, `image_height`, `holds` and `problems`, with the
    fields of TrueHold and TrueProblem; polygons in pixels, rounded to a hundredth."""
    height, width = wall.pixels.shape[:2]
    return {
        "image_width": width,
        "image_height": height,
        "holds": [_hold(hold) for hold in wall.holds],
        "problems": [_problem(problem) for problem in wall.problems],
    }


def _hold(hold: TrueHold) -> dict[str, object]:
    return {
        "id": hold.id,
        "kind": hold.kind,
        "colour": hold.colour,
        "problem_id": hold.problem_id,
        "tag": hold.tag,
        "polygon": [[round(float(x), 2), round(float(y), 2)] for x, y in hold.polygon],
    }


def _problem(problem: TrueProblem) -> dict[str, object]:
    return {
        "id": problem.id,
        "colour": problem.colour,
        "hold_ids": list(problem.hold_ids),
        "start_ids": list(problem.start_ids),
        "top_ids": list(problem.top_ids),
    }


def _path(folder: Path, part: str, split: str, name: str, suffix: str) -> Path:
    path = folder / part / split / f"{name}.{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _fractions(hold: TrueHold, wall: Wall) -> NDArray[np.float64]:
    """The polygon as fractions; half a pixel moves from OpenCV's pixel centres to the picture's edges."""
    height, width = wall.pixels.shape[:2]
    return np.clip((hold.polygon.astype(np.float64) + 0.5) / (width, height), 0, 1)


def _box_rows(wall: Wall) -> str:
    rows = []
    for hold in wall.holds:
        points = _fractions(hold, wall)
        low, high = points.min(axis=0), points.max(axis=0)
        (cx, cy), (w, h) = (low + high) / 2, high - low
        rows.append(f"{CLASSES[hold.kind]} {cx:.6f} {cy:.6f} {w:.6f} {h:.6f}\n")
    return "".join(rows)


def _polygon_rows(wall: Wall) -> str:
    rows = []
    for hold in wall.holds:
        numbers = " ".join(f"{value:.6f}" for value in _fractions(hold, wall).ravel())
        rows.append(f"{CLASSES[hold.kind]} {numbers}\n")
    return "".join(rows)
