"""The photos that came out worst, as one sheet to look at and learn from."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from holdcheck import draw, image, registry
from holdcheck.detector import KINDS
from holdcheck.errors import ModelNotPrepared
from holdcheck.evaluate.labels import Truth, read_split, truth_on
from holdcheck.evaluate.matching import match
from holdcheck.evaluate.run import PhotoScore, Report
from holdcheck.holds import HoldMask, decode_masks
from holdcheck.settings import Settings

COUNT = 10
_COLUMNS = 5
_CELL = (760, 760)
"""Height and width of the room for one photo."""
_CAPTION = 34
_GREEN, _RED, _YELLOW, _WHITE = (60, 230, 90), (255, 60, 60), (255, 225, 0), (255, 255, 255)
_LEGEND = "green: found   yellow: missed   red: nothing there, or another kind"
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def worst_of(scores: Sequence[PhotoScore], count: int = COUNT) -> list[PhotoScore]:
    """The photos with the lowest F1, worst first; nothing to find and nothing found is no failure."""
    judged = [score for score in scores if score.true + score.false]
    return sorted(judged, key=lambda score: (score.f1, score.photo.name))[:count]


def save(report: Report, settings: Settings, target: Path) -> None:
    """Draw the worst photos with the truth and what was detected, as in the report, and write the sheet.

    Raises:
        HoldcheckError: nothing can be written there.
    """
    draw.check_target(target, "--worst")
    detector = registry.load(settings).detector
    if detector is None:
        raise ModelNotPrepared("there is no detector to draw")
    labels = {each.photo: each for each in read_split(report.dataset, report.split)}
    cells = []
    for score in worst_of(report.photos):
        wall = image.decode(score.photo, settings.max_image_size, settings.max_image_megapixels)
        found = decode_masks(detector.detect(wall.pixels), wall.pixels.shape)
        height, width = wall.pixels.shape[:2]
        truth = truth_on(labels[score.photo], (height, width), wall.original_width)
        cells.append(cell(wall.pixels, truth, found, caption(score)))
    Image.fromarray(sheet(cells)).save(target)


def caption(score: PhotoScore) -> str:
    return f"{score.photo.stem}  F1 {score.f1:.2f}: {score.found} of {score.true} found, {score.false} false"


def cell(pixels: NDArray[np.uint8], truth: Truth, found: Sequence[HoldMask], title: str) -> NDArray[np.uint8]:
    """One photo (H, W, 3) with its labels and detections, scaled into a cell with a caption."""
    height, width = pixels.shape[:2]
    scale = min(_CELL[0] / height, _CELL[1] / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    canvas = np.zeros((_CELL[0] + _CAPTION, _CELL[1], 3), np.uint8)
    picture = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    matched, seen = _matched(truth, found)
    for row in np.flatnonzero(~seen):
        _outline(picture, _shape_of(truth, int(row)) * scale, _YELLOW)
    for hold, hit in zip(found, matched, strict=True):
        _outline(picture, hold.outline * scale, _GREEN if hit else _RED)
    canvas[_CAPTION : _CAPTION + size[1], : size[0]] = picture
    cv2.putText(canvas, title, (8, _CAPTION - 11), _FONT, 0.6, _WHITE, 1, cv2.LINE_AA)
    return canvas


def sheet(cells: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Cells in rows of five, with a legend below."""
    height, width = _CELL[0] + _CAPTION, _CELL[1]
    columns = max(1, min(_COLUMNS, len(cells)))
    rows = -(-len(cells) // columns)
    canvas = np.zeros((rows * height + _CAPTION, columns * width, 3), np.uint8)
    for number, part in enumerate(cells):
        top, left = number // columns * height, number % columns * width
        canvas[top : top + height, left : left + width] = part
    cv2.putText(canvas, _LEGEND, (8, len(canvas) - 11), _FONT, 0.6, _WHITE, 1, cv2.LINE_AA)
    return canvas


def _matched(truth: Truth, found: Sequence[HoldMask]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(N,) detections that found an object of their kind, (M,) objects that were found."""
    hits, seen = np.zeros(len(found), bool), np.zeros(len(truth.classes), bool)
    for number, kind in enumerate(KINDS):
        rows = np.array([i for i, hold in enumerate(found) if hold.kind == kind], np.int64)
        objects = np.flatnonzero(truth.classes == number)
        boxes = np.array([found[i].bbox for i in rows], np.float32).reshape(-1, 4)
        partner = match(boxes, truth.boxes[objects])
        hits[rows[partner >= 0]] = True
        seen[objects[partner[partner >= 0]]] = True
    return hits, seen


def _shape_of(truth: Truth, row: int) -> NDArray[np.float32]:
    if truth.outlines is not None:
        return truth.outlines[row]
    x1, y1, x2, y2 = truth.boxes[row]
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)


def _outline(picture: NDArray[np.uint8], points: NDArray[np.float32], colour: tuple[int, int, int]) -> None:
    # A casing underneath: a green line on a green hold is none.
    fixed = ((points - 0.5) * 16).round().astype(np.int32)
    for line, thickness in (((0, 0, 0), 4), (colour, 2)):
        cv2.polylines(picture, [fixed], True, line, thickness, cv2.LINE_AA, shift=4)
