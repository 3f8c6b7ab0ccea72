"""Holds of rendered walls with their true problems, and how well a grouping finds those again."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from holdcheck import answer, colour, crops, image
from holdcheck.evaluate.grouping import Agreement, agreement
from holdcheck.evaluate.labels import NO_PROBLEM
from holdcheck.holds import HoldMask, decode_masks, keep_largest
from holdcheck.image import WallImage
from holdcheck.registry import Models
from holdcheck.routes import ColouredHold
from holdcheck.settings import Settings
from training.walls import TrueHold, Wall, mask

_MATCH_IOU = 0.5


@dataclass(frozen=True, slots=True)
class GroupedWall:
    """Holds of one wall as grouping sees them, with the truth."""

    holds: list[ColouredHold]
    problems: NDArray[np.int64]
    """(N,): each hold's true problem; NO_PROBLEM for volumes and for what is no hold."""
    tags: tuple[str | None, ...] = ()
    """N: start, top or None."""


def true_masks(wall: Wall) -> list[tuple[HoldMask, TrueHold]]:
    """The outlines as they were drawn."""
    height, width = wall.pixels.shape[:2]
    found = []
    for hold in wall.holds:
        low = np.maximum(np.floor(hold.polygon.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(hold.polygon.max(axis=0)).astype(int) + 1, (width, height))
        box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
        inside = mask(hold, height, width)[box[1] : box[3], box[0] : box[2]].astype(bool)
        if inside.any():
            bbox = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
            found.append((HoldMask(box, inside, hold.polygon + 0.5, bbox, 1.0, hold.kind), hold))
    return found


def through_truth(wall: Wall, models: Models) -> GroupedWall:
    """The wall with true outlines; colours and embeddings as served."""
    pairs = true_masks(wall)
    height, width = wall.pixels.shape[:2]
    picture = WallImage(wall.pixels, width, height)
    holds = _coloured(picture, [found for found, _ in pairs], models)
    numbers = [NO_PROBLEM if true.problem_id is None else true.problem_id for _, true in pairs]
    return GroupedWall(holds, np.array(numbers), tuple(true.tag for _, true in pairs))


def through_pipeline(wall: Wall, models: Models, settings: Settings) -> GroupedWall:
    """The wall as the service sees it: a JPEG, decoded, with the detector's own outlines."""
    assert models.detector is not None
    with TemporaryDirectory() as folder:
        photo = Path(folder) / "wall.jpg"
        Image.fromarray(wall.pixels).save(photo, quality=92)
        picture = image.decode(
            photo, max_side=settings.max_image_size, max_megapixels=settings.max_image_megapixels
        )
    found = keep_largest(models.detector.detect(picture.pixels), settings.max_holds)
    masks = decode_masks(found, picture.pixels.shape)
    holds = _coloured(picture, masks, models)
    partners = [_partner(hold, wall) for hold in holds]
    numbers = [NO_PROBLEM if p is None or p.problem_id is None else p.problem_id for p in partners]
    return GroupedWall(holds, np.array(numbers, int), tuple(p.tag if p else None for p in partners))


def _coloured(picture: WallImage, masks: Sequence[HoldMask], models: Models) -> list[ColouredHold]:
    pixels = picture.pixels
    stats = [colour.measure(pixels, found.box, found.mask) for found in masks]
    lab, embeddings = colour.lab_probabilities(stats), None
    probabilities, classifier = lab, models.classifier
    if classifier is not None and masks:
        cut = [crops.cut(pixels, found.box, found.mask, classifier.input_size) for found in masks]
        embeddings = np.concatenate([classifier.embed(crop[None]) for crop in cut])
        named = classifier.head.probabilities(embeddings)
        probabilities = colour.fuse(named, lab, classifier.info.name)
    return answer.coloured_holds(picture, masks, stats, probabilities, embeddings, {})


def _partner(hold: ColouredHold, wall: Wall) -> TrueHold | None:
    """The drawn hold that a detection found: the one whose box it overlaps most, at IoU 0.5 or more."""
    overlaps = [(_iou(hold.bbox, true.box), true.id) for true in wall.holds if true.kind == hold.kind]
    best, number = max(overlaps, default=(0.0, 0))
    return wall.holds[number] if best >= _MATCH_IOU else None


def _iou(one: Sequence[float], other: Sequence[float]) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(across, 0.0) * max(down, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / max(sum(areas) - shared, 1e-9)


Grouping = Callable[[list[ColouredHold]], list[list[int]]]
"""Holds -> ids of each problem's holds."""


def score(walls: Iterable[GroupedWall], group: Grouping) -> Agreement:
    """Group each wall's holds and compare what was found with the truth; only true holds count.

    A hold that joined no problem stands alone.
    """
    return agreement(_compared(wall, group) for wall in walls)


def _compared(wall: GroupedWall, group: Grouping) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    number = {hold_id: index for index, ids in enumerate(group(wall.holds)) for hold_id in ids}
    answered = np.array([number.get(hold.id, -2 - hold.id) for hold in wall.holds], dtype=np.int64)
    counted = wall.problems != NO_PROBLEM
    return wall.problems[counted], answered[counted]
