"""START and TOP: printed cards, found by matching the two words against the photo around its holds.

Normalised cross-correlation (Lewis 1995, Fast normalized cross-correlation) asks only for the words' form:
light does not matter. It runs on a copy so small that a word is some ten pixels wide, and again at full size
where that saw anything. A missed card leaves an estimate, a wrong one would be believed: the limits
are set so that no photo without a card showed one (docs/problems.md).
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from holdcheck.result import Tag

Box = tuple[float, float, float, float]

_WORDS: dict[Tag, str] = {"start": "START", "top": "TOP"}
_ASPECT: dict[Tag, float] = {"start": 1.0, "top": 0.6}
"""Width of the printed word, as a share of START's in the same letters."""
_ALIKE: dict[Tag, float] = {"start": 0.70, "top": 0.73}
"""Correlation from which a word is read. Three letters are found by chance sooner than five."""
_STROKES: dict[Tag, float] = {"start": 0.50, "top": 0.63}
"""The same of their derivatives across: a dark slot looks like TOP from afar, and has no letters in it."""
_WORTH_BOTH = 0.6
"""Correlation of one word from which the other one is tried, too."""
_COARSE_HOLD = 14
"""Side of the median hold on the small copy, pixels."""
_COARSE_WIDTHS = (8, 10, 13, 17, 22)
"""Widths of START that are looked for there."""
_COARSE_ALIKE = 0.55
_MOST_PLACES = 40
_FINE_WIDTH = 26
"""Width at which START is compared."""
_FINE_STEPS = (0.8, 0.9, 1.0, 1.12, 1.25)
"""Widths around the coarse one."""
_STROKE_STEPS = (0.92, 1.0, 1.08)
_CONTRAST = 40
"""Grey levels between print and card: correlation alone sees words in bare wood."""
_CARD_ASPECT = (1.4, 3.2)
"""Width of a card by its height."""
_PRINTED = 0.68
"""Width of START on a card, as a share of the card's."""
_REACH = 1.2
"""How far from its hold a card hangs, in median hold sizes."""
_CLEARLY = 0.15
"""How much nearer its hold must be than any other, in the same."""
_MAX_COARSE_SIDE = 1200
_NEIGHBOURS = np.ones((3, 3), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Card:
    """A card that was read. Pixels of the picture."""

    tag: Tag
    center: tuple[float, float]
    """Of the printed word."""
    width: float
    """Of the printed word."""
    score: float
    """Correlation, up to 1."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the small copy shows something like a word."""

    alike: float
    tag: Tag
    center: tuple[float, float]
    width: float
    """Of START in the same letters."""


def read(pixels: NDArray[np.uint8], boxes: Sequence[Box]) -> list[Card]:
    """Read the cards around holds.

    Args:
        pixels: RGB (H, W, 3).
        boxes: the holds' x1, y1, x2, y2 in its pixels.

    Returns:
        The cards, surest first; no two in one place.
    """
    if not boxes:
        return []
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    size = _hold_size(boxes)
    places = _thinned(sorted(_places(grey, boxes, size), key=lambda place: -place.alike))
    places += _cards_taken_for_holds(boxes)
    cards = [card for card in (_read_place(grey, place) for place in places) if card is not None]
    cards.sort(key=lambda card: -card.score)
    return [card for i, card in enumerate(cards) if not any(_same_place(card, other) for other in cards[:i])]


def is_card(box: Box, card: Card) -> bool:
    """Whether what was detected there is the card itself, and no hold that it hangs on."""
    x1, y1, x2, y2 = box
    letters = card.width / _ASPECT[card.tag]
    return _holds_centre(box, card) and x2 - x1 < 2.2 * letters and y2 - y1 < 1.2 * letters


def tagged(cards: Sequence[Card], boxes: Sequence[Box], volumes: Collection[int] = ()) -> dict[int, Tag]:
    """Which hold each card belongs to: position in `boxes` -> tag.

    A card mostly hangs under its hold, so of two holds as near, the upper one has it. A card that two holds
    could claim belongs to none, and a hold that gets both tags has neither: one was misread, or is another's.

    Args:
        volumes: positions of volumes. A card that is stuck on one speaks of a hold on it.
    """
    if not boxes:
        return {}
    size = _hold_size(boxes)
    found: dict[int, set[Tag]] = {}
    for card in cards:
        gaps = np.array([*(_gap(card, box) / size for box in boxes), np.inf])
        gaps[[row for row in volumes if _holds_centre(boxes[row], card)]] = np.inf
        first, second = np.argsort(gaps, kind="stable")[:2].tolist()
        if gaps[first] <= _REACH and gaps[second] >= gaps[first] + _CLEARLY:
            found.setdefault(first, set()).add(card.tag)
    return {index: next(iter(tags)) for index, tags in found.items() if len(tags) == 1}


def _holds_centre(box: Box, card: Card) -> bool:
    x1, y1, x2, y2 = box
    x, y = card.center
    return x1 < x < x2 and y1 < y < y2


def _hold_size(boxes: Sequence[Box]) -> float:
    return float(np.median([np.sqrt((x2 - x1) * (y2 - y1)) for x1, y1, x2, y2 in boxes]))


def _gap(card: Card, box: Box) -> float:
    x1, y1, x2, y2 = box
    x, y = card.center
    gap = float(np.hypot(max(x1 - x, 0, x - x2), max(y1 - y, 0, y - y2)))
    hangs_under = x1 < x < x2 and y > (y1 + y2) / 2
    return gap if hangs_under else gap + card.width


def _same_place(one: Card, other: Card) -> bool:
    x, y = np.abs(np.subtract(one.center, other.center))
    return bool(x < 0.5 * other.width and y < 0.3 * other.width)


def _places(grey: NDArray[np.uint8], boxes: Sequence[Box], size: float) -> Iterator[_Place]:
    """What looks like a word on a small copy, near a hold and with some contrast."""
    scale = min(_COARSE_HOLD / size, _MAX_COARSE_SIDE / max(grey.shape), 1.0)
    if scale * min(grey.shape) < 1:
        return  # one hold fills a strip of a few pixels
    small = np.asarray(cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    searched = _near_holds(small.shape, boxes, scale, size) & (_contrast(small) >= _CONTRAST)
    for tag, width in ((tag, width) for tag in _WORDS for width in _COARSE_WIDTHS):
        word = _word(tag, round(width * _ASPECT[tag]), 1)
        rows, columns = word.shape
        if rows >= small.shape[0] or columns >= small.shape[1]:
            continue
        alike = cv2.matchTemplate(small, word, cv2.TM_CCOEFF_NORMED)
        middle = searched[rows // 2 :, columns // 2 :][: alike.shape[0], : alike.shape[1]]
        peaks = (alike > _COARSE_ALIKE) & (alike == cv2.dilate(alike, _NEIGHBOURS)) & middle
        for y, x in np.argwhere(peaks).tolist():
            centre = ((x + columns / 2) / scale, (y + rows / 2) / scale)
            yield _Place(float(alike[y, x]), tag, centre, width / scale)


def _cards_taken_for_holds(boxes: Sequence[Box]) -> list[_Place]:
    """Boxes of a card's form: where such a one is a card, its word fills about two thirds of it."""
    low, high = _CARD_ASPECT
    return [
        _Place(0.0, tag, ((x1 + x2) / 2, (y1 + y2) / 2), _PRINTED * (x2 - x1))
        for x1, y1, x2, y2 in boxes
        if low < (x2 - x1) / (y2 - y1) < high
        for tag in _WORDS
    ]


def _near_holds(shape: tuple[int, ...], boxes: Sequence[Box], scale: float, size: float) -> NDArray[np.bool_]:
    near = np.zeros(shape, dtype=np.uint8)
    for x1, y1, x2, y2 in boxes:
        low = int((x1 - size) * scale), int((y1 - size) * scale)
        high = int((x2 + size) * scale), int((y2 + size) * scale)
        cv2.rectangle(near, low, high, 1, -1)
    return near.astype(bool)


def _contrast(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Difference of the lightest and the darkest pixel around each one."""
    around = np.ones((5, 7), dtype=np.uint8)
    return np.asarray(cv2.subtract(cv2.dilate(grey, around), cv2.erode(grey, around)), dtype=np.uint8)


def _thinned(places: Sequence[_Place]) -> list[_Place]:
    """The best place of each neighbourhood, at most _MOST_PLACES."""
    kept: list[_Place] = []
    for place in places:
        x, y = place.center
        if len(kept) == _MOST_PLACES:
            break
        if all(
            abs(x - other.center[0]) > 0.3 * place.width or abs(y - other.center[1]) > 0.2 * place.width
            for other in kept
        ):
            kept.append(place)
    return kept


def _read_place(grey: NDArray[np.uint8], place: _Place) -> Card | None:
    """Compare the word at full size, then the other one; the better fit is what is read, if it is good."""
    best = _best_fit(grey, place, place.tag)
    if best.score < _WORTH_BOTH:
        return None
    others = (_best_fit(grey, place, tag) for tag in _WORDS if tag != place.tag)
    best = max(best, *others, key=lambda card: card.score)
    if best.score < _ALIKE[best.tag]:
        return None
    printed = _print_contrast(grey, best) >= _CONTRAST and _strokes(grey, best) >= _STROKES[best.tag]
    return best if printed else None


def _best_fit(grey: NDArray[np.uint8], place: _Place, tag: Tag) -> Card:
    # The word found decides how wide the other one would be: both are as wide as the print.
    printed = place.width * _ASPECT[place.tag]
    ink = round(_FINE_WIDTH * _ASPECT[tag])
    word = _word(tag, ink, 2)
    best = Card(tag, place.center, printed, -1.0)
    for step in _FINE_STEPS:
        scale = ink / (printed * step)
        window, offset = _window(grey, place.center, scale, ink)
        alike = cv2.matchTemplate(window, word, cv2.TM_CCOEFF_NORMED)
        _, score, _, (x, y) = cv2.minMaxLoc(alike)
        if score > best.score:
            at = (np.array([x + word.shape[1] / 2, y + word.shape[0] / 2]) - offset) / scale
            best = Card(tag, (float(at[0]), float(at[1])), ink / scale, float(score))
    return best


def _window(
    grey: NDArray[np.uint8], center: tuple[float, float], scale: float, ink: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """What surrounds `center`, somewhat wider than a word of `ink` pixels; where the photo's corner is."""
    middle = np.array([ink / 2 + 9, 14.0])
    offset = middle - scale * np.array(center)
    cut = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
    size = (ink + 18, 28)
    window = cv2.warpAffine(grey, cut, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(window, dtype=np.uint8), offset


def _strokes(grey: NDArray[np.uint8], card: Card) -> float:
    """How well the letters' upright edges fall on the word's."""
    ink = round(_FINE_WIDTH * _ASPECT[card.tag])
    edges = cv2.Sobel(_word(card.tag, ink, 2), cv2.CV_32F, 1, 0, ksize=1)
    best = -1.0
    for step in _STROKE_STEPS:
        window, _ = _window(grey, card.center, step * ink / card.width, ink)
        alike = cv2.matchTemplate(cv2.Sobel(window, cv2.CV_32F, 1, 0, ksize=1), edges, cv2.TM_CCOEFF_NORMED)
        y, x = np.array(alike.shape) // 2
        best = max(best, float(alike[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3].max()))
    return best


def _print_contrast(grey: NDArray[np.uint8], card: Card) -> float:
    x, y = card.center
    half = card.width / 2
    rows = slice(max(int(y - half / 3), 0), int(y + half / 3) + 1)
    window = grey[rows, max(int(x - half), 0) : int(x + half) + 1]
    dark, light = np.percentile(window, (10, 90)) if window.size else (0, 0)
    return float(light - dark)


@cache
def _word(tag: Tag, width: int, margin: int) -> NDArray[np.uint8]:
    """Dark letters on a light card, `width` pixels across, with a margin of card around them."""
    text, font, size, thickness, edge = _WORDS[tag], cv2.FONT_HERSHEY_SIMPLEX, 1.5, 5, 12
    (wide, tall), _ = cv2.getTextSize(text, font, size, thickness)
    canvas = np.full((tall + 16, wide + 16), 240, dtype=np.uint8)
    cv2.putText(canvas, text, (8, tall + 8), font, size, 30, thickness, cv2.LINE_AA)
    rows, columns = np.nonzero(canvas < 128)
    ink = canvas[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = width / ink.shape[1]
    framed = cv2.copyMakeBorder(ink, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=240)
    # As soft as a lens makes print of this size.
    soft = cv2.GaussianBlur(framed, (0, 0), 0.5 / scale)
    word = cv2.resize(soft, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    cut = max(0, round(edge * scale) - margin)
    return np.asarray(word[cut : word.shape[0] - cut, cut : word.shape[1] - cut], dtype=np.uint8)
