"""Draws believable photos of climbing walls, with the exact truth about every hold.

>>> from training.walls import WallSpec, render
>>> wall = render(WallSpec(width=320, height=240, seed=1))
>>> wall.pixels.shape
(240, 320, 3)
"""

from training.walls.dataset import truth_of, write_dataset
from training.walls.palette import COLOURS, Colour
from training.walls.render import render
from training.walls.spec import WallSpec
from training.walls.truth import TrueHold, TrueProblem, Wall, mask

__all__ = [
    "COLOURS",
    "Colour",
    "TrueHold",
    "TrueProblem",
    "Wall",
    "WallSpec",
    "mask",
    "render",
    "truth_of",
    "write_dataset",
]
