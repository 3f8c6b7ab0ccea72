"""The route setter: chooses colours, bolts volumes, sets problems from the start to the top."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from training.walls.camera import Camera, Points
from training.walls.noise import Float
from training.walls.occupancy import Occupancy
from training.walls.palette import COLOURS, SHADES, Colour, distance, shade_of, vary
from training.walls.panels import Backdrop
from training.walls.scene import HoldPlan, Scene, TagPlan, VolumePlan
from training.walls.shapes import Style, outline, turned
from training.walls.spec import WallSpec
from training.walls.truth import Tag
from training.walls.volume_plan import plan_volumes
from training.walls.volumes import surface_tilt

#: Problems of one colour stand at least this many metres apart, and never side by side.
_SAME_COLOUR_APART = 1.6
_TRIES = 60
#: CIE76 difference from every panel that a hold's colour keeps.
_CLEAR_OF_WALL = 27.0
#: A stream of its own: a wall without twins stays as it is. See WallSpec.stream.
_TWINS = 12
#: CIE76 difference of two twins' shades: eyes tell such problems apart though one name fits both.
_TWINS_APART = (14.0, 32.0)

Lab = NDArray[np.float32]


@dataclass(eq=False)
class _Work:
    """The wall while it is being set."""

    spec: WallSpec
    camera: Camera
    backdrop: Backdrop
    taken: Occupancy
    volumes: list[VolumePlan]
    holds: list[HoldPlan] = field(default_factory=list)
    tags: list[TagPlan] = field(default_factory=list)


@dataclass(frozen=True)
class _Line:
    """One problem before its holds: metres on the wall plane."""

    problem_id: int
    colour: Colour
    lab: Lab
    x: float
    bottom: float
    top: float
    drift: float
    theme: Style | None


def set_wall(spec: WallSpec, camera: Camera, backdrop: Backdrop, rng: np.random.Generator) -> Scene:
    """Sets the whole wall; problems that end up with fewer than three holds are stripped again."""
    taken = Occupancy(spec.width, spec.height, backdrop.wall)
    low, high = _reach(camera, backdrop)
    count = spec.problems or int(np.clip(round((high[0] - low[0]) / rng.uniform(0.8, 1.2)), 2, 6))
    columns = low[0] + (np.arange(count) + rng.uniform(0.3, 0.7, count)) / count * (high[0] - low[0])
    colours = _colours(backdrop, columns, rng)
    twins = _twins(backdrop, colours, spec.stream(_TWINS)) if spec.twins else {}
    for column in twins:
        colours[column] = colours[min(twins)]
    work = _Work(spec, camera, backdrop, taken, plan_volumes(spec, camera, backdrop, taken, colours, rng))
    kept: list[Colour] = []
    for column, (x, colour) in enumerate(zip(columns, colours, strict=True)):
        line = _line(len(kept), colour, float(x), low, high, rng)
        line = replace(line, lab=twins.get(column, line.lab))
        if _set_problem(work, line, rng):
            kept.append(colour)
    return Scene(tuple(work.volumes), tuple(work.holds), tuple(work.tags), tuple(kept))


def _reach(camera: Camera, backdrop: Backdrop) -> tuple[Points, Points]:
    """The upright rectangle of wall (metres) that problems use."""
    wall = camera.unproject(backdrop.wall)
    centre = wall.mean(axis=0)
    low, high = centre + 0.9 * (wall.min(axis=0) - centre), centre + 0.9 * (wall.max(axis=0) - centre)
    return low, high


def _colours(backdrop: Backdrop, columns: NDArray[np.float64], rng: np.random.Generator) -> list[Colour]:
    """A colour for each column: none that drowns in the wall, repeated only far away."""
    walls = [facet.lab for facet in backdrop.facets]
    clear = [c for c in COLOURS if min(_gap(c, wall) for wall in walls) > _CLEAR_OF_WALL]
    pool = [clear[i] for i in rng.permutation(len(clear))]
    chosen: list[Colour] = []
    for index, x in enumerate(columns):
        repeats = [
            colour
            for other, colour in enumerate(chosen)
            if other < index - 1 and x - columns[other] > _SAME_COLOUR_APART and chosen.count(colour) < 2
        ]
        if repeats and (rng.random() < 0.25 or not pool):
            chosen.append(repeats[int(rng.integers(len(repeats)))])
        else:
            chosen.append(pool.pop() if pool else clear[int(rng.integers(len(clear)))])
    return chosen


def _twins(backdrop: Backdrop, colours: list[Colour], rng: np.random.Generator) -> dict[int, Lab]:
    """Two neighbouring columns and a shade for each; none where no column's colour has two clear shades."""
    low, high = _TWINS_APART
    walls = [facet.lab for facet in backdrop.facets]
    for column in rng.permutation(len(colours) - 1).tolist():
        clear = [
            shade
            for shade in (vary(np.array(shade, np.float32), rng, 1.0) for shade in SHADES[colours[column]])
            if min(distance(shade, wall) for wall in walls) > _CLEAR_OF_WALL
        ]
        pairs = [(a, b) for a in clear for b in clear if low <= distance(a, b) <= high]
        if pairs:
            one, other = pairs[int(rng.integers(len(pairs)))]
            return {column: one, column + 1: other}
    return {}


def _gap(colour: Colour, wall: Lab) -> float:
    return min(distance(np.array(shade, np.float32), wall) for shade in SHADES[colour])


def _line(
    problem_id: int, colour: Colour, x: float, low: Points, high: Points, rng: np.random.Generator
) -> _Line:
    tall = high[1] - low[1]
    theme = str(rng.choice(["jug", "crimp", "sloper", "pinch", "pocket", "", ""]))
    return _Line(
        problem_id,
        colour,
        shade_of(colour, rng),
        x,
        float(high[1] - min(rng.uniform(0.45, 0.95), 0.28 * tall)),
        float(low[1] + rng.uniform(0.02, 0.15) * tall),
        float(rng.normal(0, 0.18)),
        theme or None,  # type: ignore[arg-type]
    )


def _set_problem(work: _Work, line: _Line, rng: np.random.Generator) -> bool:
    first = len(work.holds)
    hands = _hand_spots(line, rng)
    starts = 2 if rng.random() < 0.5 else 1
    for index, spot in enumerate(hands):
        tag: Tag | None = "start" if index < starts else "top" if index == len(hands) - 1 else None
        style = _style(line, tag, rng)
        _bolt_on(work, line, spot, style, tag, rng)
    for spot in _foot_spots(line, hands, rng):
        _bolt_on(work, line, spot, "foot", None, rng)
    placed = work.holds[first:]
    if len(placed) < 3 or not {"start", "top"} <= {hold.tag for hold in placed}:
        del work.holds[first:]
        return False
    if work.spec.tags:
        _put_up_tags(work, placed, rng)
    return True


def _hand_spots(line: _Line, rng: np.random.Generator) -> list[Points]:
    """From the start upwards, a move at a time, swinging from side to side."""
    rise = line.bottom - line.top
    count = int(np.clip(round(rise / rng.uniform(0.34, 0.52)) + 1, 3, 11))
    share = np.linspace(0, 1, count)
    swing = rng.uniform(0.12, 0.28) * np.sin(share * rng.uniform(2, 6) + rng.uniform(0, 6))
    x = line.x + line.drift * (share - 0.5) * rise / 2 + swing + rng.normal(0, 0.07, count)
    y = line.bottom - share * rise + rng.normal(0, 0.05, count)
    return list(np.column_stack([x, y]))


def _foot_spots(line: _Line, hands: list[Points], rng: np.random.Generator) -> list[Points]:
    below = [
        np.array([line.x + rng.normal(0, 0.22), line.bottom + rng.uniform(0.2, 0.6)])
        for _ in range(int(rng.integers(1, 4)))
    ]
    beside = [
        spot + np.array([rng.choice([-1, 1]) * rng.uniform(0.18, 0.35), rng.uniform(0, 0.25)])
        for spot in hands[1:-1]
        if rng.random() < 0.3
    ]
    return below + beside


def _style(line: _Line, tag: Tag | None, rng: np.random.Generator) -> Style:
    if tag is not None and rng.random() < 0.6:
        return "jug"
    if line.theme is not None and rng.random() < 0.6:
        return line.theme
    styles: list[Style] = ["jug", "crimp", "sloper", "pinch", "pocket", "macro"]
    return styles[int(rng.choice(6, p=[0.27, 0.22, 0.2, 0.13, 0.11, 0.07]))]


def _bolt_on(
    work: _Work, line: _Line, spot: Points, style: Style, tag: Tag | None, rng: np.random.Generator
) -> None:
    """Tries places around the spot, wider each time; gives the hold up when nothing is free."""
    shape, facets = outline(style, rng)
    spread = {"jug": 0.35, "crimp": 0.3, "macro": 0.9}.get(style, 0.9)
    shape = turned(shape, float(rng.normal(0, spread)))
    lab = vary(line.lab, rng, 0.8)
    for attempt in range(_TRIES):
        at = spot + rng.normal(0, 0.006 * attempt, 2)
        frame = work.backdrop.facet_at(at).frame
        polygon = work.camera.project(at + shape @ frame.T).astype(np.float32)
        scale = work.camera.scale_at(at)
        if work.taken.place_for_hold(polygon, 0.022 * scale + 1.5):
            work.taken.take_hold(polygon)
            tilt = _tilt(work, at, polygon)
            plan = HoldPlan(polygon, scale, tilt, style, facets, line.colour, lab, line.problem_id, tag)
            work.holds.append(plan)
            return


def _tilt(work: _Work, at: Points, polygon: Float) -> tuple[float, float]:
    number = work.taken.volume_at(polygon)
    if number == 0:
        return work.backdrop.facet_at(at).slope
    return surface_tilt(work.volumes[number - 1], polygon.mean(axis=0))


def _put_up_tags(work: _Work, placed: list[HoldPlan], rng: np.random.Generator) -> None:
    """A card or tape as close to each tagged hold as there is room."""
    tape = bool(rng.random() < 0.35)
    size = np.array([0.075, 0.075]) if tape else np.array([0.13, 0.055])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * size / 2
    for hold in placed:
        if hold.tag is None:
            continue
        centre, radius = hold.polygon.mean(axis=0), np.ptp(hold.polygon, axis=0) / 2 / hold.scale
        for attempt in range(24):
            angle = np.pi / 2 + rng.normal(0, 0.2 + 0.12 * attempt)
            away = np.array([np.cos(angle), np.sin(angle)]) * (radius + size / 2 + 0.035)
            card = turned(corners, float(rng.normal(0, 0.1))) + away
            polygon = (centre + card * hold.scale).astype(np.float32)
            if work.taken.place_for_hold(polygon, 2.0):
                work.taken.take_hold(polygon)
                work.tags.append(TagPlan(polygon, hold.tag, hold.lab, tape))
                break
