"""What to draw: the order for one wall."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

import numpy as np

Surface = Literal["wood", "gray", "painted", "random"]
Angle = Literal["slab", "face", "overhang", "random"]
Light = Literal["easy", "medium", "hard", "random"]
Quality = Literal["clean", "phone", "poor", "random"]

_WALLS: Final[tuple[Surface, ...]] = ("wood", "gray", "painted")
_ANGLES: Final[tuple[Angle, ...]] = ("slab", "face", "overhang")
_LIGHTS: Final[tuple[Light, ...]] = ("easy", "medium", "hard")
_QUALITIES: Final[tuple[Quality, ...]] = ("clean", "phone", "poor")

MIN_SIDE = 64
MAX_PROBLEMS = 12


@dataclass(frozen=True)
class WallSpec:
    """One wall to draw. The same spec gives the same pixels, bit for bit, on the same machine.

    `light` and `quality` leave the geometry alone: two specs that differ only there have the same truth.

    Attributes:
        width: pixels, 64 or more.
        height: pixels, 64 or more.
        seed: any non-negative integer.
        problems: how many to set, 1 to 12; None: what fits the wall. A crowded wall may get fewer.
        volumes: how many to bolt on, 0 or more; None: a random few.
        wall: what the panels are made of.
        wall_angle: slab (leans away), face (plumb), overhang (leans towards the camera).
        light: easy (even), medium, hard (spots, deep shadow, colour casts).
        quality: clean (no sensor at all), phone, poor (blur, noise, heavy JPEG).
        tags: whether START and TOP cards or tape are put up.
        metres: height of the wall in view, metres; None: what fits the number of problems.
        twins: whether neighbours share a colour's name in clearly different shades: two greens.
        shadow: whether the edge of a deep shadow, as a roof or a beam throws it, crosses the wall.
    """

    width: int = 1024
    height: int = 768
    seed: int = 0
    problems: int | None = None
    volumes: int | None = None
    wall: Surface = "random"
    wall_angle: Angle = "random"
    light: Light = "random"
    quality: Quality = "random"
    tags: bool = True
    metres: float | None = None
    twins: bool = False
    shadow: bool = False

    def __post_init__(self) -> None:
        if min(self.width, self.height) < MIN_SIDE:
            raise ValueError(f"width and height must be {MIN_SIDE} or more, not {self.width}x{self.height}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative: {self.seed}")
        if self.problems is not None and not 1 <= self.problems <= MAX_PROBLEMS:
            raise ValueError(f"problems must be 1 to {MAX_PROBLEMS}, not {self.problems}")
        if self.volumes is not None and self.volumes < 0:
            raise ValueError(f"volumes must not be negative: {self.volumes}")
        if self.metres is not None and not 1.0 <= self.metres <= 12.0:
            raise ValueError(f"metres must be 1 to 12, not {self.metres}")
        for name, kind in (("wall", Surface), ("wall_angle", Angle), ("light", Light), ("quality", Quality)):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"{name} must be one of {', '.join(get_args(kind))}")

    def stream(self, *key: int) -> np.random.Generator:
        """A source of randomness of its own for each part, so that one part never disturbs another."""
        return np.random.default_rng((self.seed, *key))

    def resolved(self) -> WallSpec:
        """The same spec with every `random` decided by the seed."""
        rng = self.stream(1)
        wall = _WALLS[int(rng.choice(3, p=[0.5, 0.25, 0.25]))]
        angle = _ANGLES[int(rng.choice(3, p=[0.25, 0.45, 0.3]))]
        light = _LIGHTS[int(rng.choice(3, p=[0.4, 0.4, 0.2]))]
        quality = _QUALITIES[int(rng.choice(3, p=[0.1, 0.7, 0.2]))]
        return replace(
            self,
            wall=wall if self.wall == "random" else self.wall,
            wall_angle=angle if self.wall_angle == "random" else self.wall_angle,
            light=light if self.light == "random" else self.light,
            quality=quality if self.quality == "random" else self.quality,
        )
