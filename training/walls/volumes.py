"""Paints one volume: a big hollow box of flat plywood faces, or a smooth dome of fibreglass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.walls.light import Lighting, cast_shadow
from training.walls.noise import Float, smoothstep, value_noise
from training.walls.palette import lab_to_rgb
from training.walls.patch import Patch, patch_of
from training.walls.raster import dab
from training.walls.relief import dome, roof, slopes
from training.walls.scene import VolumePlan
from training.walls.shapes import area


def surface_tilt(plan: VolumePlan, point: Float) -> tuple[float, float]:
    """Rise to the right and down of the face under a point (x, y in pixels) of the picture."""
    if plan.steepness is None:
        return 0.0, 0.0
    corners = plan.polygon - point
    _, slope_x, slope_y = roof((1, 1), corners.astype(np.float32), plan.steepness, plan.cap)
    return float(slope_x[0, 0]), float(slope_y[0, 0])


def volume_shadow(canvas: NDArray[np.uint8], plan: VolumePlan, lighting: Lighting) -> None:
    """The volume's shadow on the wall (canvas: uint8 RGB, in place)."""
    radius = float(np.sqrt(area(plan.polygon) / np.pi))
    height = min(plan.cap, 0.6 * radius)
    cast_shadow(canvas, plan.polygon, height, lighting, taper=0.3)


def paint_volume(
    canvas: NDArray[np.uint8], plan: VolumePlan, lighting: Lighting, rng: np.random.Generator
) -> None:
    """Lays one volume over the canvas (uint8 RGB, in place), exactly inside its polygon."""
    patch = patch_of(plan.polygon)
    _, slope_x, slope_y = _relief(patch, plan)
    light = lighting.shade(slope_x, slope_y) * _edges(slope_x, slope_y)
    scale = plan.scale * patch.fine
    tone = _tone(patch, plan, scale, rng)
    rgb = lab_to_rgb(plan.lab) * (tone * np.clip(light, 0.1, 1.7) ** np.float32(1 / 2.2))[..., None]
    chalk = value_noise(rng, tone.shape, (0.14 * scale, 0.14 * scale), 6)
    share = rng.uniform(0.05, 0.4) * smoothstep(0.2, 3.2, chalk)
    rgb = rgb + (0.9 - rgb) * share[..., None]
    _rubber(rgb, scale, rng)
    _insets(rgb, patch, scale, rng)
    patch.blend(canvas, np.clip(rgb, 0, 1).astype(np.float32))


def _relief(patch: Patch, plan: VolumePlan) -> tuple[Float, Float, Float]:
    shape = (patch.cover.shape[0], patch.cover.shape[1])
    if plan.steepness is not None:
        return roof(shape, patch.polygon, plan.steepness, plan.cap * patch.fine)
    height = dome(patch.cover, 0.8, 0.9)
    return height, *slopes(height)


def _edges(slope_x: Float, slope_y: Float) -> Float:
    """Folds between faces are worn pale: brighter where the slope jumps."""
    jump = np.abs(np.diff(slope_x, axis=1, prepend=slope_x[:, :1]))
    jump += np.abs(np.diff(slope_y, axis=0, prepend=slope_y[:1]))
    return np.asarray(1 + 0.18 * np.clip(jump * 3, 0, 1), np.float32)


def _tone(patch: Patch, plan: VolumePlan, scale: float, rng: np.random.Generator) -> Float:
    rows, columns = patch.cover.shape
    tone = 1 + 0.02 * value_noise(rng, (rows, columns), (0.3 * scale, 0.3 * scale), 4)
    if plan.wood:
        hill = value_noise(rng, (rows, columns), (0.16 * scale, 0.9 * scale), 2)
        tone += 0.022 * np.sin(hill * 9)
    else:
        tone += 0.02 * value_noise(rng, (rows, columns), (2.0, 2.0))
    return np.asarray(tone, np.float32)


def _rubber(rgb: Float, scale: float, rng: np.random.Generator) -> None:
    """Black scuffs of shoes, short and mostly sideways."""
    rows, columns = rgb.shape[:2]
    scuffs = value_noise(rng, (rows, columns), (0.07 * scale, 0.009 * scale))
    where = value_noise(rng, (rows, columns), (0.35 * scale, 0.35 * scale))
    share = rng.uniform(0.1, 0.35) * smoothstep(2.2, 3.4, scuffs + 0.9 * where)
    rgb *= (1 - share)[..., None]


def _insets(rgb: Float, patch: Patch, scale: float, rng: np.random.Generator) -> None:
    """Threaded holes in loose rows, and screws along the rim."""
    low, high = patch.polygon.min(axis=0), patch.polygon.max(axis=0)
    pitch = 0.14 * scale
    grid = np.stack(np.meshgrid(np.arange(low[0], high[0], pitch), np.arange(low[1], high[1], pitch)), -1)
    spots = grid.reshape(-1, 2) + rng.normal(0, 0.012 * scale, (grid.size // 2, 2))
    centre = patch.polygon.mean(axis=0)
    screws = centre + 0.9 * (patch.polygon[:: 1 + len(patch.polygon) // 8] - centre)
    for spot in spots:
        dab(rgb, spot, 0.0068 * scale, 0.3)
    for spot in screws:
        dab(rgb, spot, 0.005 * scale, 0.45)
