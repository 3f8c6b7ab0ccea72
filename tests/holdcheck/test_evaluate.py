"""What `evaluate` counts, on cases small enough to count by hand."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from holdcheck.classifier import COLOURS, FakeClassifier, PromptHead
from holdcheck.errors import HoldcheckError
from holdcheck.evaluate import worst
from holdcheck.evaluate.colours import name_holds
from holdcheck.evaluate.figures import NAMES, Floor, missed, parse_floor
from holdcheck.evaluate.grouping import adjusted_rand, agreement
from holdcheck.evaluate.labels import NO_PROBLEM, Truth, read_split, truth_on
from holdcheck.evaluate.matching import Found, match, match_all
from holdcheck.evaluate.named_crops import NamedCrop, named_crops
from holdcheck.evaluate.precision import average_precision
from holdcheck.evaluate.run import PhotoScore, evaluate, one_kind
from holdcheck.holds import HoldMask
from holdcheck.settings import Settings

Floats = NDArray[np.float32]
SQUARE, HIT, ELSEWHERE = (100, 100, 140, 140), (102, 102, 142, 142), (300, 300, 340, 340)
TINY, TINY_HIT, TINY_ELSEWHERE = (500, 500, 508, 508), (500, 500, 508, 509), (600, 600, 608, 608)


def boxes(*rows: tuple[float, ...]) -> Floats:
    return np.array(rows, np.float32).reshape(-1, 4)


def truth(*rows: tuple[float, ...], classes: tuple[int, ...] = (), **fields: object) -> Truth:
    numbers = np.array(classes or (0,) * len(rows), np.int64)
    return Truth("wall", (768, 1024), numbers, boxes(*rows), **fields)  # type: ignore[arg-type]


def found(*rows: tuple[float, ...], classes: tuple[int, ...] = ()) -> Found:
    """Best first: 0.9, 0.8, ..."""
    scores = np.array([0.9 - 0.1 * row for row in range(len(rows))], np.float32)
    return Found(boxes(*rows), scores, np.array(classes or (0,) * len(rows), np.int64))


# Matching


def test_the_best_detection_takes_an_object_and_the_next_one_finds_nothing() -> None:
    assert match(boxes(HIT, SQUARE, ELSEWHERE), boxes(SQUARE)).tolist() == [0, -1, -1]


def test_a_stricter_confidence_drops_hits_and_false_alarms() -> None:
    matched = match_all([truth(SQUARE, (0, 0, 40, 40))], [found(HIT, ELSEWHERE, (0, 0, 40, 41))], 0)
    recall, precision, f1 = matched.curve(0.5)
    assert (recall, precision, f1) == pytest.approx((1, 2 / 3, 0.8))
    assert matched.curve(0.75)[:2] == (0.5, 0.5)
    assert matched.recall(0.75, np.array([True, False])) == 1.0
    assert matched.recall(0.75, np.array([False, True])) == 0.0


def test_a_hold_called_a_volume_is_a_miss_and_a_false_alarm() -> None:
    called = [found(HIT, classes=(1,))]
    assert match_all([truth(SQUARE)], called, 0).curve(0.1) == (0.0, 0.0, 0.0)
    assert match_all([truth(SQUARE)], called, 1).curve(0.1) == (0.0, 0.0, 0.0)


def test_detections_of_objects_outside_a_range_of_sizes_count_neither_way() -> None:
    matched = match_all([truth(SQUARE, TINY)], [found(HIT, TINY_HIT, TINY_ELSEWHERE)], 0)
    assert matched.curve(0.1, (12.0, np.inf))[:2] == (1.0, 1.0)
    assert matched.curve(0.1, (0.0, 12.0))[:2] == (1.0, 0.5)


def test_short_sides_are_counted_at_1024_and_areas_in_the_original_photo() -> None:
    small_picture = Truth("w", (512, 384), np.array([0]), boxes((0, 0, 6, 10)), original_scale=4.0)
    assert small_picture.short_sides(small_picture.boxes).tolist() == [12.0]
    assert small_picture.areas().tolist() == [24 * 40]


def test_with_both_kinds_as_one_a_hold_called_a_volume_is_found() -> None:
    matched = match_all([one_kind(truth(SQUARE))], [one_kind(found(HIT, classes=(1,)))], 0)
    assert matched.curve(0.1) == pytest.approx((1, 1, 1))


# Average precision


def aps(true: Truth, seen: Found, least_side: float = 0.0) -> tuple[float, float]:
    hold, _ = average_precision([true], [seen], "bbox", least_side)
    return hold.ap, hold.ap50


def test_average_precision_of_all_of_half_and_of_nothing() -> None:
    assert aps(truth(SQUARE, ELSEWHERE), found(SQUARE, ELSEWHERE)) == (1.0, 1.0)
    # One of two: precision 1 up to recall 0.5, which is 51 of COCO's 101 points.
    assert aps(truth(SQUARE, ELSEWHERE), found(SQUARE)) == pytest.approx((51 / 101, 51 / 101))
    assert aps(truth(SQUARE), found()) == (0.0, 0.0)


def test_a_false_alarm_above_the_hit_halves_the_precision() -> None:
    assert aps(truth(SQUARE), found(ELSEWHERE, SQUARE))[1] == pytest.approx(0.5)


def test_a_loose_box_counts_at_an_iou_of_a_half_and_no_further() -> None:
    ap, ap50 = aps(truth(SQUARE), found((100, 100, 140, 165)))  # IoU 0.615: three of ten thresholds
    assert (ap, ap50) == pytest.approx((0.3, 1.0))


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (found(SQUARE), 1.0),  # the tiny one may be missed
        (found(TINY_HIT, SQUARE), 1.0),  # or found
        (found(TINY_ELSEWHERE, SQUARE), 1.0),  # and tiny false alarms are none of this range's
        (found(ELSEWHERE, SQUARE), 0.5),  # large ones are
        (found(TINY_HIT), 0.0),
    ],
)
def test_boxes_under_twelve_pixels_count_neither_way(seen: Found, expected: float) -> None:
    assert aps(truth(SQUARE, TINY), seen, 12.0)[1] == pytest.approx(expected)


def test_a_kind_that_is_not_labelled_has_no_figure() -> None:
    _, volume = average_precision([truth(SQUARE)], [found(SQUARE)], "bbox")
    assert np.isnan(volume.ap)
    _, volume = average_precision([truth(SQUARE)], [found()], "bbox")
    assert np.isnan(volume.ap50)


def test_masks_are_compared_with_outlines_and_not_with_boxes() -> None:
    x1, y1, x2, y2 = SQUARE
    triangle = np.array([[x1, y1], [x2, y1], [x1, y2]], np.float32)
    wall = truth(SQUARE, outlines=(triangle,))

    def precision_of(right: bool) -> float:
        canvas = np.zeros(wall.size, np.uint8, order="F")
        rows, columns = np.mgrid[0:40, 0:40]
        canvas[y1:y2, x1:x2] = rows + columns < 40 if right else 1  # the whole box has an IoU of a half
        seen = found(SQUARE)
        masks = (coco_mask.encode(canvas),)
        return average_precision([wall], [Found(seen.boxes, seen.scores, seen.classes, masks)], "segm")[0].ap

    assert precision_of(right=True) >= 0.9
    assert precision_of(right=False) <= 0.2


# The data set


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


PHOTO = {"images/val/a.jpg": ""}
BOX = {**PHOTO, "boxes/val/a.txt": "0 0.5 0.5 0.2 0.1\n"}
HOLD = {"kind": "hold", "colour": "lime", "problem_id": 3}
UNNUMBERED = json.dumps({"holds": [{**HOLD, "problem_id": "a"}]})


def test_labels_are_read_row_for_row_in_fractions(tmp_path: Path) -> None:
    files = {
        "boxes/val/a.txt": "0 0.5 0.5 0.2 0.1\n1 0.25 0.25 0.5 0.5\n",
        "polygons/val/a.txt": "0 0.4 0.45 0.6 0.45 0.5 0.55\n1 0 0 0.5 0 0 0.5\n",
        "truth/val/a.json": json.dumps(
            {"holds": [HOLD, {"kind": "volume", "colour": "unknown", "problem_id": None}]}
        ),
    }
    labels = read_split(write(tmp_path, {**PHOTO, **files}), "val")[0]
    on = truth_on(labels, (100, 200), original_width=800)
    assert on.boxes.round(3).tolist() == [[80, 45, 120, 55], [0, 0, 100, 50]]
    assert on.outlines is not None
    assert on.outlines[0].round(3).tolist() == [[80, 45], [120, 45], [100, 55]]
    assert on.original_scale == 4
    assert labels.whole is not None
    assert labels.whole.problems.tolist() == [3, NO_PROBLEM]
    assert labels.whole.colours.tolist() == [COLOURS.index("lime"), -1]


def test_a_photo_without_polygons_has_none(tmp_path: Path) -> None:
    labels = read_split(write(tmp_path, BOX), "val")[0]
    assert labels.outlines is None
    assert labels.whole is None


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "images/val; expected images/, boxes/"),
        ({"images/train/a.jpg": ""}, "there are the splits train"),
        (PHOTO, "boxes/val/a.txt is missing"),
        ({**PHOTO, "boxes/val/a.txt": "0 0.5 0.5 0.1\n"}, "class cx cy w h"),
        ({**PHOTO, "boxes/val/a.txt": "2 0.5 0.5 0.1 0.1\n"}, "neither 0 .hold. nor 1"),
        ({**PHOTO, "boxes/val/a.txt": "hold 0.5 0.5 0.1 0.1\n"}, "no number"),
        ({**PHOTO, "boxes/val/a.txt": "0 nan 0.5 0.1 0.1\n"}, "no number"),
        (
            {**BOX, "truth/val/a.json": json.dumps({"holds": [{**HOLD, "problem_id": "a"}]})},
            "not a truth file",
        ),
        ({**BOX, "polygons/val/a.txt": ""}, "0 outlines for 1 boxes"),
        ({**BOX, "polygons/val/a.txt": "0 0.1 0.1 0.2 0.2\n"}, "x3 y3"),
        ({**BOX, "truth/val/a.json": "{}"}, "not a truth file"),
        ({**BOX, "truth/val/a.json": json.dumps({"holds": [HOLD] * 2})}, "2 objects for 1 boxes"),
    ],
)
def test_a_data_set_of_another_layout_is_refused_in_one_line(
    files: dict[str, str], says: str, tmp_path: Path
) -> None:
    with pytest.raises(HoldcheckError, match=says) as caught:
        read_split(write(tmp_path, files), "val")
    assert "\n" not in str(caught.value)


# Floors


@pytest.mark.parametrize(
    ("text", "floor"),
    [
        ("0.6", Floor("hold.f1", 0.6)),
        ("hold.mask_ap50=0.7", Floor("hold.mask_ap50", 0.7)),
        ("colour.recall.mint=1", Floor("colour.recall.mint", 1.0)),
    ],
)
def test_a_floor_is_a_name_and_a_share(text: str, floor: Floor) -> None:
    assert parse_floor(text) == floor


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hold.f2=0.5", "there are hold.precision, hold.recall, hold.f1"),
        ("f1=0.5", "no figure 'f1'"),
        ("hold.f1=high", "no number from 0 to 1"),
        ("hold.f1=60", "no number from 0 to 1"),
        ("hold.f1=nan", "no number from 0 to 1"),
        ("colour.calibration_error=0.1", "better the lower"),
    ],
)
def test_a_floor_that_makes_no_sense_is_refused(text: str, says: str) -> None:
    with pytest.raises(HoldcheckError, match=says):
        parse_floor(text)


def test_a_floor_is_missed_by_a_lower_figure_and_by_one_that_is_not_there() -> None:
    floors = [Floor("hold.f1", 0.6), Floor("hold.recall", 0.6), Floor("hold.mask_ap50", 0.1)]
    lines = missed(floors, {"hold.f1": 0.5999, "hold.recall": 0.6})
    assert lines == [
        "hold.f1 is 0.5999, the floor is 0.6",
        "hold.mask_ap50 was not measured: the data set has nothing for it",
    ]


# Pairs


def test_figures_of_a_grouping_that_is_right() -> None:
    truth = np.array([0, 0, 1, 1, 1])
    found = agreement([(truth, truth + 7)])
    assert (found.pairs, found.recall, found.precision, found.adjusted) == (1, 1, 1, 1)


def test_figures_of_a_grouping_that_joins_all() -> None:
    found = agreement([(np.array([0, 0, 1, 1]), np.zeros(4, int))])
    assert (found.pairs, found.recall, found.precision) == (2 / 6, 1, 2 / 6)
    assert found.adjusted == 0


def test_figures_of_a_grouping_that_joins_none() -> None:
    found = agreement([(np.array([0, 0, 1, 1]), np.arange(4))])
    assert (found.pairs, found.recall, found.precision) == (4 / 6, 0, 0)


def test_the_adjusted_rand_index_is_the_published_one() -> None:
    # Hubert & Arabie 1985, by hand: table [[2, 1], [0, 3]], pairs 1 + 3 = 4; rows 3 + 3, columns 1 + 6.
    truth, answered = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1])
    expected = 6 * 7 / 15
    assert adjusted_rand(truth, answered) == pytest.approx((4 - expected) / (6.5 - expected))


# Colours


class Certain(FakeClassifier):
    """A CLIP that calls everything mint."""

    head = PromptHead(np.eye(len(COLOURS), dtype=np.float32), logit_scale=50.0)

    def embed(self, crops: NDArray[np.uint8]) -> Floats:
        rows = np.zeros((len(crops), len(COLOURS)), np.float32)
        rows[:, COLOURS.index("mint")] = 1
        return rows


def square_of(rgb: tuple[int, int, int]) -> NamedCrop:
    pixels = np.full((60, 60, 3), 200, np.uint8)
    pixels[10:50, 10:50] = rgb
    return NamedCrop(pixels, (10, 10, 50, 50), np.ones((40, 40), np.bool_), "green", "p1")


def test_colours_are_named_by_statistics_and_clip_together() -> None:
    crop = square_of((60, 150, 100))
    alone = name_holds([crop], None)
    assert COLOURS[int(alone.served.argmax())] == "green"
    assert alone.clip is None
    np.testing.assert_array_equal(alone.served, alone.lab)
    np.testing.assert_allclose(name_holds([crop], FakeClassifier()).served, alone.lab, atol=1e-6)
    mint, certain = COLOURS.index("mint"), name_holds([crop], Certain())
    assert certain.clip is not None
    assert certain.clip.argmax() == mint
    assert certain.served[0, mint] > alone.served[0, mint]


def test_a_missing_crop_is_named(tmp_path: Path) -> None:
    head = "file,color,photo,wall_image,x0,y0,x1,y1\n"
    write(tmp_path, {"color_crops.csv": head + "red_1.jpg,red,p1,,1,1,9,9\n"})
    with pytest.raises(HoldcheckError, match=r"red_1\.jpg is missing"):
        named_crops(tmp_path)
    write(tmp_path, {"color_crops.csv": "name,colour\nred_1.jpg,red\n"})
    with pytest.raises(HoldcheckError, match="expected file,color"):
        named_crops(tmp_path)


@pytest.mark.parametrize(
    "row", ["1,1", "90,90,99,99", "5,5,5,9", "9,9,5,5", "nan,1,9,9"], ids=lambda row: row.replace(",", " ")
)
def test_a_crop_without_a_box_is_named(row: str, tmp_path: Path) -> None:
    (tmp_path / "color_crops").mkdir()
    cv2.imwrite(str(tmp_path / "color_crops" / "red.png"), np.full((20, 30, 3), 90, np.uint8))
    head = "file,color,photo,wall_image,x0,y0,x1,y1\n"
    write(tmp_path, {"color_crops.csv": f"{head}red.png,red,p1,,{row}\n"})
    with pytest.raises(HoldcheckError, match=r"color_crops\.csv: expected file,color"):
        named_crops(tmp_path)


def test_a_crop_thinner_than_a_pixel_still_has_a_mask(tmp_path: Path) -> None:
    (tmp_path / "color_crops").mkdir()
    cv2.imwrite(str(tmp_path / "color_crops" / "red.png"), np.full((20, 30, 3), 90, np.uint8))
    head = "file,color,photo,wall_image,x0,y0,x1,y1\n"
    write(tmp_path, {"color_crops.csv": f"{head}red.png,red,p1,,5.6,2,5.9,18\n"})
    assert named_crops(tmp_path)[0].mask.any()


def test_a_photo_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(HoldcheckError, match=r"a\.jpg: .*empty"):
        evaluate(write(tmp_path, BOX), "val", Settings(_env_file=None, models_dir=tmp_path))


# The sheet of the worst photos


def test_found_missed_and_invented_holds_are_told_apart_by_colour() -> None:
    wall = np.full((768, 1024, 3), 128, np.uint8)
    inside = np.ones((40, 40), np.bool_)

    def seen(box: tuple[int, int, int, int]) -> HoldMask:
        x1, y1, x2, y2 = box
        outline = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
        return HoldMask(box, inside, outline, box, 0.9, "hold")

    missing = (600, 100, 640, 140)
    picture = worst.cell(wall, truth(SQUARE, missing), [seen(HIT), seen(ELSEWHERE)], "title")
    scale = 760 / 1024
    for box, colour in ((HIT, (60, 230, 90)), (ELSEWHERE, (255, 60, 60)), (missing, (255, 225, 0))):
        x1, y1, x2, y2 = (round(value * scale) for value in box)
        around = picture[34 + y1 - 4 : 34 + y2 + 4, x1 - 4 : x2 + 4].reshape(-1, 3)
        assert (around == colour).all(axis=1).any()
    assert worst.sheet([picture] * 7).shape == (2 * 794 + 34, 5 * 760, 3)


def test_the_worst_photos_come_first_and_an_empty_one_that_was_left_alone_is_none() -> None:
    def score(name: str, true: int, found: int, false: int) -> PhotoScore:
        return PhotoScore(Path(name), true, found, false)

    scores = [score("good", 4, 4, 0), score("empty", 0, 0, 0), score("bad", 4, 1, 0), score("alarm", 0, 0, 2)]
    names = [each.photo.name for each in worst.worst_of(scores)]
    assert names == ["alarm", "bad", "good"]


def test_every_figure_has_one_name() -> None:
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize(
    ("imports", "unwanted"),
    [
        ("backend.app, holdcheck.pipeline", "holdcheck.evaluate pycocotools"),  # serving
        ("holdcheck.cli", "onnxruntime cv2 pycocotools holdcheck.evaluate.run"),  # --help, a typing mistake
    ],
)
def test_nothing_waits_or_pays_for_what_only_evaluate_needs(imports: str, unwanted: str) -> None:
    code = f"import sys, {imports}; print([name for name in {unwanted.split()!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
