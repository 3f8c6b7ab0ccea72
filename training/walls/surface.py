"""Paints the bare wall: plywood figure, panel seams, T-nuts, old chalk, and the hall around it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.walls.camera import Camera, Points
from training.walls.light import Lighting
from training.walls.noise import Float, smoothstep, value_noise
from training.walls.palette import lab_to_rgb
from training.walls.panels import Backdrop, Facet
from training.walls.raster import dots

Image = NDArray[np.uint8]

#: A sheet of plywood, metres.
_SHEET = (1.22, 2.44)
#: Texture never gets finer than this many pixels along the longer side of a facet.
_TEXTURE_LIMIT = 2000


@dataclass(frozen=True, eq=False)
class _Grid:
    """A facet's own metres, laid over the picture."""

    facet: Facet
    camera: Camera
    low: Points
    high: Points

    def pixels(self, points: Points) -> Points:
        return self.camera.project(self.facet.centre + points @ self.facet.frame.T)


def paint(backdrop: Backdrop, camera: Camera, lighting: Lighting, rng: np.random.Generator) -> Image:
    """The wall without a single hold: uint8 RGB, height x width x 3."""
    width, height = camera.size
    canvas = np.full((height, width, 3), 90, np.uint8)
    for facet in backdrop.facets:
        _facet(canvas, _grid(facet, camera), lighting, rng)
    _old_chalk(canvas, camera, rng)
    _folds(canvas, backdrop, camera)
    if backdrop.ceiling is not None:
        _ceiling(canvas, backdrop.ceiling, rng)
    if backdrop.mat is not None:
        _mat(canvas, backdrop.mat, rng)
    return canvas


def _grid(facet: Facet, camera: Camera) -> _Grid:
    own = (facet.polygon - facet.centre) @ np.linalg.inv(facet.frame).T
    return _Grid(facet, camera, own.min(axis=0), own.max(axis=0))


def _facet(canvas: Image, grid: _Grid, lighting: Lighting, rng: np.random.Generator) -> None:
    outline = grid.camera.project(grid.facet.polygon)
    x0, y0 = np.maximum(np.floor(outline.min(axis=0)).astype(int) - 2, 0)
    x1, y1 = np.ceil(outline.max(axis=0)).astype(int) + 3
    part = canvas[y0:y1, x0:x1]
    if part.size == 0:
        return
    inside = np.zeros(part.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, np.rint((outline - (x0, y0)) * 16).astype(np.int32), 255, cv2.LINE_8, 4)
    texture = _warp(_texture(grid, rng), grid, (x0, y0), part)
    slope_x, slope_y = (np.array(value, np.float32) for value in grid.facet.slope)
    light = float(lighting.shade(slope_x, slope_y)) ** (1 / 2.2)
    cv2.copyTo(np.asarray(_ramp(grid.facet, light)[texture], np.uint8), inside, part)
    lines = part.copy()
    _seams(lines, grid, (x0, y0))
    _t_nuts(lines, grid, (x0, y0), rng)
    cv2.copyTo(lines, inside, part)


def _texture(grid: _Grid, rng: np.random.Generator) -> Image:
    """Tone of the facet in its own metres: uint8, 128 = the plain colour."""
    size = grid.high - grid.low
    scale = min(grid.camera.scale_at(grid.facet.centre), _TEXTURE_LIMIT / float(size.max()))
    columns, rows = (int(np.ceil(side * scale)) + 1 for side in size)
    tone = 3.0 * value_noise(rng, (rows, columns), (0.5 * scale, 0.5 * scale), 4)
    upright = bool(rng.random() < 0.5)
    sheet = np.array(_SHEET if upright else _SHEET[::-1]) * scale
    worn = {"wood": 4.5, "gray": 2.5, "painted": 1.5}[grid.facet.material]
    for top in np.arange(0, rows, sheet[1]):
        for left in np.arange(0, columns, sheet[0]):
            y, x = slice(int(top), int(top + sheet[1])), slice(int(left), int(left + sheet[0]))
            part = tone[y, x]
            part += rng.normal(0, worn)
            if grid.facet.material == "wood":
                part += _figure(rng, part.shape[0], part.shape[1], scale, upright)
    if grid.facet.material != "wood":
        tone += 1.6 * rng.standard_normal(tone.shape, dtype=np.float32)
    return np.asarray(np.clip(128 + 2 * tone, 0, 255), np.uint8)


def _figure(rng: np.random.Generator, rows: int, columns: int, scale: float, upright: bool) -> Float:
    """Rotary-cut veneer: contour lines of a smooth hill (cathedrals) under fine streaks."""
    if not upright:
        return np.ascontiguousarray(_figure(rng, columns, rows, scale, True).T)
    hill = value_noise(rng, (rows, columns), (0.28 * scale, 1.3 * scale), 2)
    wobble = value_noise(rng, (rows, columns), (0.05 * scale, 0.4 * scale))
    rings = np.sin(hill * rng.uniform(7, 14) + 0.5 * wobble)
    streaks = value_noise(rng, (rows, columns), (max(1.0, 0.004 * scale), 0.25 * scale))
    return np.asarray(rng.uniform(1.0, 2.8) * rings + 1.3 * streaks, np.float32)


def _warp(texture: Image, grid: _Grid, corner: tuple[int, int], part: Image) -> Image:
    """The texture as the camera sees it, cut to a part of the picture."""
    low, high = grid.low, grid.high
    corners = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    seen = (grid.pixels(corners) - corner).astype(np.float32)
    rows, columns = texture.shape
    flat = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32)
    matrix = cv2.getPerspectiveTransform(flat, seen)
    size = (part.shape[1], part.shape[0])
    return np.asarray(cv2.warpPerspective(texture, matrix, size, borderMode=cv2.BORDER_REFLECT), np.uint8)


def _ramp(facet: Facet, light: float) -> Image:
    """Tone to colour: 256 x 3. Dark veneer is browner, not only darker."""
    steps = (np.arange(256, dtype=np.float32) - 128) / 128
    lab = np.repeat(facet.lab[None], 256, axis=0)
    lab[:, 0] += 34 * steps
    if facet.material == "wood":
        lab[:, 1] -= 10 * steps
        lab[:, 2] -= 8 * steps
    rgb = cv2.cvtColor(lab[None].astype(np.float32), cv2.COLOR_Lab2RGB)[0]
    return np.asarray(np.clip(np.rint(rgb * light * 255), 0, 255), np.uint8)


def _seams(part: Image, grid: _Grid, corner: tuple[int, int]) -> None:
    scale = grid.camera.scale_at(grid.facet.centre)
    thick = max(1, round(0.003 * scale))
    for axis in (0, 1):
        for at in np.arange(grid.low[axis] + _SHEET[axis], grid.high[axis], _SHEET[axis]):
            ends = np.array([grid.low, grid.high])
            ends[:, axis] = at
            start, end = np.rint((grid.pixels(ends) - corner) * 16).astype(int)
            _blend_line(part, start, end, thick)


def _blend_line(part: Image, start: Points, end: Points, thick: int) -> None:
    line = np.zeros(part.shape[:2], np.uint8)
    cv2.line(line, tuple(map(int, start)), tuple(map(int, end)), 255, thick, cv2.LINE_AA, 4)
    rows, columns = np.nonzero(line)
    depth = line[rows, columns, None].astype(np.float32) / 255
    part[rows, columns] = (part[rows, columns] * (1 - 0.38 * depth)).astype(np.uint8)


def _t_nuts(part: Image, grid: _Grid, corner: tuple[int, int], rng: np.random.Generator) -> None:
    """Rows of threaded holes, every other row set off by half."""
    pitch = grid.facet.pitch
    rows = np.arange(grid.low[1] + pitch / 2, grid.high[1], pitch * 0.9)
    columns = np.arange(grid.low[0] - pitch / 2, grid.high[0], pitch)
    x, y = np.meshgrid(columns, rows)
    x = x + (np.arange(len(rows))[:, None] % 2) * pitch / 2
    spots = np.stack([x.ravel(), y.ravel()], axis=1) + rng.normal(0, 0.004, (x.size, 2))
    scale = grid.camera.scale_at(grid.facet.centre)
    dark_paint = grid.facet.lab[0] < 50
    bright = dark_paint and rng.random() < 0.6
    seen = grid.pixels(spots) - np.array(corner)
    seen = seen[((seen > -9) & (seen < np.array(part.shape[1::-1]) + 9)).all(axis=1)]
    radii = scale * 0.006 * rng.uniform(0.85, 1.1, len(seen))
    dots(part, seen + np.array([0, 0.0024 * scale]), radii * 1.15, 0.75 if bright else 1.22)
    dots(part, seen, radii, 1.7 if bright else 0.34)


def _old_chalk(canvas: Image, camera: Camera, rng: np.random.Generator) -> None:
    """Hand prints and brush marks of years; drawn small and enlarged, since chalk has no edges."""
    height, width = canvas.shape[:2]
    shrink = max(1, round(max(height, width) / 900))
    rows, columns = -(-height // shrink), -(-width // shrink)
    scale = camera.scale_at(np.zeros(2)) / shrink
    fine = value_noise(rng, (rows, columns), (0.15 * scale, 0.15 * scale), 6)
    where = value_noise(rng, (rows, columns), (0.9 * scale, 0.9 * scale), 2)
    veil = rng.uniform(0.03, 0.16) * smoothstep(0.2, 3.4, fine + 1.0 * where)
    for _ in range(int(rng.integers(6, 26))):
        _smear(veil, scale, rng)
    cover = cv2.resize(np.clip(veil * 255, 0, 255).astype(np.uint8), (width, height))
    for top in range(0, height, 512):
        part = canvas[top : top + 512]
        share = cover[top : top + 512, :, None].astype(np.uint16)
        part[:] = ((part * (255 - share) + np.array([236, 236, 234], np.uint16) * share) // 255).astype(
            np.uint8
        )


def _smear(veil: Float, scale: float, rng: np.random.Generator) -> None:
    """One swipe of a chalky hand or brush: a soft ellipse broken up by grit."""
    axes = scale * rng.uniform(0.03, 0.12, 2)
    reach = int(2 * axes.max()) + 3
    x, y = (rng.uniform(0, 1, 2) * veil.shape[::-1]).astype(int)
    part = veil[max(y - reach, 0) : y + reach, max(x - reach, 0) : x + reach]
    rows, columns = np.ogrid[0 : part.shape[0], 0 : part.shape[1]]
    angle = rng.uniform(0, np.pi)
    right, down = columns - min(x, reach), rows - min(y, reach)
    along = (right * np.cos(angle) + down * np.sin(angle)) / axes[0]
    across = (down * np.cos(angle) - right * np.sin(angle)) / axes[1]
    soft = np.exp(-(along**2 + across**2))
    grit = 0.5 + 0.5 * value_noise(rng, part.shape, (0.05 * scale, 0.05 * scale), 3)
    np.maximum(part, soft * np.clip(grit, 0, 1) * rng.uniform(0.10, 0.4), out=part, casting="unsafe")


def _folds(canvas: Image, backdrop: Backdrop, camera: Camera) -> None:
    """A thin dark joint wherever two facets meet."""
    if len(backdrop.facets) < 2:
        return
    thick = max(1, round(0.006 * camera.scale_at(np.zeros(2))))
    joints = np.zeros(canvas.shape[:2], np.uint8)
    for facet in backdrop.facets:
        points = np.rint(camera.project(facet.polygon) * 16).astype(np.int32)
        cv2.polylines(joints, [points], True, 150, thick, cv2.LINE_AA, 4)
    rows, columns = np.nonzero(joints)
    depth = joints[rows, columns, None].astype(np.float32) / 255
    canvas[rows, columns] = (canvas[rows, columns] * (1 - 0.5 * depth)).astype(np.uint8)


def _ceiling(canvas: Image, outline: Points, rng: np.random.Generator) -> None:
    """Dark roof with a few beams and lamps."""
    bottom = int(np.ceil(outline[:, 1].max())) + 1
    height, width = max(bottom, 1), canvas.shape[1]
    base = lab_to_rgb((rng.uniform(14, 40), 0, rng.uniform(-4, 4))) * 255
    tone = 1 + 0.10 * value_noise(rng, (height, width), (width / 3, 6.0), 2)
    roof = np.clip(base * tone[..., None], 0, 255).astype(np.uint8)
    unit = max(1, height // 7)
    for _ in range(int(rng.integers(2, 6))):
        start = (int(rng.uniform(-0.1, 1.1) * width), -unit)
        end = (int(start[0] + rng.normal(0, 0.35) * width), height + unit)
        shade = float(rng.uniform(25, 120))
        cv2.line(
            roof, start, end, (shade, shade, shade), int(rng.integers(1, 3)) * unit // 2 + 1, cv2.LINE_AA
        )
    if rng.random() < 0.5:
        lamp = (int(rng.uniform(0, 1) * width), int(rng.uniform(0.1, 0.6) * height))
        cv2.ellipse(roof, lamp, (3 * unit, unit), 0, 0, 360, (250, 250, 244), -1, cv2.LINE_AA)
    roof = np.asarray(cv2.GaussianBlur(roof, (0, 0), max(0.6, unit / 6)), np.uint8)
    _inside(canvas[:height], roof, outline)


def _mat(canvas: Image, outline: Points, rng: np.random.Generator) -> None:
    """Crash mat: vinyl with long seams, in the wall's shadow at its back edge."""
    top = max(0, int(np.floor(outline[:, 1].min())) - 1)
    part = canvas[top:]
    height, width = part.shape[:2]
    choices = ((60, 0, -3), (45, 0, -6), (30, 0, -4), (36, 2, -30), (68, 0, 0))
    base = lab_to_rgb(choices[int(rng.integers(len(choices)))]) * 255
    depth = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    tone = 0.55 + 0.45 * depth**0.5 + 0.03 * value_noise(rng, (height, width), (width / 6, height / 2), 4)
    mat = np.clip(base * tone[..., None], 0, 255).astype(np.uint8)
    for at in np.cumsum(rng.uniform(0.2, 0.5, 4)):
        start = (int(at * width), 0)
        end = (int((at + (at - 0.5) * 0.5) * width), height)
        cv2.line(mat, start, end, tuple(float(v) for v in base * 0.5), max(1, height // 60), cv2.LINE_AA)
    _inside(part, mat, outline - np.array([0, top]))


def _inside(part: Image, paint: Image, outline: Points) -> None:
    """Lays paint (as large as the part) inside a convex outline."""
    inside = np.zeros(part.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, np.rint(outline * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    cover = inside[..., None].astype(np.uint16)
    part[:] = ((part * (255 - cover) + paint * cover) // 255).astype(np.uint8)
