"""The reference runtime: the same weights in ultralytics and open_clip, on a CPU or a GPU."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from holdcheck import device
from holdcheck.classifier import ModelInfo
from holdcheck.detector import Detections, decode, letterbox
from holdcheck.errors import ModelCorrupt, ModelNotPrepared, PrepareError
from holdcheck.manifest import Manifest, checked_file, require_sha256
from holdcheck.runtime import segmentation, towers
from holdcheck.runtime.prompt_head import read_prompt_head
from holdcheck.settings import Settings


def _device(settings: Settings) -> torch.device:
    """Where to compute. Sets torch's threads, too.

    Raises:
        SettingsError: DEVICE=cuda where there is none.
    """
    torch.set_num_threads(settings.omp_num_threads)
    return torch.device(device.choose(settings).kind)


class TorchDetector:
    """A segmentation network in ultralytics; see `holdcheck.detector.Detector`.

    Raises:
        ModelNotPrepared: the artefact has no torch weights.
        ModelCorrupt: a file is missing, or not the one its manifest describes (ModelTampered).
    """

    def __init__(self, folder: Path, manifest: Manifest, settings: Settings) -> None:
        if manifest.weights is None:
            raise ModelNotPrepared(f"{folder} has no weights for RUNTIME=torch; prepare it again")
        self.info = replace(ModelInfo.of(manifest), precision="fp32", sha256=manifest.weights.sha256)
        self._classes = manifest.classes
        self._img_size = settings.yolo_img_size
        self._conf = settings.yolo_conf
        self._device = _device(settings)
        state = load_file(checked_file(folder, manifest.weights))
        self._segmenter = segmentation.Segmenter(manifest.architecture, state).to(self._device)

    @torch.inference_mode()
    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        letterboxed = letterbox(pixels, self._img_size)
        predictions, prototypes = (
            output.cpu().numpy()
            for output in self._segmenter(torch.from_numpy(letterboxed.image).to(self._device))
        )
        return decode(predictions, prototypes, letterboxed, pixels.shape, self._classes, self._conf)

    def release_pages(self) -> None:
        """Nothing is mapped."""


class TorchClassifier:
    """A CLIP image tower in open_clip; see `holdcheck.classifier.Classifier`.

    Raises:
        ModelNotPrepared: the checkpoint that prepare read is gone.
        ModelCorrupt: it does not hold the model that its manifest describes, or was changed (ModelTampered).
    """

    def __init__(self, folder: Path, manifest: Manifest, settings: Settings) -> None:
        self.info = replace(ModelInfo.of(manifest), precision="fp32", sha256=manifest.source_sha256)
        self.input_size = manifest.input_size
        self.head = read_prompt_head(folder, manifest)
        self._device = _device(settings)
        visual = _visual(folder, manifest).float()
        self._tower = towers.ImageTower(visual, manifest.mean, manifest.std).eval().to(self._device)

    @torch.inference_mode()
    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """RGB crops (N, S, S, 3) -> unit rows (N, D)."""
        return np.asarray(self._tower(torch.from_numpy(crops).to(self._device)).cpu().numpy())

    def release_pages(self) -> None:
        """Nothing is mapped."""


def _visual(folder: Path, manifest: Manifest) -> torch.nn.Module:
    if manifest.seed is not None:
        model = towers.random_model(manifest.architecture, manifest.seed)
    else:
        checkpoint = folder / manifest.checkpoint
        if not checkpoint.is_file():
            raise ModelNotPrepared(f"RUNTIME=torch needs {checkpoint}, which is gone; prepare it again")
        require_sha256(checkpoint, manifest.source_sha256)
        try:
            with tempfile.TemporaryDirectory() as scratch:
                model = towers.load(manifest.architecture, checkpoint, Path(scratch))
        except PrepareError as error:
            raise ModelCorrupt(str(error)) from None
    visual: torch.nn.Module = model.visual
    return visual
