"""Measuring the served models on a data set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from holdcheck import image, registry
from holdcheck.classifier import COLOURS, ModelInfo
from holdcheck.detector import KINDS, Detections, Detector
from holdcheck.errors import HoldcheckError, ModelNotPrepared, PhotoError
from holdcheck.evaluate import precision
from holdcheck.evaluate.colours import ColourScores, score_crops
from holdcheck.evaluate.figures import ANY, SIDES, SIZES
from holdcheck.evaluate.grouping import AnsweredWall, agreement, answer_wall
from holdcheck.evaluate.labels import Labels, Truth, read_split, truth_on
from holdcheck.evaluate.matching import Found, Matched, match_all, match_photo
from holdcheck.evaluate.named_crops import TABLE
from holdcheck.manifest import MANIFEST_NAME, clip_slug
from holdcheck.registry import Models
from holdcheck.settings import BUNDLED_CLIP, Settings

LOWEST_CONFIDENCE = 0.01
"""How far down detections are taken for average precision; a curve cut short flatters no one."""
BAR_SIDE = 12.0
"""Smaller boxes, at a long side of 1024, are left out of the `_12` figures."""
AREAS = {
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, np.inf),
}
"""px² of the original photo, [low, high)."""
SHORT_SIDES = dict(zip(SIDES, ((0.0, 12.0), (12.0, 16.0), (16.0, 32.0), (32.0, np.inf)), strict=True))

Progress = Callable[[str, int, int], None]
"""Takes what is counted, how many are done, and of how many."""


_Part = TypeVar("_Part", Truth, Found)


def silent(_what: str, _done: int, _total: int) -> None: ...


@dataclass(frozen=True, slots=True)
class PhotoScore:
    """One photo at the default confidence, both kinds together."""

    photo: Path
    true: int
    found: int
    false: int
    """Detections of nothing."""

    @property
    def f1(self) -> float:
        return 2 * self.found / max(self.true + self.found + self.false, 1)


@dataclass(frozen=True, slots=True)
class Report:
    """What the models do on a data set."""

    dataset: Path
    split: str
    confidence: float
    img_size: int
    runtime: str
    detector: ModelInfo
    classifier: ModelInfo | None
    photos: Sequence[PhotoScore]
    with_outlines: int
    """Photos whose masks are measured."""
    figures: Mapping[str, float]
    """By `figures.NAMES` and `figures.LOWER_IS_BETTER`; what could not be measured is missing."""
    counts: Mapping[str, int]
    """Objects behind the figures: `hold`, `hold.small` ..., `wall.holds`, `wall.found`."""
    colours: ColourScores | None = None


def evaluate(
    dataset: Path,
    split: str,
    settings: Settings,
    *,
    clip: str | None = None,
    progress: Progress = silent,
) -> Report:
    """Run what serves over a data set, down to LOWEST_CONFIDENCE, and compare with its labels.

    F1 and recall at the default confidence come from the same detections: suppression goes from the best
    down, so that a lower confidence only adds rows below (tests/holdcheck/test_evaluate.py).

    Args:
        clip: the CLIP to judge, instead of CLIP_MODEL; it must be prepared.

    Raises:
        HoldcheckError: the folder is not laid out as `labels.read_split` wants it.
        ModelNotPrepared: there is no detector, or `clip` is not prepared.
    """
    photos = read_split(dataset, split)
    models = _load(settings, clip)
    if models.detector is None:
        raise ModelNotPrepared(models.error_reason or "there is no detector to evaluate")
    truths, found = _look(models.detector, photos, settings, progress)
    report = _Measured()
    report.add_detection(truths, found, settings.yolo_conf)
    whole = [labels for labels in photos if labels.whole is not None]
    if whole:
        report.add_walls(_answer(whole, _as_served(models, settings.yolo_conf), settings, progress))
    if (dataset / TABLE).is_file():
        report.add_colours(score_crops(dataset, models.classifier, settings.clip_batch_size, progress))
    return Report(
        dataset=dataset,
        split=split,
        confidence=settings.yolo_conf,
        img_size=settings.yolo_img_size,
        runtime=settings.runtime,
        detector=models.detector.info,
        classifier=models.classifier.info if models.classifier else None,
        photos=[
            _photo_score(labels.photo, truth, seen, settings.yolo_conf)
            for labels, truth, seen in zip(photos, truths, found, strict=True)
        ],
        with_outlines=sum(truth.outlines is not None for truth in truths),
        figures={name: value for name, value in report.figures.items() if not np.isnan(value)},
        counts=report.counts,
        colours=report.colours,
    )


def _load(settings: Settings, clip: str | None) -> Models:
    lower = {"yolo_conf": min(LOWEST_CONFIDENCE, settings.yolo_conf)}
    if clip is None:
        return registry.load(settings.model_copy(update=lower))
    prepared = settings.models_dir / "clip" / clip_slug(clip) / MANIFEST_NAME
    if not prepared.is_file() and clip != BUNDLED_CLIP:
        raise ModelNotPrepared(
            f"--clip {clip} is not prepared: run `python -m holdcheck prepare --clip {clip}` first"
        )
    models = registry.load(settings.model_copy(update={**lower, "clip_model": clip}))
    if models.classifier is None or models.clip_stepped_down:  # prepared, and yet unusable: say why
        raise ModelNotPrepared(models.error_reason or f"--clip {clip} cannot be loaded")
    return models


def _look(
    detector: Detector, photos: Sequence[Labels], settings: Settings, progress: Progress
) -> tuple[list[Truth], list[Found]]:
    truths, found = [], []
    for number, labels in enumerate(photos, start=1):
        try:
            wall = image.decode(labels.photo, settings.max_image_size, settings.max_image_megapixels)
        except PhotoError as error:
            raise HoldcheckError(f"{labels.photo}: {error}") from None
        height, width = wall.pixels.shape[:2]
        seen = detector.detect(wall.pixels)
        truths.append(truth_on(labels, (height, width), wall.original_width))
        found.append(take(seen, wall.pixels.shape, labels.outlines is not None))
        progress("photos", number, len(photos))
    return truths, found


def take(seen: Detections, shape: tuple[int, ...], with_masks: bool) -> Found:
    """What is measured of the detections on a picture of `shape` (H, W, ...)."""
    encode = with_masks and precision.is_installed()
    masks = precision.encode_masks(seen, shape) if encode else None
    return Found(seen.boxes, seen.scores, seen.classes, masks)


def one_kind(part: _Part) -> _Part:
    """The same labels or detections with volumes counted as holds."""
    return replace(part, classes=np.zeros_like(part.classes))


class _AtConfidence:
    """A detector whose answers are cut to those that it gives at a higher confidence."""

    def __init__(self, detector: Detector, confidence: float) -> None:
        self.info = detector.info
        self._detector = detector
        self._confidence = confidence

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        seen = self._detector.detect(pixels)
        return seen.take(np.flatnonzero(seen.scores >= self._confidence))

    def release_pages(self) -> None:
        self._detector.release_pages()


def _as_served(models: Models, confidence: float) -> Models:
    assert models.detector is not None
    return replace(models, detector=_AtConfidence(models.detector, confidence))


def _answer(
    whole: Sequence[Labels], models: Models, settings: Settings, progress: Progress
) -> list[AnsweredWall]:
    answers = []
    for number, labels in enumerate(whole, start=1):
        answers.append(answer_wall(labels, models, settings))
        progress("rendered walls", number, len(whole))
    return answers


def _photo_score(photo: Path, truth: Truth, seen: Found, confidence: float) -> PhotoScore:
    parts = [match_photo(truth, seen, kind) for kind in range(len(KINDS))]
    kept = [part.scores >= confidence for part in parts]
    hits = sum(int((part.hit & keep).sum()) for part, keep in zip(parts, kept, strict=True))
    detections = sum(int(keep.sum()) for keep in kept)
    return PhotoScore(photo, len(truth.classes), hits, detections - hits)


@dataclass(slots=True)
class _Measured:
    """Figures as they come in; NaN where there is nothing to measure."""

    figures: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    colours: ColourScores | None = None

    def add_detection(self, truths: Sequence[Truth], found: Sequence[Found], confidence: float) -> None:
        for number, kind in enumerate(KINDS):
            self._add_kind(kind, match_all(truths, found, number), confidence)
        pooled = [one_kind(truth) for truth in truths], [one_kind(seen) for seen in found]
        self._add_kind(ANY, match_all(*pooled, 0), confidence)
        if precision.is_installed():
            self._add_precision(truths, found, KINDS)
            self._add_precision(*pooled, (ANY,))

    def _add_kind(self, kind: str, matched: Matched, confidence: float) -> None:
        self.counts[kind] = len(matched.object_sides)
        if not self.counts[kind]:
            return
        recall, exactness, f1 = matched.curve(confidence)
        self.figures |= {f"{kind}.recall": recall, f"{kind}.precision": exactness, f"{kind}.f1": f1}
        ranges = {name: (AREAS[name], matched.object_areas) for name in SIZES}
        ranges |= {name: (SHORT_SIDES[name], matched.object_sides) for name in SIDES}
        for name, ((low, high), values) in ranges.items():
            of = (values >= low) & (values < high)
            self.counts[f"{kind}.{name}"] = int(of.sum())
            self.figures[f"{kind}.recall_{name}"] = matched.recall(confidence, of)

    def _add_precision(self, truths: Sequence[Truth], found: Sequence[Found], kinds: Sequence[str]) -> None:
        drawn = [row for row, truth in enumerate(truths) if truth.outlines is not None]
        with_masks = [truths[row] for row in drawn], [found[row] for row in drawn]
        self._add_aps(kinds, "box", "", precision.average_precision(truths, found, "bbox"))
        self._add_aps(kinds, "box", "_12", precision.average_precision(truths, found, "bbox", BAR_SIDE))
        if drawn:
            self._add_aps(kinds, "mask", "", precision.average_precision(*with_masks, "segm"))

    def _add_aps(
        self,
        kinds: Sequence[str],
        what: Literal["box", "mask"],
        which: str,
        aps: Sequence[precision.Precision],
    ) -> None:
        for kind, value in zip(kinds, aps, strict=False):  # where kinds are pooled, the second is empty
            self.figures |= {f"{kind}.{what}_ap{which}": value.ap, f"{kind}.{what}_ap50{which}": value.ap50}
        labelled = [value for value in aps if not np.isnan(value.ap)]
        if labelled and len(kinds) > 1:
            self.figures[f"mean.{what}_ap{which}"] = float(np.mean([value.ap for value in labelled]))
            self.figures[f"mean.{what}_ap50{which}"] = float(np.mean([value.ap50 for value in labelled]))

    def add_walls(self, walls: Sequence[AnsweredWall]) -> None:
        pairs = agreement((wall.problems, wall.answered) for wall in walls)
        named = np.concatenate([wall.named == wall.colours for wall in walls])
        self.counts |= {
            "wall": len(walls),
            "wall.holds": sum(wall.total for wall in walls),
            "wall.found": len(named),
        }
        if len(named):
            self.figures |= {
                "wall.pairs": pairs.pairs,
                "wall.pair_recall": pairs.recall,
                "wall.pair_precision": pairs.precision,
                "wall.adjusted_rand": pairs.adjusted,
                "wall.colour": float(named.mean()),
            }

    def add_colours(self, scores: ColourScores) -> None:
        self.colours = scores
        score = scores.served
        self.figures |= {
            "colour.top1": score.top1,
            "colour.top3": score.top3,
            "colour.mean_recall": score.mean_recall,
            "colour.calibration_error": score.calibration_error,
            "colour.unknown": score.unknown,
            "colour.log_loss": score.log_loss,
            "colour.lab_top1": scores.lab.top1,
            "colour.clip_top1": scores.clip.top1 if scores.clip else float("nan"),
            **{f"colour.recall.{name}": share for name, share in score.recall.items()},
        }
        totals = score.confusion.sum(axis=1).tolist()
        self.counts |= {f"colour.{name}": count for name, count in zip(COLOURS, totals, strict=True)}


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain JSON values."""
    return {
        "dataset": report.dataset.name,
        "split": report.split,
        "confidence": report.confidence,
        "img_size": report.img_size,
        "runtime": report.runtime,
        "models": {
            part: info and {name: getattr(info, name) for name in ModelInfo.__slots__}
            for part, info in (("detector", report.detector), ("clip", report.classifier))
        },
        "photos_with_polygons": report.with_outlines,
        "figures": {name: round(value, 6) for name, value in report.figures.items()},
        "counts": dict(report.counts),
        "confusion": None if report.colours is None else report.colours.served.confusion.tolist(),
        "photos": [
            {
                "name": score.photo.stem,
                "true": score.true,
                "found": score.found,
                "false": score.false,
                "f1": round(score.f1, 4),
            }
            for score in report.photos
        ],
    }
