"""Height fields: the third dimension of a flat outline."""

from __future__ import annotations

import cv2
import numpy as np

from training.walls.noise import Float


def dome(cover: Float, bulge: float, roundness: float) -> Float:
    """A smooth body swelling from its outline, by the distance transform (Felzenszwalb 2012).

    Args:
        cover: the body, 0..1, H x W.
        bulge: height of the middle, as a share of the widest inner radius.
        roundness: share of that radius over which the body rises, 0..1: 1 a ball, 0.4 a flat pad.

    Returns:
        float32 heights in pixels, H x W; falling to 0 outside.
    """
    # The blurs below flatten the last pixels of the rim: let the body reach a little past its outline.
    spare = 1 + int(0.04 * float(np.sqrt(cover.sum())))
    padded = np.pad(cover, spare + 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * spare + 1, 2 * spare + 1))
    inside = cv2.dilate((padded > 0.5).astype(np.uint8), disc)
    away = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    radius = max(float(away.max()), 1.0)
    rise = np.clip(away / (radius * roundness), 0, 1)
    round_top = np.sqrt(np.maximum(1 - (1 - rise) ** 2, 0))
    # The distance has creases along the middle; a mould has none. Two blurs keep the rim upright.
    wide = cv2.GaussianBlur(round_top, (0, 0), max(0.6, 0.22 * radius))
    tight = cv2.GaussianBlur(round_top, (0, 0), max(0.5, 0.07 * radius))
    height = (0.6 * wide + 0.4 * tight) * (bulge * radius)
    return np.asarray(height[spare + 1 : -spare - 1, spare + 1 : -spare - 1], np.float32)


def bowl(
    shape: tuple[int, int], centre: Float, radii: tuple[float, float], depth: float, edge: float
) -> Float:
    """A hollow: `depth` pixels deep at `centre` (x, y), gone beyond `radii`; `edge` 1 soft .. 4 crisp."""
    rows, columns = np.ogrid[0 : shape[0], 0 : shape[1]]
    away = ((columns - centre[0]) / radii[0]) ** 2 + ((rows - centre[1]) / radii[1]) ** 2
    return np.asarray(depth * np.exp(-(away**edge)), np.float32)


def slopes(height: Float) -> tuple[Float, Float]:
    """Rise to the right and rise downwards per pixel, both H x W."""
    x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def roof(shape: tuple[int, int], corners: Float, steepness: Float, cap: float) -> tuple[Float, Float, Float]:
    """A faceted body: the lowest of one plane per side, cut by a flat top.

    Args:
        shape: H, W.
        corners: convex outline, K x 2 pixels.
        steepness: rise per pixel away from each side, K.
        cap: height of the flat top, pixels; infinity for a pointed one.

    Returns:
        heights, rise to the right and rise downwards: each float32, H x W, planes kept perfectly flat.
    """
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    best = np.full(shape, cap, np.float32)
    slope_x, slope_y = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    centre = corners.mean(axis=0)
    for start, end, steep in zip(corners, np.roll(corners, -1, axis=0), steepness, strict=True):
        along = end - start
        normal = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6)
        if float(normal @ (centre - start)) < 0:
            normal = -normal
        plane = ((columns - start[0]) * normal[0] + (rows - start[1]) * normal[1]) * steep
        lower = plane < best
        best = np.where(lower, plane, best)
        slope_x = np.where(lower, np.float32(normal[0] * steep), slope_x)
        slope_y = np.where(lower, np.float32(normal[1] * steep), slope_y)
    return best.astype(np.float32), slope_x.astype(np.float32), slope_y.astype(np.float32)
