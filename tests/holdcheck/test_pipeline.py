"""The whole path from a photo's file to an answer, on rendered walls whose truth is known."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from holdcheck import pipeline, registry, routes
from holdcheck.classifier import FakeClassifier
from holdcheck.detector import FakeDetector
from holdcheck.errors import AnalysisCancelled, ModelNotPrepared, TruncatedPhoto
from holdcheck.pipeline import StageEvent
from holdcheck.registry import Models
from holdcheck.result import Hold, Result
from holdcheck.routes import ColouredHold, ProblemDraft
from holdcheck.settings import Settings
from tests.holdcheck.oracle import Oracle
from tests.holdcheck.pictures import ORIENTATION, STORED_FOR
from training.walls import Wall, WallSpec, render

SETTINGS = Settings(_env_file=None, clip_batch_size=4)


def wall(width: int, height: int) -> Wall:
    return render(WallSpec(width, height, seed=5, problems=3, quality="clean", light="easy"))


def save(picture: Wall, path: Path, orientation: int = 1) -> Path:
    stored = Image.fromarray(picture.pixels)
    turn = STORED_FOR[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    (stored if turn is None else stored.transpose(turn)).save(path, quality=92, exif=exif)
    return path


def outlines(picture: Wall) -> list[NDArray[np.float32]]:
    """True outlines of the holds in pixels, origin at the corner of the first pixel; the 32 largest."""
    polygons = [hold.polygon + 0.5 for hold in picture.holds if hold.kind == "hold"]
    return sorted(polygons, key=cv2.contourArea, reverse=True)[:32]


def run(photo: Path, models: Models, settings: Settings = SETTINGS) -> list[StageEvent]:
    return list(pipeline.analyze(photo, models, settings, job_id="job"))


def answer(events: list[StageEvent]) -> Result:
    return Result.model_validate(events[-1].data["result"])


def distances(hold: Hold, truth: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far each point of a hold's contour is from the true outline, pixels."""
    return np.array([abs(cv2.pointPolygonTest(truth, point, True)) for point in hold.contour])


def nearest(hold: Hold, truths: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return min(truths, key=lambda truth: float(np.hypot(*(centroid(truth) - np.array(hold.center)))))


def centroid(polygon: NDArray[np.float32]) -> NDArray[np.float64]:
    moments = cv2.moments(polygon)
    return np.array([moments["m10"], moments["m01"]]) / moments["m00"]


@pytest.mark.parametrize(
    ("width", "height", "orientation"),
    [
        (1024, 768, 1),  # landscape
        (768, 1024, 1),  # portrait
        (1001, 777, 1),  # odd sizes
        (768, 1024, 6),  # how phones store portrait photos
        (1024, 768, 3),  # upside down
        (777, 1001, 5),  # mirrored as well
        (1800, 1350, 1),  # larger than the working copy
        (3000, 4000, 8),  # a phone's 12 megapixels, turned
    ],
)
def test_outlines_lie_on_their_holds_in_the_upright_original(
    tmp_path: Path, width: int, height: int, orientation: int
) -> None:
    picture = wall(width, height)
    truths = outlines(picture)
    photo = save(picture, tmp_path / "photo.jpg", orientation)
    size = np.array([width, height], dtype=np.float32)
    oracle = Oracle([np.divide(truth, size, dtype=np.float32) for truth in truths])
    result = answer(run(photo, Models(oracle, None)))

    assert (result.image_width, result.image_height) == (width, height)
    assert len(result.hold_data) == len(truths)
    offsets = np.array([np.array(h.center) - centroid(nearest(h, truths)) for h in result.hold_data])
    assert np.abs(offsets.mean(axis=0)).max() < 0.7  # no systematic shift
    network_px = max(width, height) / SETTINGS.yolo_img_size
    off = np.concatenate([distances(hold, nearest(hold, truths)) for hold in result.hold_data])
    assert np.median(off) < max(1.0, 0.5 * network_px)


def test_every_orientation_of_one_photo_gives_one_answer(tmp_path: Path) -> None:
    picture = wall(768, 1024)
    models = registry.load(SETTINGS)
    centers = []
    for orientation in STORED_FOR:
        photo = save(picture, tmp_path / f"{orientation}.jpg", orientation)
        result = answer(run(photo, models))
        centers.append(sorted(hold.center for hold in result.hold_data if hold.score > 0.6))
    assert len(centers[0]) > 10
    for other in centers[1:]:
        # JPEG blocks fall differently on a turned picture, so a score may cross the line: compare the rest.
        pairs = [min(np.hypot(x - u, y - v) for u, v in other) for x, y in centers[0]]
        assert np.quantile(pairs, 0.9) < 2.0


def test_the_bundled_detector_puts_holds_where_they_are(tmp_path: Path) -> None:
    picture = wall(1024, 768)
    truths = [hold.polygon + 0.5 for hold in picture.holds]
    result = answer(run(save(picture, tmp_path / "photo.jpg"), registry.load(SETTINGS)))
    pairs = [(hold, nearest(hold, truths)) for hold in result.hold_data]
    offsets = np.array([np.array(hold.center) - centroid(truth) for hold, truth in pairs])
    on_target = np.hypot(*offsets.T) < 8
    assert on_target.sum() >= 0.6 * len(truths)
    assert np.abs(offsets[on_target].mean(axis=0)).max() < 1.5


def test_stages_come_in_order_and_progress_never_falls(tmp_path: Path) -> None:
    photo = save(wall(640, 480), tmp_path / "photo.jpg")
    events = run(photo, Models(FakeDetector(), FakeClassifier()))
    steps = [event.step for event in events]
    assert steps == [
        "detection",
        "detection_complete",
        *["clustering"] * 3,  # twelve holds in batches of four
        "clustering_complete",
        "analysis",
        "analysis_complete",
        "result_stats",
        "result_holds",
        "result_problems",
        "complete",
    ]
    progress = [event.progress for event in events]
    assert progress == sorted(progress)
    assert progress.count(100) == 1
    assert all(event.memory.rss_mb > 0 for event in events)


def test_the_fake_classifier_tells_no_colour_from_another() -> None:
    fake = FakeClassifier()
    embedded = fake.embed(np.zeros((3, fake.input_size, fake.input_size, 3), dtype=np.uint8))
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1)
    np.testing.assert_allclose(fake.head.probabilities(embedded), np.full((3, 13), 1 / 13))


def test_grouping_gets_each_holds_embedding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grouped: list[ColouredHold] = []

    def remember(holds: list[ColouredHold]) -> list[ProblemDraft]:
        grouped[:] = holds
        return []

    monkeypatch.setattr(routes, "group", remember)
    photo = save(wall(640, 480), tmp_path / "photo.jpg")
    run(photo, Models(FakeDetector(), FakeClassifier()))
    assert [len(hold.embedding) for hold in grouped if hold.embedding is not None] == [4] * 12
    run(photo, Models(FakeDetector(), None))
    assert {hold.embedding for hold in grouped} == {None}


def test_only_the_largest_holds_are_kept_and_the_answer_says_so(tmp_path: Path) -> None:
    photo = save(wall(640, 480), tmp_path / "photo.jpg")
    few = SETTINGS.model_copy(update={"max_holds": 5})
    events = run(photo, Models(FakeDetector(), None), few)
    assert events[1].data == {"holds_count": 12, "holds_kept": 5, "truncated": True}
    result = answer(events)
    assert len(result.hold_data) == 5
    assert result.statistics.truncated


def test_without_any_clip_colours_come_from_lab_alone_and_the_answer_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = save(wall(640, 480), tmp_path / "photo.jpg")
    monkeypatch.setattr(registry, "_BUNDLED_CLIP_FOLDER", tmp_path / "none")
    nowhere = SETTINGS.model_copy(update={"models_dir": tmp_path})
    result = answer(run(photo, registry.load(nowhere)))
    assert result.degraded
    assert result.component_status.yolo
    assert not result.component_status.clip
    assert "prepare" in str(result.error_reason)
    assert not result.is_dummy


def test_a_models_fake_makes_the_answer_a_dummy(tmp_path: Path) -> None:
    photo = save(wall(640, 480), tmp_path / "photo.jpg")
    fakes = registry.load(
        SETTINGS.model_copy(update={"allow_dummy": True, "yolo_weights": "fake", "clip_model": "fake"})
    )
    assert answer(run(photo, fakes)).is_dummy


def test_without_a_detector_there_is_no_answer(tmp_path: Path) -> None:
    photo = save(wall(640, 480), tmp_path / "photo.jpg")
    models = registry.load(SETTINGS.model_copy(update={"yolo_weights": "mine.pt", "models_dir": tmp_path}))
    assert not models.ready
    with pytest.raises(ModelNotPrepared, match=r"prepare --yolo mine\.pt"):
        run(photo, models)


def test_a_photo_without_holds_is_a_full_answer_with_none(tmp_path: Path) -> None:
    path = tmp_path / "plain.png"
    Image.new("RGB", (640, 480), (120, 120, 120)).save(path)
    result = answer(run(path, Models(Oracle([]), FakeClassifier())))
    assert result.hold_data == []
    assert result.problems == []
    assert result.statistics.total_holds == 0


def test_an_analysis_that_should_stop_stops_at_the_next_event(tmp_path: Path) -> None:
    photo = save(wall(640, 480), tmp_path / "photo.jpg")
    seen: list[str] = []
    events = pipeline.analyze(
        photo, Models(FakeDetector(), None), SETTINGS, job_id="job", should_stop=lambda: len(seen) >= 2
    )
    with pytest.raises(AnalysisCancelled):
        seen.extend(event.step for event in events)
    assert seen == ["detection", "detection_complete"]


def test_a_truncated_photo_is_named_as_such(tmp_path: Path) -> None:
    whole = save(wall(640, 480), tmp_path / "photo.jpg").read_bytes()
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TruncatedPhoto):
        run(cut, Models(FakeDetector(), None))
