"""A picture of an answer: the photo with outlines, problem numbers and START/TOP marks on it."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from holdcheck import image
from holdcheck.errors import HoldcheckError
from holdcheck.result import Hold, Problem, Result
from holdcheck.settings import Settings

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_WHITE = (255, 255, 255)
_BLACK = (0, 0, 0)
_MIDDLE_GREY = 3 * 110
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_MAX_SIDE = 1600


def draw(photo: Path, result: Result, settings: Settings) -> NDArray[np.uint8]:
    """Draw `result` over its photo: RGB (H, W, 3), long side 1600 px at most."""
    wall = image.decode(photo, max_side=_MAX_SIDE, max_megapixels=settings.max_image_megapixels)
    canvas = np.array(wall.pixels)  # a copy of our own: a decoder may hand out read-only memory
    scale = canvas.shape[1] / result.image_width
    problem_of = {hold_id: problem for problem in result.problems for hold_id in problem.holds}
    for hold in result.hold_data:
        _draw_hold(canvas, hold, problem_of.get(hold.id), scale)
    return canvas


def check_target(target: Path, option: str = "--draw") -> None:
    """Whether the picture that `option` asks for can be written there.

    Raises:
        HoldcheckError: its suffix is none of a picture's, or its folder is missing.
    """
    if target.suffix.lower() not in _SUFFIXES:
        raise HoldcheckError(f"{option} {target}: the name must end in one of {' '.join(_SUFFIXES)}")
    if not target.absolute().parent.is_dir():
        raise HoldcheckError(f"{option} {target}: there is no folder {target.parent}")


def save(photo: Path, result: Result, settings: Settings, target: Path) -> None:
    """Draw and write a picture; the suffix of `target` decides its format. No EXIF of the photo is kept."""
    Image.fromarray(draw(photo, result, settings)).save(target, quality=88)


def _draw_hold(canvas: NDArray[np.uint8], hold: Hold, problem: Problem | None, scale: float) -> None:
    # cv2 draws at 1/16 pixel with shift=4; a pixel's centre is the whole number.
    outline = ((np.array(hold.contour) * scale - 0.5) * 16).round().astype(np.int32)
    colour = problem.color_rgb if problem else hold.rgb
    width = max(2, round(canvas.shape[1] / 450))
    # A casing of the opposite lightness: the line shows on any wall, whatever its colour.
    casing = _BLACK if sum(colour) > _MIDDLE_GREY else _WHITE
    for line, thickness in ((casing, 2 * width), (colour, width)):
        cv2.polylines(canvas, [outline], True, line, thickness, cv2.LINE_AA, shift=4)
    label = _label(hold, problem)
    if label:
        _write(canvas, label, (hold.center[0] * scale, hold.center[1] * scale))


def _label(hold: Hold, problem: Problem | None) -> str:
    number = str(problem.id) if problem else ""
    return f"{number} {hold.tag.upper()}" if hold.tag else number


def _write(canvas: NDArray[np.uint8], text: str, center: tuple[float, float]) -> None:
    size = max(0.4, canvas.shape[1] / 2400)
    (width, height), _ = cv2.getTextSize(text, _FONT, size, 1)
    # Inside the picture, whole, however close to its border the hold is.
    left = min(max(round(center[0] - width / 2), 0), max(canvas.shape[1] - width, 0))
    bottom = min(max(round(center[1] + height / 2), height), canvas.shape[0])
    corner = (left, bottom)
    cv2.putText(canvas, text, corner, _FONT, size, _BLACK, 4, cv2.LINE_AA)
    cv2.putText(canvas, text, corner, _FONT, size, _WHITE, 1, cv2.LINE_AA)
