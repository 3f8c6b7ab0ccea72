"""Labels put back onto their pictures: a bright block must lie in its mended box."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from training import mend

WIDTH, HEIGHT = 120, 90
BLOCK = (30, 10, 54, 22)
"""x1, y1, x2, y2 on the stored, lying picture."""


def picture() -> NDArray[np.uint8]:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    x1, y1, x2, y2 = BLOCK
    pixels[y1:y2, x1:x2] = 255
    return pixels


def fractions(box: tuple[float, float, float, float]) -> list[float]:
    x1, y1, x2, y2 = box
    return [0, (x1 + x2) / 2 / WIDTH, (y1 + y2) / 2 / HEIGHT, (x2 - x1) / WIDTH, (y2 - y1) / HEIGHT]


def wrong(fault: mend.Fault) -> NDArray[np.float64]:
    x1, y1, x2, y2 = BLOCK
    turned = (WIDTH - x2, HEIGHT - y2, WIDTH - x1, HEIGHT - y1)
    # A quarter turn clockwise brings the lying picture upright: HEIGHT wide, WIDTH high.
    upright = (HEIGHT - y2, x1, HEIGHT - y1, x2)
    return np.array([fractions(turned if fault == "half turn" else upright)])


@pytest.mark.parametrize("fault", ["half turn", "upright pixels"])
def test_the_box_lies_on_the_block_again(fault: mend.Fault) -> None:
    mended = mend.mend(picture(), wrong(fault), fault)
    height, width = mended.pixels.shape[:2]
    _, x, y, w, h = mended.rows[0]
    box = np.array([(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height])
    np.testing.assert_allclose(box, BLOCK, atol=1e-6)


def test_only_the_faulty_photos_are_rewritten(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    for part in ("images/val", "boxes/val", "polygons/val"):
        (data / part).mkdir(parents=True)
    for name in (*mend.FAULTS, "wall_0001"):
        cv2.imwrite(str(data / f"images/val/{name}.jpg"), picture())
        np.savetxt(data / f"boxes/val/{name}.txt", wrong(mend.FAULTS.get(name, "half turn")))
    mend.write(data, out)
    mend.write(data, out)  # a second time is no error
    assert (out / "boxes/val/wall_0001.txt").read_text() == (data / "boxes/val/wall_0001.txt").read_text()
    cut = cv2.imread(str(out / "images/val/wall_0515.jpg"))
    assert cut is not None
    assert cut.shape == (HEIGHT, HEIGHT, 3)
    assert not (out / "boxes/val/wall_0515.txt").is_symlink()
    assert (data / "boxes/val/wall_0515.txt").read_text() != (out / "boxes/val/wall_0515.txt").read_text()


def test_a_folder_without_the_photos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(FileNotFoundError, match="wall_0514"):
        mend.write(tmp_path / "data", tmp_path / "out")
