"""What climbers put right becomes a set that training and evaluation read."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from holdcheck.cli import main
from holdcheck.corrections import Corrections, apply
from holdcheck.evaluate.labels import read_split
from holdcheck.result import Result
from training.datasets import load_split

_MEMORY = {"rss_mb": 1, "peak_mb": 1, "percent": 1, "limit_mb": 1, "available_mb": 1}
_JOB = "6f0e3a52-3b0e-4a1c-9a53-2f1f6f6f0b11"
_TRIANGLE = [[400, 200], [440, 200], [400, 240]]
_SAID: dict[str, Any] = {
    "holds": [
        {"id": 1, "deleted": True},
        {"id": 2, "color": "lime", "kind": "volume"},
        {"id": 3, "problem": 7},
        {"id": 4, "problem": 0},
    ],
    "added": [
        {"contour": _TRIANGLE, "color": "red", "kind": "hold", "problem": 7},
        {"contour": _TRIANGLE, "color": "mint", "kind": "hold"},
    ],
    "problems": [{"id": 7, "start": [3], "top": ["a0"]}],
    "share": True,
}


def _hold(number: int) -> dict[str, Any]:
    """A square of 40 px at 100 * number, whose outline lies a pixel inside its box."""
    near, far = 100.0 * number, 100.0 * number + 40
    return {
        "id": number,
        "center": [near + 20, near + 20],
        "area": 1600,
        "bbox": [near, near, far, far],
        "contour": [[near + 1, near + 1], [far - 1, near + 1], [far - 1, far - 1], [near + 1, far - 1]],
        "score": 0.9,
        "kind": "hold",
        "color": "blue",
        "individual_color": "purple",
        "color_scores": {"purple": 0.5},
        "rgb": [1, 2, 3],
        "hsv": [1, 2, 3],
        "lab": [1, 2, 3],
    }


def _result(**changes: Any) -> dict[str, Any]:
    """Four holds of one blue problem on a photo of 1000 x 800."""
    problem = {"id": 1, "color_name": "blue", "color_rgb": [0, 0, 9], "hold_count": 4, "holds": [1, 2, 3, 4]}
    problem |= {"difficulty": None, "climb_type": None, "start_ids": [1, 3], "top_ids": [2]}
    problem |= {"start_estimated": False, "top_estimated": True}
    statistics = {"total_holds": 4, "holds_kept": 4, "truncated": False}
    statistics |= {"total_problems": 1, "analyzable_problems": 1}
    return {
        "job_id": _JOB,
        "image_width": 1000,
        "image_height": 800,
        "statistics": statistics,
        "hold_data": [_hold(number) for number in (1, 2, 3, 4)],
        "problems": [problem],
        "component_status": {"yolo": True, "clip": True},
        "is_dummy": False,
        "degraded": False,
        "error_reason": None,
        "timings_ms": {},
        "memory": _MEMORY,
    } | changes


def _keep(data_dir: Path, name: str = _JOB, said: Any = _SAID, **changes: Any) -> Path:
    """What a server keeps of one photo, at half its size."""
    folder = data_dir / "corrections" / name
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(_result(**changes)))
    (folder / "corrections.json").write_text(json.dumps(said))
    Image.new("RGB", (500, 400), (90, 90, 90)).save(folder / "photo.jpg")
    return folder


def _export(data_dir: Path, out: Path, *options: str) -> int:
    return main(["export-corrections", "--data-dir", str(data_dir), str(out), *options])


def test_training_reads_the_holds_as_they_were_put_right(tmp_path: Path) -> None:
    _keep(tmp_path)
    assert _export(tmp_path, tmp_path / "set") == 0
    (photo,) = load_split(tmp_path / "set", "train")
    assert photo.name == _JOB
    assert photo.pixels.shape == (400, 500, 3)
    assert photo.drawn_by_hand
    assert photo.classes.tolist() == [1, 0, 0, 0, 0]  # hold 2 is a volume; hold 1 is gone
    boxes = [[100, 100, 120, 120], [150, 150, 170, 170], [200, 200, 220, 220]]
    for found, box in zip(photo.boxes.tolist(), [*boxes, *[[200, 100, 220, 120]] * 2], strict=True):
        assert found == pytest.approx(box, abs=1e-3)
    square = [100.5, 100.5, 119.5, 100.5, 119.5, 119.5, 100.5, 119.5]
    assert photo.outlines[0].ravel().tolist() == pytest.approx(square, abs=1e-3)
    triangle = [200, 100, 220, 100, 200, 120]
    assert photo.outlines[3].ravel().tolist() == pytest.approx(triangle, abs=1e-3)


def test_evaluation_reads_their_colours_and_problems_too(tmp_path: Path) -> None:
    _keep(tmp_path)
    assert _export(tmp_path, tmp_path / "set", "--split", "val") == 0
    (labels,) = read_split(tmp_path / "set", "val")
    assert labels.whole is not None
    assert labels.whole.problems.tolist() == [1, 7, -1, 7, -1]
    truth = json.loads((tmp_path / "set" / "truth" / "val" / f"{_JOB}.json").read_text())
    # Moved to a new problem or out of its own, a hold is of its own colour again.
    assert [hold["colour"] for hold in truth["holds"]] == ["lime", "purple", "purple", "red", "mint"]
    assert [hold["tag"] for hold in truth["holds"]] == ["top", "start", None, "top", None]
    assert truth["problems"] == [
        {"id": 1, "colour": "lime", "hold_ids": [2], "start_ids": [], "top_ids": [2]},
        {"id": 7, "colour": "purple", "hold_ids": [3, 5], "start_ids": [3], "top_ids": [5]},
    ]
    assert truth["holds"][3]["polygon"] == [[200.0, 100.0], [220.0, 100.0], [200.0, 120.0]]


def test_the_index_counts_what_was_written(tmp_path: Path) -> None:
    _keep(tmp_path)
    _export(tmp_path, tmp_path / "set")
    with (tmp_path / "set" / "index.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["name"], row["split"], row["width"], row["height"]) == (_JOB, "train", "500", "400")
    assert (row["n_holds"], row["n_volumes"], row["has_polygons"]) == ("4", "1", "yes")


def test_a_result_that_needed_nothing_is_as_the_answer_says(tmp_path: Path) -> None:
    result = Result.model_validate(_result())
    holds = apply(result, Corrections())
    assert [(hold.id, hold.color, hold.problem) for hold in holds] == [(n, "blue", 1) for n in (1, 2, 3, 4)]
    assert [hold.tag for hold in holds] == ["start", "top", "start", None]


@pytest.mark.parametrize(
    ("said", "tags"),
    [
        ({"start": [4]}, [None, "top", None, "start"]),
        ({"top": [4]}, ["start", None, "start", "top"]),
        ({"start": [4], "top": None}, [None, "top", None, "start"]),
        ({"start": [], "top": []}, [None, None, None, None]),
    ],
    ids=["only the start was moved", "only the top was moved", "null is as absent", "none is not unchanged"],
)
def test_an_end_that_nobody_moved_is_as_the_result_has_it(
    said: dict[str, Any], tags: list[str | None]
) -> None:
    corrections = Corrections.model_validate({"problems": [{"id": 1, **said}]})
    assert [hold.tag for hold in apply(Result.model_validate(_result()), corrections)] == tags


def test_an_outline_too_thin_to_be_one_is_its_box(tmp_path: Path) -> None:
    thin = _hold(1) | {"contour": [[101, 101], [139, 101]]}
    (hold,) = apply(Result.model_validate(_result(hold_data=[thin])), Corrections())
    assert hold.contour == [(100, 100), (140, 100), (140, 140), (100, 140)]


def test_what_lies_a_hair_outside_the_photo_is_clipped(tmp_path: Path) -> None:
    over = _hold(1) | {
        "bbox": [900, 700, 1000.3, 800.2],
        "contour": [[900, 700], [1000.3, 700], [900, 800.2]],
    }
    _keep(tmp_path, said={"share": True}, hold_data=[over])
    _export(tmp_path, tmp_path / "set")
    (photo,) = load_split(tmp_path / "set", "train")
    assert photo.boxes[0].tolist() == pytest.approx([450, 350, 500, 400], abs=1e-3)
    assert photo.outlines[0].max(axis=0).tolist() == pytest.approx([500, 400], abs=1e-3)


@pytest.mark.parametrize(
    ("said", "changes", "reason"),
    [
        ({"share": False}, {}, "not shared"),
        (_SAID, {"is_dummy": True}, "without real weights"),
        ({"holds": "all of them"}, {}, "cannot be read"),
        (_SAID, {"statistics": _result()["statistics"] | {"truncated": True}}, "--with-truncated"),
    ],
)
def test_what_would_teach_something_wrong_is_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], said: Any, changes: dict[str, Any], reason: str
) -> None:
    _keep(tmp_path)
    _keep(tmp_path, "other", said, **changes)
    assert _export(tmp_path, tmp_path / "set") == 0
    left_out, wrote = capsys.readouterr().out.splitlines()
    assert left_out.startswith("left out 1: ")
    assert reason in left_out
    assert wrote == f"wrote 1 corrected photos to {tmp_path / 'set'}"


def test_truncated_walls_come_along_where_they_are_asked_for(tmp_path: Path) -> None:
    _keep(tmp_path, statistics=_result()["statistics"] | {"truncated": True})
    _export(tmp_path, tmp_path / "set", "--with-truncated")
    with (tmp_path / "set" / "index.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["remarks"] == "smaller holds stand unlabelled"


@pytest.mark.parametrize("file", ["result.json", "corrections.json", "photo.jpg"])
def test_a_photo_of_which_something_is_missing_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    (_keep(tmp_path) / file).unlink()
    assert _export(tmp_path, tmp_path / "set") == 0
    assert "left out 1: cannot be read\nwrote nothing" in capsys.readouterr().out
    assert not (tmp_path / "set").exists()


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _keep(tmp_path)
    taken = tmp_path / "set"
    taken.mkdir()
    (taken / "mine").write_text("precious")
    assert _export(tmp_path, taken) == 1
    assert _export(tmp_path, taken / "mine") == 1
    assert capsys.readouterr().err.count("nothing is overwritten") == 2
    assert [path.name for path in taken.iterdir()] == ["mine"]
    assert (taken / "mine").read_text() == "precious"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    _keep(tmp_path)
    (tmp_path / "set").mkdir()
    assert _export(tmp_path, tmp_path / "set") == 0
    assert len(load_split(tmp_path / "set", "train")) == 1
    assert _export(tmp_path, tmp_path / "set") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corrections", "set"]  # no draft is left


def test_a_folder_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _export(tmp_path / "nowhere", tmp_path / "set") == 1
    assert f"--data-dir {tmp_path / 'nowhere'}" in capsys.readouterr().err
