"""The two runtimes: equal answers from the same weights, and pages that are given back."""

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from holdcheck.errors import ModelCorrupt
from holdcheck.manifest import Manifest
from holdcheck.runtime import mapping
from holdcheck.runtime.onnx import OnnxDetector
from holdcheck.settings import BUNDLED_MODELS, Settings

BUNDLED = BUNDLED_MODELS / "holds-yolo11n-seg"
SETTINGS = Settings(yolo_img_size=640, yolo_conf=0.25, omp_num_threads=1)


def wall(height: int = 700, width: int = 500) -> NDArray[np.uint8]:
    """A grey wall with shaded, coloured blobs."""
    random = np.random.default_rng(5)
    picture = np.full((height, width, 3), 170, dtype=np.uint8)
    for _ in range(25):
        centre = (int(random.integers(40, width - 40)), int(random.integers(40, height - 40)))
        axes = (int(random.integers(12, 34)), int(random.integers(12, 34)))
        colour = [int(value) for value in random.integers(10, 245, 3)]
        cv2.ellipse(picture, centre, axes, float(random.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
        cv2.circle(picture, centre, 4, (30, 30, 30), -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0), dtype=np.uint8)


@pytest.fixture(scope="module")
def detector() -> OnnxDetector:
    return OnnxDetector(BUNDLED, Manifest.read(BUNDLED), SETTINGS)


@pytest.mark.parametrize("shape", [(700, 500), (480, 640), (333, 1001)])
def test_both_runtimes_see_the_same_holds(detector: OnnxDetector, shape: tuple[int, int]) -> None:
    from holdcheck.runtime.torch import TorchDetector

    reference = TorchDetector(BUNDLED, Manifest.read(BUNDLED), SETTINGS.model_copy(update={"device": "cpu"}))
    picture = wall(*shape)
    expected, actual = reference.detect(picture), detector.detect(picture)
    assert len(expected) > 0
    assert len(actual) == len(expected)
    # Tolerances: a twentieth of a photo's pixel, a thousandth of a score.
    np.testing.assert_allclose(actual.boxes, expected.boxes, atol=0.05)
    np.testing.assert_allclose(actual.scores, expected.scores, atol=1e-3)
    np.testing.assert_array_equal(actual.classes, expected.classes)
    np.testing.assert_allclose(actual.coefficients, expected.coefficients, atol=5e-3)
    np.testing.assert_allclose(actual.prototypes, expected.prototypes, atol=5e-3)


def test_released_pages_leave_the_resident_set_and_change_no_answer(detector: OnnxDetector) -> None:
    picture = wall()
    before = detector.detect(picture)
    resident = _resident_kib(BUNDLED / "model.ort")
    detector.release_pages()
    assert resident > 8 << 10
    assert _resident_kib(BUNDLED / "model.ort") == 0
    after = detector.detect(picture)
    np.testing.assert_array_equal(before.boxes, after.boxes)
    np.testing.assert_array_equal(before.prototypes, after.prototypes)


def test_a_mapping_that_was_written_to_is_left_alone(tmp_path: Path) -> None:
    import mmap

    path = tmp_path / "model.ort"
    path.write_bytes(b"old" * 100_000)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        mapped[:3] = b"new"
        mapping.release(mapping.mappings_of(path))
        assert mapped[:6] == b"newold"


def test_a_damaged_file_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(BUNDLED, folder)
    content = bytearray((folder / "model.ort").read_bytes())
    content[5_000_000] ^= 1
    (folder / "model.ort").write_bytes(content)
    with pytest.raises(ModelCorrupt, match="sha256"):
        OnnxDetector(folder, Manifest.read(folder), SETTINGS)


def test_serving_with_onnx_imports_neither_torch_nor_what_prepare_needs() -> None:
    code = (
        "import sys, holdcheck.runtime.onnx;"
        "heavy = {'torch', 'torchvision', 'open_clip', 'ultralytics', 'onnx', 'safetensors'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_torchvision_imports_and_suppresses_beside_cpu_torch() -> None:
    import torch

    from holdcheck import torchvision_shim

    torchvision_shim.install()
    import torchvision

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
    assert torchvision.ops.nms(boxes, torch.tensor([0.5, 0.9, 0.7]), 0.5).tolist() == [1, 2]


def _resident_kib(path: Path) -> int:
    """Rss of a file's mappings in this process."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            inside = line.endswith(str(path.resolve()))
        elif inside and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total
