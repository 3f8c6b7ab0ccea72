"""Paints START and TOP: printed cards, or strips of tape."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.walls.noise import Float
from training.walls.palette import lab_to_rgb
from training.walls.scene import TagPlan

#: The card before it is turned and scaled: pixels.
_CARD = (192, 80)


def paint_tag(canvas: NDArray[np.uint8], plan: TagPlan, rng: np.random.Generator) -> None:
    """Sticks one tag on the canvas (uint8 RGB, in place)."""
    if plan.tape:
        _tape(canvas, plan, rng)
    else:
        _lay(canvas, _card(plan), plan.corners)


def _card(plan: TagPlan) -> NDArray[np.uint8]:
    width, height = _CARD
    card = np.full((height, width, 3), 240, np.uint8)
    band = tuple(int(v * 255) for v in lab_to_rgb(plan.lab))
    card[: height // 4] = band
    text = plan.tag.upper()
    (wide, tall), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.5, 5)
    at = ((width - wide) // 2, height - (height * 3 // 4 - tall) // 2)
    cv2.putText(card, text, at, cv2.FONT_HERSHEY_SIMPLEX, 1.5, (25, 25, 28), 5, cv2.LINE_AA)
    return card


def _lay(canvas: NDArray[np.uint8], card: NDArray[np.uint8], corners: Float) -> None:
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
    high = np.ceil(corners.max(axis=0)).astype(int) + 2
    part = canvas[low[1] : high[1], low[0] : high[0]]
    if part.size == 0:
        return
    shown = float(np.linalg.norm(corners[1] - corners[0]))
    if shown < _CARD[0]:
        # A card far smaller than its print would flicker: average it down first.
        width = max(4, round(shown))
        size = (width, max(2, width * _CARD[1] // _CARD[0]))
        card = np.asarray(cv2.resize(card, size, interpolation=cv2.INTER_AREA), np.uint8)
    rows, columns = card.shape[:2]
    flat = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32) - 0.5
    matrix = cv2.getPerspectiveTransform(flat, (corners - low).astype(np.float32))
    size = (part.shape[1], part.shape[0])
    laid = cv2.warpPerspective(card, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    _mix(part, np.asarray(laid, np.uint8), corners - low, 0.97)


def _tape(canvas: NDArray[np.uint8], plan: TagPlan, rng: np.random.Generator) -> None:
    """One strip for the top, a V of two for the start, in white or black so that it is no hold."""
    colour = (232, 231, 226) if rng.random() < 0.7 else (34, 34, 36)
    top_left, top_right, bottom_right, bottom_left = plan.corners
    middle = (bottom_left + bottom_right) / 2
    strips = [(top_left, middle), (top_right, middle)]
    if plan.tag == "top":
        strips = [((top_left + bottom_left) / 2, (top_right + bottom_right) / 2)]
    for start, end in strips:
        along = end - start
        across = np.array([-along[1], along[0]]) * 0.14
        quad = np.array([start + across, end + across, end - across, start - across], np.float32)
        low = np.maximum(np.floor(quad.min(axis=0)).astype(int) - 1, 0)
        high = np.ceil(quad.max(axis=0)).astype(int) + 2
        part = canvas[low[1] : high[1], low[0] : high[0]]
        if part.size:
            _mix(part, np.full_like(part, colour), quad - low, 0.92)


def _mix(part: NDArray[np.uint8], paint: NDArray[np.uint8], quad: Float, strength: float) -> None:
    cover = np.zeros(part.shape[:2], np.uint8)
    cv2.fillConvexPoly(cover, np.rint(quad * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    share = (cover.astype(np.float32) / 255 * strength)[..., None]
    part[:] = np.rint(part * (1 - share) + paint * share).astype(np.uint8)
