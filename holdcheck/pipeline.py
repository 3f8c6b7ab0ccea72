"""The one path from a photo to an answer, as a plain generator of typed events."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from holdcheck import answer, colour, crops, image, memory, routes, tags
from holdcheck.colour import ColourStats
from holdcheck.errors import AnalysisCancelled, ModelNotPrepared
from holdcheck.holds import HoldMask, decode_masks, keep_largest
from holdcheck.image import WallImage
from holdcheck.registry import Models
from holdcheck.result import Hold, MemoryUsage, Problem, Result, Statistics, Tag, WallAngle
from holdcheck.runtime import mapping
from holdcheck.settings import Settings

Step = Literal[
    "detection",
    "detection_complete",
    "clustering",
    "clustering_complete",
    "analysis",
    "analysis_complete",
    "result_stats",
    "result_holds",
    "result_problems",
    "complete",
]
Stage = Literal["decode", "detection", "masks", "tags", "colour", "clip", "grouping", "analysis"]
"""What `timings_ms` of a result names."""
_CLUSTERING_PROGRESS = (30, 75)
"""Progress at the first and after the last batch of crops: most of an analysis's time."""


@dataclass(frozen=True, slots=True)
class StageEvent:
    """A stage began or ended."""

    step: Step
    progress: int
    """Percent; never falls; 100 comes once, with `complete`."""
    data: dict[str, object]
    """What the step adds to its event, ready for JSON."""
    memory: MemoryUsage


def never() -> bool:
    return False


def analyze(
    photo: Path,
    models: Models,
    settings: Settings,
    *,
    job_id: str,
    wall_angle: WallAngle | None = None,
    should_stop: Callable[[], bool] = never,
    on_decoded: Callable[[WallImage], None] | None = None,
) -> Iterator[StageEvent]:
    """Analyse one photo; the last event, `complete`, carries the Result.

    Args:
        photo: the photo's file, in any accepted format.
        should_stop: asked between stages and batches; True ends the analysis.
        on_decoded: given the working copy before anything is looked for: what it takes is back before the
            detector's activations come, which are larger.

    Raises:
        PhotoError: the photo cannot be analysed.
        ModelNotPrepared: there is no detector.
        AnalysisCancelled: `should_stop` said so.
    """
    for event in _Analysis(photo, models, settings, job_id, wall_angle, on_decoded).run():
        yield event
        if should_stop():
            raise AnalysisCancelled("the analysis was cancelled")


@dataclass
class _Analysis:
    """One run: the stages in order, and what they took."""

    photo: Path
    models: Models
    settings: Settings
    job_id: str
    wall_angle: WallAngle | None
    on_decoded: Callable[[WallImage], None] | None
    timings_ms: dict[str, float] = field(default_factory=dict)

    def run(self) -> Iterator[StageEvent]:
        yield _event("detection", 10)
        seen = self._detect()
        wall, masks, found, truncated = seen.wall, seen.masks, seen.found, seen.truncated
        yield _event("detection_complete", 30, holds_count=found, holds_kept=len(masks), truncated=truncated)

        with self._timed("colour"):
            stats = [colour.measure(wall.pixels, mask.box, mask.mask) for mask in masks]
        embeddings = yield from self._embed(wall.pixels, masks)
        with self._timed("colour"):
            probabilities = self._name_colours(stats, embeddings)
        with self._timed("grouping"):
            holds = answer.coloured_holds(wall, masks, stats, probabilities, embeddings, seen.tags)
            drafts = routes.group(holds)
        yield _event("clustering_complete", 80, problems_count=len(drafts))

        yield _event("analysis", 85)
        with self._timed("analysis"):
            problems = [routes.analyse(draft, self.wall_angle) for draft in drafts]
        yield _event("analysis_complete", 90)

        statistics = answer.statistics(found, len(masks), truncated, problems)
        hold_data = answer.hold_data(wall, masks, stats, holds, problems)
        yield _event("result_stats", 92, statistics=statistics.model_dump(mode="json"))
        yield _event("result_holds", 95, hold_data=[hold.model_dump(mode="json") for hold in hold_data])
        yield _event(
            "result_problems", 98, problems=[problem.model_dump(mode="json") for problem in problems]
        )
        result = self._result(wall, statistics, hold_data, problems)
        yield _event("complete", 100, result=result.model_dump(mode="json"))

    def _detect(self) -> "_Seen":
        detector = self.models.detector
        if detector is None:
            raise ModelNotPrepared(self.models.error_reason or "there is no detector")
        with self._timed("decode"):
            wall = image.decode(
                self.photo,
                max_side=self.settings.max_image_size,
                max_megapixels=self.settings.max_image_megapixels,
                available_mib=memory.snapshot().available_mb,
            )
        if self.on_decoded is not None:
            self.on_decoded(wall)
        with self._timed("detection"):
            found = detector.detect(wall.pixels)
        with self._timed("masks"):
            masks = decode_masks(keep_largest(found, self.settings.max_holds), wall.pixels.shape)
        with self._timed("tags"):
            cards = tags.read(wall.pixels, [mask.bbox for mask in masks])
            holds = [mask for mask in masks if not any(tags.is_card(mask.bbox, card) for card in cards)]
            volumes = [row for row, mask in enumerate(holds) if mask.kind == "volume"]
            tagged = tags.tagged(cards, [mask.bbox for mask in holds], volumes)
        # Finding is over: what it took must be back before CLIP's weights come in.
        detector.release_pages()
        mapping.release(mapping.library_mappings())
        memory.trim()
        return _Seen(
            wall,
            holds,
            tagged,
            found=len(found) - (len(masks) - len(holds)),
            truncated=len(found) > self.settings.max_holds,
        )

    def _embed(
        self, pixels: NDArray[np.uint8], masks: Sequence[HoldMask]
    ) -> Generator[StageEvent, None, NDArray[np.float32] | None]:
        """Embed each hold's crop, (N, D), with an event after each batch; None without a classifier."""
        classifier = self.models.classifier
        if classifier is None or not masks:
            yield _event("clustering", _CLUSTERING_PROGRESS[1], done=len(masks), total=len(masks))
            return None
        batches: list[NDArray[np.float32]] = []
        size = self.settings.clip_batch_size
        for start in range(0, len(masks), size):
            with self._timed("clip"):
                batch = [
                    crops.cut(pixels, mask.box, mask.mask, classifier.input_size)
                    for mask in masks[start : start + size]
                ]
                batches.append(classifier.embed(np.stack(batch)))
            done = min(start + size, len(masks))
            low, high = _CLUSTERING_PROGRESS
            progress = low + (high - low) * done // len(masks)
            yield _event("clustering", progress, done=done, total=len(masks))
        classifier.release_pages()
        return np.concatenate(batches)

    def _name_colours(
        self, stats: Sequence[ColourStats], embeddings: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Each hold's colour probabilities, (N, 13)."""
        classifier = self.models.classifier
        lab = colour.lab_probabilities(stats)
        if classifier is None or embeddings is None:
            return lab
        return colour.fuse(classifier.head.probabilities(embeddings), lab, classifier.info.name)

    def _result(
        self, wall: WallImage, statistics: Statistics, hold_data: list[Hold], problems: list[Problem]
    ) -> Result:
        return Result(
            job_id=self.job_id,
            image_width=wall.original_width,
            image_height=wall.original_height,
            statistics=statistics,
            hold_data=hold_data,
            problems=problems,
            component_status=self.models.component_status,
            is_dummy=self.models.is_dummy,
            degraded=self.models.degraded,
            error_reason=self.models.error_reason,
            timings_ms={stage: round(took, 1) for stage, took in self.timings_ms.items()},
            memory=memory.snapshot(),
        )

    @contextmanager
    def _timed(self, stage: Stage) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            took = (time.perf_counter() - start) * 1000
            self.timings_ms[stage] = self.timings_ms.get(stage, 0.0) + took


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a photo shows before colours are named."""

    wall: WallImage
    masks: list[HoldMask]
    tags: dict[int, Tag]
    """Position in `masks` -> what a card beside that hold says."""
    found: int
    """Holds and volumes, before the largest were kept; cards are none."""
    truncated: bool


def _event(step: Step, progress: int, **data: object) -> StageEvent:
    return StageEvent(step, progress, data, memory.snapshot())
