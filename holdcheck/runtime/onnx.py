"""The small runtime: onnxruntime on memory-mapped ORT-format files (docs/models.md has the measurements)."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from holdcheck.classifier import ModelInfo
from holdcheck.detector import Detections, decode, letterbox
from holdcheck.errors import ModelCorrupt
from holdcheck.manifest import Manifest, checked_file
from holdcheck.runtime import mapping
from holdcheck.runtime.prompt_head import read_prompt_head
from holdcheck.settings import Settings

_ERRORS_ONLY = 3


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """What keeps a session's own memory small: weights stay in the file, no pool outlives a call."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.use_memory_mapped_ort_model", "1")
    options.add_session_config_entry("session.use_ort_model_bytes_for_initializers", "1")
    # Prepacking copies each weight into anonymous memory.
    options.add_session_config_entry("session.disable_prepacking", "1")
    # A thread that spins between calls takes the one core that everything else needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


class _MappedModel:
    """An ORT-format file and the session that runs it in place."""

    def __init__(self, folder: Path, manifest: Manifest, settings: Settings) -> None:
        path = checked_file(folder, manifest.model)
        options = session_options(settings.omp_num_threads)
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no base but Exception
            raise ModelCorrupt(f"{path} cannot be loaded; prepare it again: {error}") from None
        self._mappings = mapping.mappings_of(path)

    def run(self, name: str, value: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        outputs: list[NDArray[np.float32]] = self._session.run(None, {name: value})
        return outputs

    def release_pages(self) -> None:
        mapping.release(self._mappings)


class OnnxDetector:
    """A segmentation network; see `holdcheck.detector.Detector`.

    Raises:
        ModelCorrupt: the file cannot be loaded, or is not the one its manifest describes (ModelTampered).
    """

    def __init__(self, folder: Path, manifest: Manifest, settings: Settings) -> None:
        self.info = ModelInfo.of(manifest)
        self._classes = manifest.classes
        self._img_size = settings.yolo_img_size
        self._conf = settings.yolo_conf
        self._model = _MappedModel(folder, manifest, settings)

    def detect(self, pixels: NDArray[np.uint8]) -> Detections:
        letterboxed = letterbox(pixels, self._img_size)
        predictions, prototypes = self._model.run("image", letterboxed.image)
        return decode(predictions, prototypes, letterboxed, pixels.shape, self._classes, self._conf)

    def release_pages(self) -> None:
        """Drop the weights' pages from the resident set; the page cache keeps them for the next call."""
        self._model.release_pages()


class OnnxClassifier:
    """A CLIP image tower; see `holdcheck.classifier.Classifier`.

    Raises:
        ModelCorrupt: a file cannot be loaded, or is not the one its manifest describes (ModelTampered).
    """

    def __init__(self, folder: Path, manifest: Manifest, settings: Settings) -> None:
        self.info = ModelInfo.of(manifest)
        self.input_size = manifest.input_size
        self.head = read_prompt_head(folder, manifest)
        self._model = _MappedModel(folder, manifest, settings)

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """RGB crops (N, S, S, 3) -> unit rows (N, D)."""
        return self._model.run("crops", crops)[0]

    def release_pages(self) -> None:
        """Drop the weights' pages from the resident set; the page cache keeps them for the next call."""
        self._model.release_pages()
