"""From what the stages found to what the answer says, in pixels of the upright original photo."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdcheck import colour
from holdcheck.colour import ColourStats
from holdcheck.holds import HoldMask
from holdcheck.image import WallImage
from holdcheck.result import Hold, Problem, Statistics, Tag
from holdcheck.routes import ColouredHold


def coloured_holds(
    wall: WallImage,
    masks: Sequence[HoldMask],
    stats: Sequence[ColourStats],
    probabilities: NDArray[np.float32],
    embeddings: NDArray[np.float32] | None,
    tags: Mapping[int, Tag],
) -> list[ColouredHold]:
    """Holds as grouping sees them: numbered from 1, in pixels of the original photo.

    `embeddings` is (N, D) or None; `tags` says what cards say, by position in `masks`.
    """
    to_original = _Scale.of(wall)
    embedded = [None] * len(masks) if embeddings is None else list(embeddings)
    return [
        ColouredHold(
            id=number,
            center=to_original.point(mask.center),
            bbox=to_original.box(mask.bbox),
            area=to_original.area(mask.area),
            kind=mask.kind,
            color=colour.name(named),
            probabilities=named,
            lab=stat.lab,
            rgb=stat.rgb,
            embedding=embedding,
            tag=tags.get(number - 1),
        )
        for number, (mask, stat, named, embedding) in enumerate(
            zip(masks, stats, probabilities, embedded, strict=True), start=1
        )
    ]


def hold_data(
    wall: WallImage,
    masks: Sequence[HoldMask],
    stats: Sequence[ColourStats],
    holds: Sequence[ColouredHold],
    problems: Sequence[Problem],
) -> list[Hold]:
    """Holds as the answer carries them, each with its problem's colour and tag."""
    to_original = _Scale.of(wall)
    problem_colour = {hold_id: problem.color_name for problem in problems for hold_id in problem.holds}
    tags: dict[int, Tag] = {hold.id: hold.tag for hold in holds if hold.tag}
    for problem in problems:
        tags.update((hold_id, "top") for hold_id in problem.top_ids)
        tags.update((hold_id, "start") for hold_id in problem.start_ids)
    return [
        Hold(
            id=hold.id,
            center=hold.center,
            area=hold.area,
            bbox=hold.bbox,
            contour=[to_original.point((float(x), float(y))) for x, y in mask.outline],
            score=round(mask.score, 4),
            kind=hold.kind,
            color=problem_colour.get(hold.id, hold.color),
            individual_color=hold.color,
            color_scores=colour.top3(hold.probabilities),
            rgb=stat.rgb,
            hsv=stat.hsv,
            lab=stat.lab,
            tag=tags.get(hold.id),
        )
        for mask, stat, hold in zip(masks, stats, holds, strict=True)
    ]


def statistics(found: int, kept: int, truncated: bool, problems: Sequence[Problem]) -> Statistics:
    """Counts of an answer: holds found, holds kept, problems."""
    return Statistics(
        total_holds=found,
        holds_kept=kept,
        truncated=truncated,
        total_problems=len(problems),
        analyzable_problems=sum(problem.difficulty is not None for problem in problems),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """From pixels of the working image to pixels of the original photo."""

    x: float
    y: float

    @classmethod
    def of(cls, wall: WallImage) -> "_Scale":
        height, width = wall.pixels.shape[:2]
        return cls(wall.original_width / width, wall.original_height / height)

    def point(self, point: tuple[float, float]) -> tuple[float, float]:
        return round(point[0] * self.x, 1), round(point[1] * self.y, 1)

    def box(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        return *self.point(box[:2]), *self.point(box[2:])

    def area(self, pixels: int) -> float:
        return round(pixels * self.x * self.y, 1)
