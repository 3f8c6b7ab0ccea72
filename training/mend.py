"""Put five photos' labels back onto their pictures: `python -m training.mend DATA --out FOLDER`.

Five val photos of the published data set ("IMG_8992" to "IMG_8996") were labelled the way their camera was
held and stored another way, so that no label lies on a hold: whatever finds holds there is counted as wrong.
The boxes of the first are turned by half a turn. Those of the others were measured in pixels of the upright
picture and divided by the sides of the lying one; what came to lie beyond its lower edge is lost: only three
quarters of those photos are labelled, and the photos are cut to that part.

FOLDER becomes a data set of the same layout: links to DATA, and new files for the five.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Fault = Literal["half turn", "upright pixels"]

FAULTS: dict[str, Fault] = {
    "wall_0514": "half turn",
    "wall_0515": "upright pixels",
    "wall_0516": "upright pixels",
    "wall_0517": "upright pixels",
    "wall_0518": "upright pixels",
}
_PARTS = ("images", "boxes", "polygons", "outlines")
_SPLIT = "val"


@dataclass(frozen=True, slots=True)
class Mended:
    """One photo with labels that lie on it."""

    pixels: NDArray[np.uint8]
    """(H, W, 3), BGR as OpenCV reads it."""
    rows: Floats
    """(N, 5): class, then centre and size in fractions of these pixels."""


def mend(pixels: NDArray[np.uint8], rows: Floats, fault: Fault) -> Mended:
    """Undo one fault.

    Args:
        pixels: the stored photo, (H, W, 3).
        rows: (N, 5) as stored: class, then centre x and y, width and height in fractions.
    """
    height, width = pixels.shape[:2]
    kind, x, y, w, h = rows.T
    if fault == "half turn":
        return Mended(pixels, np.column_stack([kind, 1 - x, 1 - y, w, h]))
    # x was divided by the lying width and y by the lying height: x * width and y * height are upright pixels.
    labelled = height  # columns of the lying picture that the rows above the lost part reach
    across, down = y * height / labelled, 1 - x * width / height
    moved = np.column_stack([kind, across, down, h * height / labelled, w * width / height])
    return Mended(pixels[:, :labelled], moved)


def write(data: Path, out: Path) -> None:
    """Write the mended data set.

    Raises:
        FileNotFoundError: DATA lacks one of the five photos.
    """
    for part in _PARTS:
        for split in sorted(path for path in (data / part).glob("*") if path.is_dir()):
            _link(split, out / part / split.name)
    for path in data.iterdir():
        if path.name not in _PARTS:
            _relink(path, out / path.name)
    for name, fault in FAULTS.items():
        _write_photo(data, out, name, fault)


def _link(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.stem not in FAULTS:
            _relink(path, target / path.name)


def _relink(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    target.symlink_to(source.resolve())


def _write_photo(data: Path, out: Path, name: str, fault: Fault) -> None:
    image, boxes = f"images/{_SPLIT}/{name}.jpg", f"boxes/{_SPLIT}/{name}.txt"
    pixels = cv2.imread(os.fspath(data / image))
    if pixels is None:
        raise FileNotFoundError(data / image)
    rows = np.loadtxt(data / boxes, ndmin=2)
    mended = mend(np.asarray(pixels, np.uint8), rows, fault)
    cv2.imwrite(os.fspath(out / image), mended.pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])
    np.savetxt(out / boxes, mended.rows, fmt=["%d"] + ["%.6f"] * 4)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    write(arguments.data, arguments.out)
    print(f"{arguments.out}: {len(FAULTS)} photos mended")


if __name__ == "__main__":
    main()
