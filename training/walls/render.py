"""From a spec to a picture with its truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.walls import camera as cameras
from training.walls import light as lights
from training.walls import panels, sensor, surface
from training.walls.holds import hold_shadow, paint_hold
from training.walls.light import Lighting
from training.walls.scene import Scene
from training.walls.setter import set_wall
from training.walls.spec import WallSpec
from training.walls.tags import paint_tag
from training.walls.truth import Tag, TrueHold, TrueProblem, Wall
from training.walls.volumes import paint_volume, volume_shadow

# Streams of randomness, one for each stage: see WallSpec.stream.
_CAMERA, _PANELS, _SETTER, _LIGHT, _SURFACE, _SENSOR, _EXPOSURE, _TAGS, _HOLD, _VOLUME = range(2, 12)


def render(spec: WallSpec) -> Wall:
    """Draws one wall.

    Bodies are painted straight through the camera's perspective, so a polygon of the truth is the very
    outline that was filled. Nothing moves a pixel afterwards.

    Args:
        spec: what to draw.

    Returns:
        The picture with its truth; the same spec gives the same bits.
    """
    spec = spec.resolved()
    camera = cameras.aim(spec, spec.stream(_CAMERA))
    backdrop = panels.build(spec, camera, spec.stream(_PANELS))
    scene = set_wall(spec, camera, backdrop, spec.stream(_SETTER))
    lighting = lights.arrange(spec, spec.stream(_LIGHT))
    canvas = surface.paint(backdrop, camera, lighting, spec.stream(_SURFACE))
    _paint(canvas, scene, lighting, spec)
    phone = sensor.choose(spec, spec.stream(_SENSOR))
    pixels = sensor.expose(canvas, lighting, phone, spec.stream(_EXPOSURE))
    holds = _true_holds(scene, spec.tags)
    return Wall(pixels, holds, _true_problems(scene))


def _paint(canvas: NDArray[np.uint8], scene: Scene, lighting: Lighting, spec: WallSpec) -> None:
    for volume in scene.volumes:
        volume_shadow(canvas, volume, lighting)
    for index, volume in enumerate(scene.volumes):
        paint_volume(canvas, volume, lighting, spec.stream(_VOLUME, index))
    for index, tag in enumerate(scene.tags):
        paint_tag(canvas, tag, spec.stream(_TAGS, index))
    # All shadows first: none may fall on a hold and falsify its colour.
    for hold in scene.holds:
        hold_shadow(canvas, hold, lighting)
    for index, hold in enumerate(scene.holds):
        paint_hold(canvas, hold, lighting, spec.stream(_HOLD, index))


def _true_holds(scene: Scene, tags: bool) -> tuple[TrueHold, ...]:
    volumes = [
        TrueHold(index, plan.polygon, "volume", plan.colour, None, None)
        for index, plan in enumerate(scene.volumes)
    ]
    holds = [
        TrueHold(index, plan.polygon, "hold", plan.colour, plan.problem_id, plan.tag if tags else None)
        for index, plan in enumerate(scene.holds, start=len(volumes))
    ]
    return tuple(volumes + holds)


def _true_problems(scene: Scene) -> tuple[TrueProblem, ...]:
    first = len(scene.volumes)

    def ids(problem: int, tag: Tag | None = None) -> tuple[int, ...]:
        return tuple(
            index
            for index, plan in enumerate(scene.holds, start=first)
            if plan.problem_id == problem and (tag is None or plan.tag == tag)
        )

    return tuple(
        TrueProblem(number, colour, ids(number), ids(number, "start"), ids(number, "top"))
        for number, colour in enumerate(scene.colours)
    )
