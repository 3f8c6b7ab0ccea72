"""The detector measured on a labelled data set, through the very code that serves."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from holdcheck import image, registry
from holdcheck.detector import KINDS, Detector
from holdcheck.errors import HoldcheckError, ModelNotPrepared
from holdcheck.settings import Settings

_MATCH_IOU = 0.5
SMALL_PX = 16
"""Objects with a shorter short side than this, in stored pixels, are counted apart."""


@dataclass(frozen=True, slots=True)
class Labels:
    """One photo's true boxes."""

    boxes: NDArray[np.float32]
    """(N, 4): x1, y1, x2, y2 in fractions of the photo."""
    classes: NDArray[np.int64]
    """(N,): index into KINDS."""


@dataclass(slots=True)
class Score:
    """Matches at IoU 0.5 and the default confidence, summed over photos."""

    true: int = 0
    found: int = 0
    """True objects that a detection matched."""
    true_large: int = 0
    found_large: int = 0
    """The same of objects of SMALL_PX or more."""
    detections: int = 0

    @property
    def recall(self) -> float:
        return self.found / max(self.true, 1)

    @property
    def recall_large(self) -> float:
        return self.found_large / max(self.true_large, 1)

    @property
    def precision(self) -> float:
        return self.found / max(self.detections, 1)

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(slots=True)
class Report:
    """What a detector does on a data set."""

    photos: int = 0
    kinds: dict[str, Score] = field(default_factory=lambda: {kind: Score() for kind in KINDS})

    @property
    def holds(self) -> Score:
        return self.kinds["hold"]

    def table(self) -> str:
        """The figures as lines of text."""
        lines = [f"{self.photos} photos; boxes at IoU {_MATCH_IOU}, default confidence"]
        lines.append(
            f"{'kind':8s} {'true':>6s} {'recall':>7s} {f'>={SMALL_PX}px':>7s} {'precision':>9s} {'F1':>6s}"
        )
        for kind, score in self.kinds.items():
            lines.append(
                f"{kind:8s} {score.true:6d} {score.recall:7.3f} {score.recall_large:7.3f}"
                f" {score.precision:9.3f} {score.f1:6.3f}"
            )
        return "\n".join(lines)


def evaluate(dataset: Path, split: str, settings: Settings) -> Report:
    """Run the served detector over `dataset/images/split` and match it to `dataset/boxes/split`.

    Raises:
        HoldcheckError: the folder is not laid out like that.
        ModelNotPrepared: there is no detector.
    """
    detector = registry.load(settings).detector
    if detector is None:
        raise ModelNotPrepared("there is no detector to evaluate")
    report = Report()
    for photo, labels in labelled_photos(dataset, split):
        _score_photo(detector, photo, labels, settings, report)
    return report


def labelled_photos(dataset: Path, split: str) -> Iterator[tuple[Path, Labels]]:
    """Each photo of a split with its boxes; rows are `class cx cy w h` in fractions."""
    photos = sorted((dataset / "images" / split).glob("*.jpg"))
    if not photos:
        raise HoldcheckError(
            f"no photos in {dataset}/images/{split}; expected images/, boxes/ as .jpg and .txt"
        )
    for photo in photos:
        text = (dataset / "boxes" / split / f"{photo.stem}.txt").read_text()
        rows = np.array([line.split() for line in text.splitlines() if line.strip()], dtype=np.float32)
        rows = rows.reshape(-1, 5)
        centre, size = rows[:, 1:3], rows[:, 3:5]
        boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        yield photo, Labels(boxes, rows[:, 0].astype(np.int64))


def box_iou(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of every pair: (N, 4) and (M, 4) -> (N, M)."""
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    opposite = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(opposite - corner, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), dtype=np.float32)


def _score_photo(detector: Detector, photo: Path, labels: Labels, settings: Settings, report: Report) -> None:
    wall = image.decode(photo, settings.max_image_size, settings.max_image_megapixels)
    height, width = wall.pixels.shape[:2]
    found = detector.detect(wall.pixels)
    true_boxes = labels.boxes * np.array([width, height] * 2, dtype=np.float32)
    stored_scale = wall.original_width / width
    report.photos += 1
    for index, kind in enumerate(KINDS):
        boxes = true_boxes[labels.classes == index]
        detected = found.boxes[found.classes == index]  # best first, as the matching wants them
        matched = _match(box_iou(detected, boxes))
        large = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) * stored_scale >= SMALL_PX
        score = report.kinds[kind]
        score.true += len(boxes)
        score.found += int(matched.sum())
        score.true_large += int(large.sum())
        score.found_large += int((matched & large).sum())
        score.detections += len(detected)


def _match(iou: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Greedy one-to-one matching, best detection first, as COCO does: (found, true) IoU -> (true,)."""
    taken = np.zeros(iou.shape[1], dtype=bool)
    for row in iou:
        candidates = np.where(taken, -1.0, row)
        if len(candidates) and candidates.max() >= _MATCH_IOU:
            taken[int(candidates.argmax())] = True
    return taken
