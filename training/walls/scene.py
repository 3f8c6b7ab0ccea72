"""What stands on the wall: plans of holds, volumes, problems and tags, before any paint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.walls.noise import Float
from training.walls.palette import Colour
from training.walls.shapes import Style
from training.walls.truth import Tag


@dataclass(frozen=True, eq=False)
class HoldPlan:
    """One hold to be painted.

    Attributes:
        polygon: outline in the picture, N x 2 pixels.
        scale: pixels per metre there.
        tilt: rise of the surface that it is bolted to, to the right and down.
        style: what kind of hold.
        facets: whether it is cut in flat facets.
        colour: its name.
        lab: its shade.
        problem_id: whose it is.
        tag: start or top.
    """

    polygon: Float
    scale: float
    tilt: tuple[float, float]
    style: Style
    facets: bool
    colour: Colour
    lab: NDArray[np.float32]
    problem_id: int
    tag: Tag | None


@dataclass(frozen=True, eq=False)
class VolumePlan:
    """One volume to be painted.

    Attributes:
        polygon: outline in the picture, N x 2 pixels, convex.
        scale: pixels per metre there.
        steepness: rise per pixel off each side of the polygon, N; None for a smooth body.
        cap: height of its flat top, pixels.
        colour: its name; `unknown` for bare wood.
        lab: its shade.
        wood: whether grain shows.
    """

    polygon: Float
    scale: float
    steepness: Float | None
    cap: float
    colour: Colour
    lab: NDArray[np.float32]
    wood: bool


@dataclass(frozen=True, eq=False)
class TagPlan:
    """A card or strips of tape beside a hold.

    Attributes:
        corners: 4 x 2 pixels, clockwise from the top left.
        tag: what it says.
        lab: colour of its problem.
        tape: strips of tape instead of a printed card.
    """

    corners: Float
    tag: Tag
    lab: NDArray[np.float32]
    tape: bool


@dataclass(frozen=True)
class Scene:
    """Everything that is bolted or stuck on; problem ids are positions in `colours`."""

    volumes: tuple[VolumePlan, ...]
    holds: tuple[HoldPlan, ...]
    tags: tuple[TagPlan, ...]
    colours: tuple[Colour, ...]
