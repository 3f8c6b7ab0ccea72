"""Lamps: how bright a slope is, where shadows fall, how the hall is lit."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.walls.noise import Float
from training.walls.spec import WallSpec

Vector = tuple[float, float]


@dataclass(frozen=True)
class Lamp:
    """A distant lamp. `slope` is its offset (x right, y down) per unit of height off the wall: a lamp
    above has y < 0, and a bump of height h throws its shadow by -slope * h."""

    slope: Vector
    power: float


@dataclass(frozen=True)
class Shadow:
    """Light that something outside the picture keeps off one side of an edge through (x, y).

    Attributes:
        x: place of the edge, as a share of the width.
        y: as a share of the height.
        angle: direction into the dark, radians; 0 is to the right, pi/2 down.
        softness: width of the edge, in the same shares.
        depth: share of the light that is gone, 0..1.
    """

    x: float
    y: float
    angle: float
    softness: float
    depth: float

    def light(self, x: Float, y: Float) -> Float:
        """Share of the light that is left at these places, any shape."""
        into = (x - self.x) * np.cos(self.angle) + (y - self.y) * np.sin(self.angle)
        return np.asarray(1 - self.depth / (1 + np.exp(-into / self.softness)), np.float32)


@dataclass(frozen=True)
class Lighting:
    """Everything that shines.

    Attributes:
        ambient: light that comes from everywhere, in the units of the lamps' power.
        lamps: strongest first.
        softness: blur of a shadow's far end, as a share of the height that throws it.
        exposure: factor on the whole picture, 1 = a mid photo.
        balance: factors on red, green and blue.
        falloff: strength of the vertical gradient, -0.5..0.5; positive darkens the bottom.
        vignette: darkening of the corners, 0..0.4.
        pools: spots (x, y, radius, strength), in shares of the width and height.
        haze: white veil of stray light, 0..0.15.
        shadow: the dark side of a straight edge, if there is one.
    """

    ambient: float
    lamps: tuple[Lamp, ...]
    softness: float
    exposure: float
    balance: tuple[float, float, float]
    falloff: float
    vignette: float
    pools: tuple[tuple[float, float, float, float], ...]
    haze: float
    shadow: Shadow | None = None

    def shade(self, slope_x: Float, slope_y: Float) -> Float:
        """Lambert's law: light on a surface that rises by these slopes, relative to the flat wall.

        Args:
            slope_x: rise of the surface per unit to the right, any shape.
            slope_y: rise per unit down, same shape.

        Returns:
            float32, same shape: 1 = as bright as the flat wall.
        """
        length = np.sqrt(slope_x * slope_x + slope_y * slope_y + 1)
        # Bounced light comes rather from above: floors are darker than ceilings of climbing halls.
        total = self.ambient * (0.82 + 0.18 * (1 + slope_y * 0.9) / length)
        flat = self.ambient
        for lamp in self.lamps:
            x, y = lamp.slope
            norm = float(np.sqrt(x * x + y * y + 1))
            facing = (1 - slope_x * x - slope_y * y) / (length * norm)
            total = total + lamp.power * np.maximum(facing, 0)
            flat += lamp.power / norm
        return np.asarray(total / flat, np.float32)

    def gloss(self, slope_x: Float, slope_y: Float, sharpness: float) -> Float:
        """Blinn-Phong highlight (Blinn 1977) of the lamps for a viewer in front; float32 0..about 1."""
        length = np.sqrt(slope_x * slope_x + slope_y * slope_y + 1)
        total = np.zeros_like(length)
        for lamp in self.lamps:
            x, y = lamp.slope
            norm = float(np.sqrt(x * x + y * y + 1))
            half = np.array([x / norm, y / norm, 1 / norm + 1])
            half /= np.linalg.norm(half)
            facing = (half[2] - slope_x * half[0] - slope_y * half[1]) / length
            total = total + lamp.power * np.maximum(facing, 0) ** sharpness
        return np.asarray(total, np.float32)

    def field(self, height: int, width: int) -> Float:
        """Brightness of the hall over the picture: float32, height x width, small is enough."""
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        x, y = (x + 0.5) / width, (y + 0.5) / height
        light = 1 - self.falloff * (y - 0.5)
        light *= 1 - self.vignette * 2 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
        for px, py, radius, strength in self.pools:
            light *= 1 + strength * np.exp(-((x - px) ** 2 + (y - py) ** 2) / radius**2)
        if self.shadow is not None:
            light = light * self.shadow.light(x, y)
        return np.asarray(light * self.exposure, np.float32)


def arrange(spec: WallSpec, rng: np.random.Generator) -> Lighting:
    """Hangs the lamps as hard as the spec asks for; a slab catches more of them than an overhang."""
    hardness = {"easy": 0.0, "medium": 0.5, "hard": 1.0}[spec.light]
    steep = {"slab": 0.85, "face": 1.05, "overhang": 1.4}[spec.wall_angle]
    count = int(rng.integers(1, 3 + (hardness > 0)))
    side = rng.choice([-1.0, 1.0])
    lamps = []
    for index in range(count):
        sideways = side * rng.uniform(0.05, 0.5 + 0.3 * hardness) * (-1 if index % 2 else 1)
        above = -steep * rng.uniform(0.6, 0.9 + 0.3 * hardness)
        lamps.append(Lamp((float(sideways), float(above)), float(rng.uniform(0.9, 1.2) * 0.55**index)))
    dark = {"slab": 1.03, "face": 1.0, "overhang": 0.9}[spec.wall_angle]
    return Lighting(
        ambient=float(rng.uniform(0.6, 0.9) - 0.3 * hardness),
        lamps=tuple(lamps),
        softness=float(rng.uniform(0.05, 0.16)),
        exposure=float(dark * (1 + hardness * rng.uniform(-0.35, 0.12) + rng.normal(0, 0.03))),
        balance=_balance(hardness, rng),
        falloff=_falloff(spec, hardness, rng),
        vignette=float(rng.uniform(0.02, 0.12) + 0.25 * hardness * rng.random()),
        pools=_pools(hardness, rng),
        haze=float(max(0.0, rng.normal(0.01, 0.015) + 0.06 * hardness * rng.random())),
        shadow=_shadow(rng) if spec.shadow else None,
    )


def _shadow(rng: np.random.Generator) -> Shadow:
    """Its edge passes near the middle, so that it crosses problems, and takes half the light or more."""
    return Shadow(
        x=float(rng.uniform(0.3, 0.7)),
        y=float(rng.uniform(0.3, 0.7)),
        angle=float(rng.uniform(0, 2 * np.pi)),
        softness=float(rng.uniform(0.01, 0.04)),
        depth=float(rng.uniform(0.5, 0.75)),
    )


def _falloff(spec: WallSpec, hardness: float, rng: np.random.Generator) -> float:
    # An overhang's foot lies in its own shade; a slab is lit from top to bottom.
    base = {"slab": 0.06, "face": 0.12, "overhang": 0.26}[spec.wall_angle]
    return float(base + rng.normal(0, 0.04) + 0.15 * hardness * rng.random())


def _balance(hardness: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Warm or cold, a little green or magenta; brightness stays."""
    warm = rng.normal(0, 0.018 + 0.05 * hardness)
    green = rng.normal(0, 0.008 + 0.015 * hardness)
    return float(1 + warm - green / 2), float(1 + green), float(1 - warm - green / 2)


def _pools(hardness: float, rng: np.random.Generator) -> tuple[tuple[float, float, float, float], ...]:
    count = int(rng.integers(0, 2 + 2 * (hardness > 0)))
    return tuple(
        (
            float(rng.uniform(0, 1)),
            float(rng.uniform(-0.1, 0.7)),
            float(rng.uniform(0.25, 0.6)),
            float(rng.uniform(0.06, 0.18) + 0.25 * hardness * rng.random()),
        )
        for _ in range(count)
    )


def cast_shadow(
    canvas: NDArray[np.uint8], polygon: Float, height: float, lighting: Lighting, taper: float = 0.12
) -> None:
    """Darkens the canvas (uint8 RGB, in place) where a body stands between it and the lamps.

    Args:
        canvas: height x width x 3.
        polygon: the body's foot, N x 2 pixels.
        height: of the body, pixels.
        lighting: the lamps.
        taper: how much narrower the body is at its top, 0..1.
    """
    total = lighting.ambient + sum(lamp.power for lamp in lighting.lamps)
    soft = max(0.6, lighting.softness * height)
    _darken(canvas, [polygon], 0.38, max(0.8, 0.12 * height))
    centre = polygon.mean(axis=0)
    for lamp in lighting.lamps:
        steps = np.linspace(0, 1, 7)
        shift = -height * np.array(lamp.slope, np.float32)
        sweep = [((polygon - centre) * (1 - taper * s) + centre + shift * s) for s in steps]
        _darken(canvas, sweep, 0.95 * lamp.power / total, soft)


def _darken(canvas: NDArray[np.uint8], sweep: list[Float], strength: float, blur: float) -> None:
    margin = int(3 * blur) + 2
    points = np.concatenate(sweep)
    x0, y0 = np.maximum(np.floor(points.min(axis=0)).astype(int) - margin, 0)
    x1, y1 = np.ceil(points.max(axis=0)).astype(int) + margin
    part = canvas[y0:y1, x0:x1]
    if part.size == 0:
        return
    shadow = np.zeros(part.shape[:2], np.uint8)
    for polygon in sweep:
        moved = np.rint((polygon - (x0, y0)) * 16).astype(np.int32)
        cv2.fillPoly(shadow, [moved], 255, lineType=cv2.LINE_AA, shift=4)
    shadow = cv2.GaussianBlur(shadow, (0, 0), blur).astype(np.uint8)
    # Light is linear and pixels are not: the exponent takes the factor to sRGB's scale.
    keep = (1 - strength * (np.arange(256) / 255)) ** (1 / 2.2)
    factor = np.rint(keep * 256).astype(np.uint16)[shadow]
    part[:] = (part * factor[..., None] >> 8).astype(np.uint8)
