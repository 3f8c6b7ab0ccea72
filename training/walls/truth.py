"""What was drawn: the answer that every other part is measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.walls.palette import Colour
from training.walls.raster import coverage

Kind = Literal["hold", "volume"]
Tag = Literal["start", "top"]


@dataclass(frozen=True, eq=False)
class TrueHold:
    """One hold or volume, as it stands in the picture.

    Attributes:
        id: position in `Wall.holds`.
        polygon: float32, N x 2 (x right, y down), pixels; a pixel's centre lies on integers, as in OpenCV.
            A volume's polygon is its whole outline, whatever holds are bolted on it; holds overlap no hold.
        kind: hold or volume.
        colour: one of the thirteen names; `unknown` only for volumes of bare wood, which nobody would name.
        problem_id: position in `Wall.problems`; None for volumes.
        tag: start or top when a tag was put up beside the hold.
    """

    id: int
    polygon: NDArray[np.float32]
    kind: Kind
    colour: Colour
    problem_id: int | None
    tag: Tag | None

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2 of the polygon, pixels."""
        low, high = self.polygon.min(axis=0), self.polygon.max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


@dataclass(frozen=True)
class TrueProblem:
    """One problem: holds of one colour, from the start to the top.

    Attributes:
        id: position in `Wall.problems`.
        colour: the name that all its holds carry.
        hold_ids: ids of its holds, bottom to top, feet last.
        start_ids: the one or two first holds.
        top_ids: the last hold.
    """

    id: int
    colour: Colour
    hold_ids: tuple[int, ...]
    start_ids: tuple[int, ...]
    top_ids: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Wall:
    """A picture with its truth.

    Attributes:
        pixels: uint8 RGB, height x width x 3.
        holds: holds and volumes; volumes first.
        problems: what was set.
    """

    pixels: NDArray[np.uint8]
    holds: tuple[TrueHold, ...]
    problems: tuple[TrueProblem, ...]


def mask(hold: TrueHold, height: int, width: int) -> NDArray[np.uint8]:
    """The hold's pixels: uint8, height x width, 1 inside and 0 outside."""
    canvas = np.zeros((height, width), np.uint8)
    x0, y0 = np.maximum(np.floor(hold.polygon.min(axis=0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(hold.polygon.max(axis=0)).astype(int) + 1, (width, height))
    if x0 < x1 and y0 < y1:
        part = coverage(hold.polygon - np.array([x0, y0]), int(x1 - x0), int(y1 - y0))
        canvas[y0:y1, x0:x1] = part >= 0.5
    return canvas
