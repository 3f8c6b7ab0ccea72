"""The command line of `python -m holdcheck evaluate`."""

import argparse
import json
import sys
import time
from pathlib import Path

from holdcheck.errors import HoldcheckError
from holdcheck.evaluate.figures import LOWER_IS_BETTER, MEANINGS, Floor, missed, parse_floor
from holdcheck.settings import Settings

_EVERY_S = 5.0
"""Seconds between two lines of progress."""
_EPILOG = f"""\
DATASET is a folder of this layout; rows are fractions of the photo's width and height:

  images/SPLIT/NAME.jpg
  boxes/SPLIT/NAME.txt       class cx cy w h            (0 hold, 1 volume)
  polygons/SPLIT/NAME.txt    class x1 y1 x2 y2 ...      if any: masks are measured on these photos
  truth/SPLIT/NAME.json      of rendered walls (python -m training.walls): pairs of holds, and colours
  color_crops.csv            if any: colours named by a person, with their pictures in color_crops/

The models are the ones that would serve: the same settings choose them (RUNTIME, YOLO_WEIGHTS,
CLIP_MODEL, YOLO_IMG_SIZE, YOLO_CONF ...).

Figures, for --floor and in --json. The first six begin with hold. , volume. or any. (both as one
kind), the APs also with mean. :
  {f"{chr(10)}  ".join(f"{name:46} {meaning}" for name, meaning in MEANINGS.items())}
  colour.top1, .top3, .mean_recall, .recall.NAME   named crops
  colour.clip_top1, colour.lab_top1   the same of one expert alone
  {", ".join(LOWER_IS_BETTER)}   the lower the better, no floors
  wall.pairs, .pair_recall, .pair_precision, .adjusted_rand, .colour   rendered walls

examples:
  python -m holdcheck evaluate DATASET --json figures.json --worst worst.png
  python -m holdcheck evaluate DATASET --clip ViT-B/16 --floor colour.top1=0.9
  python -m holdcheck evaluate DATASET --floor hold.f1=0.6 --floor hold.mask_ap50=0.7
  RUNTIME=torch python -m holdcheck evaluate DATASET
  python -m holdcheck evaluate DATASET --parity
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command on the parser that the `holdcheck` command made for it."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("dataset", type=Path, help="a folder with images/ and boxes/; see below")
    parser.add_argument("--split", default="val", help="the subfolder to use (val)")
    parser.add_argument(
        "--clip", metavar="NAME", help="the CLIP to judge, named as for CLIP_MODEL; it must be prepared"
    )
    parser.add_argument(
        "--floor",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="exit 1 where this figure is lower; may be repeated; a bare VALUE is for hold.f1",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write every figure, and each photo's score"
    )
    parser.add_argument(
        "--worst", type=Path, metavar="PICTURE", help="draw the ten photos with the lowest F1 as one sheet"
    )
    parser.add_argument(
        "--parity", action="store_true",
        help="run both runtimes and exit 1 where onnx loses more than 0.01 AP50 or 0.005 of colours",
    )  # fmt: skip


def run(parsed: argparse.Namespace, settings: Settings) -> int:
    """Measure and print; 1 where a floor or a limit of parity is missed.

    Raises:
        HoldcheckError: the data set, a floor or a model cannot be used.
    """
    from holdcheck.evaluate import parity
    from holdcheck.evaluate import run as measuring
    from holdcheck.evaluate.tables import tables

    floors: list[Floor] = [parse_floor(text) for text in parsed.floor]
    _check_targets(parsed)  # before minutes of work, not after them
    how = {"clip": parsed.clip, "progress": ProgressLine()}
    faults: list[str] = []
    if parsed.parity:
        both = parity.compare(parsed.dataset, parsed.split, settings, **how)
        report = both.onnx
        faults += both.missed()
        print(both.table(), end="\n\n")
    else:
        report = measuring.evaluate(parsed.dataset, parsed.split, settings, **how)
    print(tables(report))
    if parsed.json:
        text = json.dumps(measuring.as_json(report), indent=2)
        parsed.json.write_text(text + "\n", encoding="utf-8")
    if parsed.worst:
        from holdcheck.evaluate import worst

        worst.save(report, settings, parsed.worst)
    faults += missed(floors, report.figures)
    for fault in faults:
        print(f"holdcheck: {fault}", file=sys.stderr)
    return int(bool(faults))


def _check_targets(parsed: argparse.Namespace) -> None:
    from holdcheck import draw

    if parsed.worst:
        draw.check_target(parsed.worst, "--worst")
    if parsed.json and not parsed.json.absolute().parent.is_dir():
        raise HoldcheckError(f"--json {parsed.json}: there is no folder {parsed.json.parent}")


class ProgressLine:
    """Says on stderr how far a long run is, every few seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= _EVERY_S:
            print(f"{done} of {total} {what} ...", file=sys.stderr, flush=True)
            self._last = now
