"""The names of the figures that `evaluate` measures, and floors under them.

Light to import: `--help` and a misspelt floor should not wait for onnxruntime.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from holdcheck.errors import HoldcheckError
from holdcheck.result import Colour, Kind

SIZES = ("small", "medium", "large")
"""COCO's: box areas under 32², under 96², and from there, px² of the original photo."""
SIDES = ("under_12", "12_to_16", "16_to_32", "32_up")
"""Short sides in pixels of the photo scaled to a long side of 1024."""
_DETECTION = ("precision", "recall", "f1")
_APS = ("box_ap", "box_ap50", "box_ap_12", "box_ap50_12", "mask_ap", "mask_ap50")
"""`_12`: of boxes whose short side is 12 px or more at a long side of 1024."""
ANY = "any"
"""Holds and volumes counted as one kind: what this gains over theirs was lost by mistaking the kind."""
KINDS: tuple[str, ...] = (*get_args(Kind), ANY)
_PLAIN = "hold.f1"
"""What a floor without a name is for."""

MEANINGS: Mapping[str, str] = {
    "precision, recall, f1": "boxes at IoU 0.5 and the default confidence (YOLO_CONF)",
    "recall_small, _medium, _large": "by box area in the original photo: 32² and 96² px, COCO's",
    "recall_under_12, _12_to_16, _16_to_32, _32_up": "by short side, px at a long side of 1024",
    "box_ap, box_ap50": "COCO average precision of boxes, all and at IoU 0.5",
    "box_ap_12, box_ap50_12": "the same of boxes with a short side of 12 px or more at 1024",
    "mask_ap, mask_ap50": "the same of masks, on photos with polygons",
}

NAMES: tuple[str, ...] = (
    *(f"{kind}.{name}" for kind in KINDS for name in _DETECTION),
    *(f"{kind}.recall_{size}" for kind in KINDS for size in SIZES + SIDES),
    *(f"{kind}.{name}" for kind in (*KINDS, "mean") for name in _APS),
    *(f"colour.{name}" for name in ("top1", "top3", "mean_recall", "clip_top1", "lab_top1")),
    *(f"colour.recall.{name}" for name in get_args(Colour) if name != "unknown"),
    *(f"wall.{name}" for name in ("pairs", "pair_recall", "pair_precision", "adjusted_rand", "colour")),
)
"""Figures that a floor can be put under: shares in 0..1, the higher the better."""
LOWER_IS_BETTER = ("colour.calibration_error", "colour.unknown", "colour.log_loss")


@dataclass(frozen=True, slots=True)
class Floor:
    """The least that a figure may be."""

    name: str
    value: float


def parse_floor(text: str) -> Floor:
    """Read `NAME=VALUE`, or a bare `VALUE`, which is for hold.f1.

    Raises:
        HoldcheckError: an unknown name, with those that exist, or a value outside 0..1.
    """
    name, equals, value = text.rpartition("=")
    name = name.strip() if equals else _PLAIN
    if name in LOWER_IS_BETTER:
        raise HoldcheckError(f"--floor {text}: {name} is better the lower it is, and has no floor")
    if name not in NAMES:
        raise HoldcheckError(f"--floor {text}: there is no figure {name!r}; there are {', '.join(NAMES)}")
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not 0 <= number <= 1:
        raise HoldcheckError(f"--floor {text}: {value!r} is no number from 0 to 1")
    return Floor(name, number)


def missed(floors: Sequence[Floor], measured: Mapping[str, float]) -> list[str]:
    """One line for each floor that a figure is under, or that this data set cannot measure."""
    lines = []
    for floor in floors:
        value = measured.get(floor.name)
        if value is None:
            lines.append(f"{floor.name} was not measured: the data set has nothing for it")
        elif value < floor.value:
            lines.append(f"{floor.name} is {value:.4f}, the floor is {floor.value:g}")
    return lines
