"""prepare for detectors: any ultralytics segmentation weights, exported with dynamic height and width."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from holdcheck.errors import PrepareError
from holdcheck.manifest import Manifest
from holdcheck.prepare import prepare_yolo
from holdcheck.runtime import segmentation
from holdcheck.runtime.onnx import OnnxDetector
from holdcheck.settings import Settings

SETTINGS = Settings(yolo_img_size=320, yolo_conf=0.25, omp_num_threads=1)


def silent(_: str) -> None: ...


def save(path: Path, architecture: str, names: dict[int, str], kind: str = "SegmentationModel") -> Path:
    """A checkpoint as ultralytics writes one: a pickled half-precision model in a dict."""
    segmentation.import_ultralytics()
    from ultralytics.nn import tasks

    torch.manual_seed(3)
    model = getattr(tasks, kind)(f"{architecture}.yaml", nc=len(names), verbose=False)
    model.names = names
    torch.save({"model": model.half(), "ema": None, "train_args": {}, "epoch": -1}, path)
    return path


@pytest.mark.parametrize("architecture", ["yolov8n-seg", "yolo11n-seg", "yolo26n-seg"])
def test_each_generation_answers_as_torch_does_at_any_size(architecture: str, tmp_path: Path) -> None:
    manifest = prepare_yolo(architecture, tmp_path, silent, random_weights=True)
    folder = tmp_path / "yolo" / architecture
    assert manifest.is_dummy
    assert manifest.weights is not None
    reference = segmentation.Segmenter(manifest.architecture, load_file(folder / "weights.safetensors"))
    detector = OnnxDetector(folder, manifest, SETTINGS)
    for height, width in ((320, 320), (64, 320), (320, 224)):  # square, panorama, portrait
        image = np.random.default_rng(0).integers(0, 255, (1, height, width, 3), dtype=np.uint8)
        with torch.inference_mode():
            expected = [output.numpy() for output in reference(torch.from_numpy(image))]
        actual = detector._model.run("image", image)
        assert actual[0].shape == (1, 4 + 2 + 32, height * width * 21 // 1024)
        assert actual[1].shape == (1, 32, height // 4, width // 4)
        for one, other in zip(actual, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-3, rtol=1e-4)


def test_a_users_own_weights_keep_their_class_names(tmp_path: Path) -> None:
    names = {0: "jug", 1: "volume", 2: "crimp"}
    manifest = prepare_yolo(save(tmp_path / "My Weights.pt", "yolo11n-seg", names), tmp_path, silent)
    assert manifest == Manifest.read(tmp_path / "yolo" / "my-weights")
    assert manifest.classes == ("jug", "volume", "crimp")
    assert manifest.source == "My Weights.pt"
    assert not manifest.is_dummy
    OnnxDetector(tmp_path / "yolo" / "my-weights", manifest, SETTINGS).detect(
        np.zeros((240, 320, 3), dtype=np.uint8)
    )


class _Payload:
    """What a hostile checkpoint would do when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.witness,)


def test_code_inside_a_checkpoint_does_not_run(tmp_path: Path) -> None:
    hostile, witness = tmp_path / "hostile.pt", tmp_path / "it-ran"
    torch.save({"model": _Payload(witness)}, hostile)
    with pytest.raises(PrepareError, match="can be read"):
        prepare_yolo(hostile, tmp_path, silent)
    assert not witness.exists()
    with hostile.open("rb") as file:  # the payload works where nobody is careful
        torch.load(file, weights_only=False)
    assert witness.exists()


def test_weights_that_do_not_segment_are_refused_in_one_line(tmp_path: Path) -> None:
    detection = save(tmp_path / "boxes.pt", "yolo11n", {0: "hold"}, "DetectionModel")
    noise = tmp_path / "noise.pt"
    noise.write_bytes(b"\x00\x01" * 1000)
    alien = tmp_path / "alien.pt"
    alien.write_bytes(pickle.dumps({"weights": [1, 2, 3]}))
    cases = {
        detection: "-seg",
        noise: "can be read",
        alien: "can be read",
        tmp_path / "none.pt": "does not exist",
    }
    for path, hint in cases.items():
        with pytest.raises(PrepareError) as caught:
            prepare_yolo(path, tmp_path, silent)
        assert hint in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(PrepareError, match="try yolo11n-seg"):
        prepare_yolo("yolo11n", tmp_path, silent, random_weights=True)
    assert not (tmp_path / "yolo").exists()
