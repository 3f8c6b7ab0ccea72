"""Paints one hold: body, hollows, chalk, bolt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.walls.light import Lighting, cast_shadow
from training.walls.noise import Float, smoothstep, value_noise
from training.walls.palette import lab_to_rgb
from training.walls.patch import Patch, patch_of
from training.walls.raster import dab
from training.walls.relief import bowl, dome, roof, slopes
from training.walls.scene import HoldPlan
from training.walls.shapes import area

#: Bulge and roundness of each style, lowest and highest.
_BULGE = {
    "jug": (0.9, 1.3), "crimp": (0.7, 1.0), "sloper": (0.55, 0.95), "pinch": (0.9, 1.3),
    "pocket": (0.6, 0.9), "foot": (0.8, 1.1), "macro": (0.6, 0.95),
}  # fmt: skip
_CHALK = np.array([0.93, 0.93, 0.925], np.float32)


@dataclass(frozen=True, eq=False)
class _Body:
    """A hold's relief: heights and slopes, H x W, and its radius in patch pixels."""

    height: Float
    slope_x: Float
    slope_y: Float
    radius: float


def hold_shadow(canvas: NDArray[np.uint8], plan: HoldPlan, lighting: Lighting) -> None:
    """The hold's shadow on whatever lies behind it (canvas: uint8 RGB, in place)."""
    radius = float(np.sqrt(area(plan.polygon) / np.pi))
    cast_shadow(canvas, plan.polygon, radius * sum(_BULGE[plan.style]) / 2 * 1.5, lighting)


def paint_hold(
    canvas: NDArray[np.uint8], plan: HoldPlan, lighting: Lighting, rng: np.random.Generator
) -> None:
    """Lays one hold over the canvas (uint8 RGB, in place), exactly inside its polygon."""
    patch = patch_of(plan.polygon)
    body = _faceted(patch, rng) if plan.facets else _smooth(patch, plan, rng)
    grain = value_noise(rng, patch.cover.shape, (2.0 * patch.fine, 2.0 * patch.fine))
    light = lighting.shade(body.slope_x + plan.tilt[0], body.slope_y + plan.tilt[1])
    light *= _contact(patch, body) * (1 + 0.018 * grain)
    rgb = _mottled(plan, patch, rng)
    rgb = _chalked(rgb, body, patch, rng)
    rgb = _shadow_hue(rgb, light)
    rgb += _highlight(plan, body, lighting, rng)[..., None]
    _bolt(rgb, patch, plan, body, rng)
    patch.blend(canvas, np.clip(rgb, 0, 1).astype(np.float32))


def _smooth(patch: Patch, plan: HoldPlan, rng: np.random.Generator) -> _Body:
    radius = float(np.sqrt(area(patch.polygon) / np.pi))
    shape = patch.cover.shape
    round_edge = rng.uniform(0.55, 1.0)
    height = dome(patch.cover, rng.uniform(*_BULGE[plan.style]), round_edge)
    height *= 1 + 0.05 * value_noise(rng, shape, (0.7 * radius, 0.7 * radius))
    height += _crown(patch, plan, radius, rng)
    for hollow in _hollows(plan, radius, patch, rng):
        height -= hollow
    slope_x, slope_y = slopes(height)
    return _Body(height, slope_x, slope_y, radius)


def _crown(patch: Patch, plan: HoldPlan, radius: float, rng: np.random.Generator) -> Float:
    """The body leans: the lip of a jug stands out, a sloper's belly hangs low."""
    rows = np.linspace(-1, 1, patch.cover.shape[0], dtype=np.float32)[:, None]
    lean = {"jug": -0.25, "sloper": 0.15, "macro": 0.1}.get(plan.style, 0.0) + rng.normal(0, 0.12)
    return np.asarray(lean * rows * radius * patch.cover, np.float32)


def _hollows(plan: HoldPlan, radius: float, patch: Patch, rng: np.random.Generator) -> list[Float]:
    shape = (patch.cover.shape[0], patch.cover.shape[1])
    centre = patch.polygon.mean(axis=0)
    if plan.style == "jug" and rng.random() < 0.5:
        at = centre + np.array([rng.normal(0, 0.1), -rng.uniform(0.3, 0.55)]) * radius
        radii = (radius * rng.uniform(0.65, 0.95), radius * rng.uniform(0.25, 0.4))
        return [bowl(shape, at, radii, radius * rng.uniform(0.35, 0.6), 2.0)]
    if plan.style == "pocket":
        count = int(rng.choice([1, 2], p=[0.7, 0.3]))
        spread = np.linspace(-0.4, 0.4, count) if count > 1 else np.zeros(1)
        size = radius * rng.uniform(0.34, 0.46) / (1 + 0.25 * (count - 1))
        return [
            bowl(shape, centre + np.array([s, -0.12]) * radius, (size, size * 0.9), radius * 0.8, 3.0)
            for s in spread
        ]
    if plan.style == "sloper" and rng.random() < 0.3:
        return [bowl(shape, centre, (radius * 0.35, radius * 0.35), radius * 0.3, 1.0)]
    return []


def _faceted(patch: Patch, rng: np.random.Generator) -> _Body:
    radius = float(np.sqrt(area(patch.polygon) / np.pi))
    # The outline is rounded at its corners; the planes start from about six of its points.
    count = int(rng.integers(4, 7))
    picks = np.sort(rng.choice(len(patch.polygon), count, replace=False))
    corners = patch.polygon[:: max(1, len(patch.polygon) // 12)] if count < 3 else patch.polygon[picks]
    centre = patch.polygon.mean(axis=0)
    corners = centre + (corners - centre) * 1.12
    steep = rng.uniform(0.35, 1.1, len(corners)).astype(np.float32)
    cap = radius * rng.uniform(0.3, 0.7)
    shape = (patch.cover.shape[0], patch.cover.shape[1])
    height, slope_x, slope_y = roof(shape, corners, steep, cap)
    tilt = rng.normal(0, 0.12, 2)
    edge_x, edge_y = slopes(dome(patch.cover, 0.12, 0.25))
    return _Body(height, slope_x + tilt[0] + edge_x, slope_y + tilt[1] + edge_y, radius)


def _contact(patch: Patch, body: _Body) -> Float:
    """Hollows and the line where plastic meets wall get less light."""
    depth = np.maximum(-(body.height - np.float32(np.median(body.height[patch.cover > 0.5]))), 0)
    near = np.clip(depth / max(body.radius, 1.0), 0, 1)
    return np.asarray(1 - 0.28 * near**1.5, np.float32)


def _mottled(plan: HoldPlan, patch: Patch, rng: np.random.Generator) -> Float:
    """The plain colour, unevenly worn."""
    shape = patch.cover.shape
    base = lab_to_rgb(plan.lab)
    size = max(8.0, shape[0] / 2)
    tone = 1 + 0.025 * value_noise(rng, shape, (size, size), 3)
    return np.asarray(base * tone[..., None], np.float32)


def _chalked(rgb: Float, body: _Body, patch: Patch, rng: np.random.Generator) -> Float:
    """Chalk gathers where hands go: upward slopes, lips and the middle."""
    amount = float(rng.choice([0.0, 0.18, 0.5], p=[0.45, 0.4, 0.15]) * rng.uniform(0.5, 1.0))
    if amount == 0:
        return rgb
    cell = (max(3.0, 0.6 * body.radius), max(3.0, 0.45 * body.radius))
    smudge = value_noise(rng, patch.cover.shape, cell, 6)
    upward = np.clip(body.slope_y, -0.6, 0.8)
    share = amount * smoothstep(-0.3, 2.4, smudge + 1.3 * upward)
    return np.asarray(rgb + (_CHALK - rgb) * share[..., None], np.float32)


def _shadow_hue(rgb: Float, light: Float) -> Float:
    """Light times paint in linear light, written as its power in sRGB; shade deepens the colour a little."""
    factor = np.clip(light, 0.05, 1.75)[..., None] ** np.float32(1 / 2.2)
    grey = rgb.mean(axis=2, keepdims=True)
    deeper = rgb + (rgb - grey) * np.clip(1 - factor, 0, 0.5) * 0.35
    return np.asarray(deeper * factor, np.float32)


def _highlight(plan: HoldPlan, body: _Body, lighting: Lighting, rng: np.random.Generator) -> Float:
    glossy = rng.random() < (0.55 if plan.colour == "black" else 0.25)
    strength = rng.uniform(0.16, 0.32) if glossy else rng.uniform(0.01, 0.05)
    sharpness = rng.uniform(35, 90) if glossy else rng.uniform(8, 20)
    gloss = lighting.gloss(body.slope_x + plan.tilt[0], body.slope_y + plan.tilt[1], float(sharpness))
    return np.asarray(gloss * np.float32(strength), np.float32)


def _bolt(rgb: Float, patch: Patch, plan: HoldPlan, body: _Body, rng: np.random.Generator) -> None:
    """A dark recess with the bolt's head at its bottom; small holds are held by a screw."""
    scale = plan.scale * patch.fine
    radius = min(scale * 0.0125, 0.3 * body.radius)
    centre = patch.polygon.mean(axis=0) + rng.normal(0, 0.12, 2) * body.radius
    if plan.style == "pocket":
        centre = centre + np.array([0, 0.62]) * body.radius
    dab(rgb, centre + np.array([0, 0.25 * radius]), radius * 1.22, 1.15)
    dab(rgb, centre, radius, 0.259)
    if radius > 3:
        dab(rgb, centre + np.array([0, 0.15 * radius]), radius * 0.62, 1.8)
        dab(rgb, centre + np.array([0, 0.15 * radius]), radius * 0.3, 0.325)
    if body.radius > 0.07 * scale:
        for _ in range(int(rng.integers(0, 3))):
            inner = patch.polygon[int(rng.integers(len(patch.polygon)))]
            dab(rgb, centre + 0.72 * (inner - centre), scale * 0.005, 0.48)
