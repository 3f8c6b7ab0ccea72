"""Captions for holdclip: what may be said of a crop, and of which crops it is true.

A caption claims some attributes; it is true of every crop that has them. So "a photo of a hold" is true of
each hold of a batch, "a photo of a red hold" of the red ones, and both are targets for a red hold.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdcheck.classifier import COLOURS
from holdcheck.prepare import prompts

LIGHTS = ("dark", "bright", "chalky", "blurry")
"""What augmentation did to a crop, where it did much."""
SHAPES = ("long", "round")
KINDS = ("hold", "volume", "start", "top", "tape", "wall")
ATTRIBUTES: tuple[str, ...] = (*COLOURS, *KINDS, *LIGHTS, *SHAPES)

_WORDS = {
    "mint": ("mint green", "mint", "mint green"),
    "lime": ("lime green", "lime", "lime green"),
    "gray": ("gray", "gray", "grey"),
}
_OF_HOLDS = (
    "a photo of a {} hold",
    "a {} climbing hold",
    "a {} hold",
    "a {} jug on a climbing wall",
    "a photo of one {} hold of a boulder problem",
    "a {} foothold",
    "the color of this climbing hold is {}",
    "a photo of a {} plastic grip",
    "a small photo of a {} climbing hold",
    "a {} climbing grip screwed to a wall",
)
_OF_ANYTHING = ("a photo of something {}", "{}", "a {} thing", "the color {}")
_OF_VOLUMES = ("a photo of a {} volume on a climbing wall", "a {} climbing volume", "a large {} volume")
_WITH_COLOUR: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (_OF_ANYTHING, ()),
    (_OF_HOLDS, ("hold",)),
    (_OF_VOLUMES, ("volume",)),
    (("a photo of a long {} climbing hold",), ("hold", "long")),
    (("a photo of a round {} climbing hold",), ("hold", "round")),
    (("a photo of a {} climbing hold covered with chalk",), ("hold", "chalky")),
    (("a very dark photo of a {} climbing hold",), ("hold", "dark")),
    (("an overexposed photo of a {} climbing hold",), ("hold", "bright")),
    (("an out of focus photo of a {} climbing hold",), ("hold", "blurry")),
)
"""Templates, and what they claim beside a colour."""
_WITHOUT_COLOUR: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a photo of a climbing hold", ("hold",)),
    ("a climbing hold on a climbing wall", ("hold",)),
    ("a photo of a long climbing hold", ("hold", "long")),
    ("a photo of a round climbing hold", ("hold", "round")),
    ("a photo of a volume", ("volume",)),
    ("a photo of a climbing volume", ("volume",)),
    ("a large volume on a climbing wall", ("volume",)),
    ("a photo of a START tag", ("start",)),
    ("a card that says START", ("start",)),
    ("a start tag on a climbing wall", ("start",)),
    ("a photo of a TOP tag", ("top",)),
    ("a card that says TOP", ("top",)),
    ("a top tag on a climbing wall", ("top",)),
    ("a photo of a strip of tape", ("tape",)),
    ("tape on a climbing wall", ("tape",)),
    ("a photo of a bare climbing wall", ("wall",)),
    ("an empty piece of a climbing wall", ("wall",)),
)


@dataclass(frozen=True, slots=True)
class Captions:
    """Every caption there is."""

    texts: tuple[str, ...]
    claims: NDArray[np.bool_]
    """(T, A): which ATTRIBUTES each caption claims."""
    served: NDArray[np.bool_]
    """(T,): says nothing but a colour, with one of the templates that prepare embeds."""
    colour: NDArray[np.int64]
    """(T,): index into COLOURS, -1 where a caption names none."""

    def true_of(self, attributes: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(N, A) attributes of crops -> (N, T)."""
        missing = self.claims.astype(np.int32) @ (~attributes).astype(np.int32).T
        return np.asarray(missing.T == 0)


def build() -> Captions:
    """All captions over all colours."""
    rows = list(_rows())
    return Captions(
        tuple(text for text, _, _ in rows),
        np.stack([encode(claims) for _, claims, _ in rows]),
        np.array([served for _, _, served in rows]),
        np.array([next((COLOURS.index(c) for c in claims if c in COLOURS), -1) for _, claims, _ in rows]),
    )


def encode(attributes: tuple[str, ...]) -> NDArray[np.bool_]:
    """Names -> (A,)."""
    row = np.zeros(len(ATTRIBUTES), dtype=bool)
    row[[ATTRIBUTES.index(name) for name in attributes]] = True
    return row


def _rows() -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Text, what it claims, and whether prepare embeds its template."""
    for colour in COLOURS:
        for word in _WORDS.get(colour, (colour,)):
            for template in prompts.TEMPLATES:
                # The colour alone: prepare asks each of them about every crop, dark or chalky or not.
                yield template.format(word), (colour,), True
            for templates, more in _WITH_COLOUR:
                for template in templates:
                    yield template.format(word), (colour, *more), False
    for text, claims in _WITHOUT_COLOUR:
        yield text, claims, False
