"""`python -m holdcheck export-corrections`: what climbers put right, as a set that `training` reads.

Never imported by what serves.
"""

import argparse
import csv
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from PIL import Image
from pydantic import ValidationError

from holdcheck.corrections import (
    CORRECTIONS_NAME,
    KEPT_FOLDER,
    PHOTO_NAME,
    RESULT_NAME,
    CorrectedHold,
    Corrections,
    apply,
)
from holdcheck.errors import HoldcheckError
from holdcheck.result import Kind, Result

SPLITS = ("train", "val")
_CLASSES = get_args(Kind)
"""0 hold, 1 volume: the detector's classes, without importing it."""
_SOURCE = "corrections"
_COLUMNS = (
    "name",
    "split",
    "source_set",
    "original_file",
    "width",
    "height",
    "n_holds",
    "n_volumes",
    "has_polygons",
    "remarks",
)
_EPILOG = f"""\
DATA_DIR is the server's. What it keeps for training lies in DATA_DIR/{KEPT_FOLDER}: with KEEP_CORRECTIONS=1,
photos that climbers put right and shared, from when their jobs expire (JOB_TTL_S). Nothing is deleted there.

OUT is made, or an empty folder. Each photo is named by its job:

  images/SPLIT/NAME.jpg      as it was kept
  boxes/SPLIT/NAME.txt       class cx cy w h            (0 hold, 1 volume)
  polygons/SPLIT/NAME.txt    class x1 y1 x2 y2 ...
  truth/SPLIT/NAME.json      colours, problems, start and top, in pixels of the kept photo
  index.csv
"""


class _LeftOut(Exception):
    """A photo that is no use, and why."""


@dataclass
class Exported:
    """How many photos were written, and how many were not, by reason."""

    written: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Wall:
    """One corrected photo."""

    name: str
    photo: Path
    width: int
    """Pixels of the kept photo."""
    height: int
    original_width: int
    """Pixels of the original photo, in which holds are given."""
    original_height: int
    holds: Sequence[CorrectedHold]
    truncated: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command on the parser that the `holdcheck` command made for it."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("out", type=Path, metavar="OUT", help="where the set goes; never overwritten")
    parser.add_argument("--data-dir", type=Path, required=True, metavar="DATA_DIR", help="the server's")
    parser.add_argument("--split", choices=SPLITS, default="train", help="the subfolder to write (train)")
    parser.add_argument(
        "--with-truncated",
        action="store_true",
        help="also photos of which MAX_HOLDS cut the smaller holds off: those stand unlabelled",
    )


def run(parsed: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Run the command; returns the exit code.

    Raises:
        HoldcheckError: DATA_DIR is none, or OUT holds something.
    """
    exported = export(parsed.data_dir, parsed.out, parsed.split, with_truncated=parsed.with_truncated)
    for reason, count in exported.left_out.items():
        say(f"left out {count}: {reason}")
    if exported.written:
        say(f"wrote {exported.written} corrected photos to {parsed.out}")
    else:
        say(f"wrote nothing: --help says what comes to {parsed.data_dir / KEPT_FOLDER}, and when")
    return 0


def export(data_dir: Path, out: Path, split: str, *, with_truncated: bool = False) -> Exported:
    """Write every shared correction that `data_dir` keeps; all of them or nothing.

    Raises:
        HoldcheckError: `data_dir` is no folder, or `out` holds something.
        OSError: the disk does not take them.
    """
    if not data_dir.is_dir():
        raise HoldcheckError(f"--data-dir {data_dir}: there is no such folder")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise HoldcheckError(f"{out} is there already: name a new folder, nothing is overwritten")
    out.parent.mkdir(parents=True, exist_ok=True)
    exported = Exported()
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        _write_all(_walls(data_dir / KEPT_FOLDER, exported, with_truncated), draft, split, exported)
        if exported.written:
            draft.replace(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return exported


def _walls(kept: Path, exported: Exported, with_truncated: bool) -> Iterator[_Wall]:
    for folder in sorted(kept.glob("*")):
        try:
            yield _read(folder, with_truncated)
        except _LeftOut as reason:
            exported.left_out[str(reason)] += 1


def _read(folder: Path, with_truncated: bool) -> _Wall:
    try:
        result = Result.model_validate_json((folder / RESULT_NAME).read_bytes())
        corrections = Corrections.model_validate_json((folder / CORRECTIONS_NAME).read_bytes())
        with Image.open(folder / PHOTO_NAME, formats=["JPEG"]) as photo:
            width, height = photo.size
    except (OSError, ValidationError):
        raise _LeftOut("cannot be read") from None
    if not corrections.share:
        raise _LeftOut("not shared")
    if result.is_dummy:
        raise _LeftOut("a model without real weights found the holds")
    if result.statistics.truncated and not with_truncated:
        raise _LeftOut("MAX_HOLDS cut the smaller holds off (--with-truncated)")
    return _Wall(
        name=folder.name,
        photo=folder / PHOTO_NAME,
        width=width,
        height=height,
        original_width=result.image_width,
        original_height=result.image_height,
        holds=apply(result, corrections),
        truncated=result.statistics.truncated,
    )


def _write_all(walls: Iterator[_Wall], root: Path, split: str, exported: Exported) -> None:
    with (root / "index.csv").open("w", encoding="utf-8", newline="") as index:
        rows = csv.writer(index)
        rows.writerow(_COLUMNS)
        for wall in walls:
            _write(wall, root, split)
            rows.writerow(_index_row(wall, split))
            exported.written += 1


def _write(wall: _Wall, root: Path, split: str) -> None:
    shutil.copyfile(wall.photo, _path(root, "images", split, f"{wall.name}.jpg"))
    for folder, row in (("boxes", _box_row), ("polygons", _polygon_row)):
        text = "".join(f"{row(hold, wall)}\n" for hold in wall.holds)
        _path(root, folder, split, f"{wall.name}.txt").write_text(text, encoding="utf-8")
    text = json.dumps(_truth(wall)) + "\n"
    _path(root, "truth", split, f"{wall.name}.json").write_text(text, encoding="utf-8")


def _path(root: Path, folder: str, split: str, name: str) -> Path:
    path = root / folder / split / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _box_row(hold: CorrectedHold, wall: _Wall) -> str:
    x1, y1, x2, y2 = hold.bbox
    (left, top), (right, bottom) = _fraction(x1, y1, wall), _fraction(x2, y2, wall)
    centre_and_size = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    return _row(hold, centre_and_size)


def _polygon_row(hold: CorrectedHold, wall: _Wall) -> str:
    return _row(hold, [value for x, y in hold.contour for value in _fraction(x, y, wall)])


def _row(hold: CorrectedHold, values: Sequence[float]) -> str:
    return " ".join([str(_CLASSES.index(hold.kind)), *(f"{value:.6f}" for value in values)])


def _fraction(x: float, y: float, wall: _Wall) -> tuple[float, float]:
    """Of the photo's sides, whatever its size. A result is rounded and may lie a hair outside."""
    return min(max(x / wall.original_width, 0.0), 1.0), min(max(y / wall.original_height, 0.0), 1.0)


def _truth(wall: _Wall) -> dict[str, object]:
    """In the form of the rendered walls' truth, so that the same code reads both."""
    problems = sorted({hold.problem for hold in wall.holds if hold.problem is not None})
    return {
        "image_width": wall.width,
        "image_height": wall.height,
        "holds": [_hold_truth(hold, wall) for hold in wall.holds],
        "problems": [_problem_truth(id_, [h for h in wall.holds if h.problem == id_]) for id_ in problems],
    }


def _hold_truth(hold: CorrectedHold, wall: _Wall) -> dict[str, object]:
    points = [_fraction(x, y, wall) for x, y in hold.contour]
    return {
        "id": hold.id,
        "kind": hold.kind,
        "colour": hold.color,
        "problem_id": hold.problem,
        "tag": hold.tag,
        "polygon": [[round(x * wall.width, 2), round(y * wall.height, 2)] for x, y in points],
    }


def _problem_truth(id_: int, members: Sequence[CorrectedHold]) -> dict[str, object]:
    return {
        "id": id_,
        "colour": Counter(hold.color for hold in members).most_common(1)[0][0],
        "hold_ids": [hold.id for hold in members],
        "start_ids": [hold.id for hold in members if hold.tag == "start"],
        "top_ids": [hold.id for hold in members if hold.tag == "top"],
    }


def _index_row(wall: _Wall, split: str) -> tuple[object, ...]:
    kinds = Counter(hold.kind for hold in wall.holds)
    remarks = "smaller holds stand unlabelled" if wall.truncated else ""
    size = (wall.width, wall.height)
    return (wall.name, split, _SOURCE, "", *size, kinds["hold"], kinds["volume"], "yes", remarks)
