"""The models, loaded once at start, warmed, and handed out for the life of the process."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from holdcheck import colour, device, memory
from holdcheck.classifier import Classifier, FakeClassifier, ModelInfo
from holdcheck.detector import Detector, FakeDetector
from holdcheck.device import Device
from holdcheck.errors import ModelCorrupt, ModelError, ModelNotPrepared, ModelTampered
from holdcheck.manifest import MANIFEST_NAME, Manifest, clip_slug, is_there, slug, unreadable
from holdcheck.result import ComponentStatus
from holdcheck.runtime import mapping
from holdcheck.settings import BUNDLED_CLIP, BUNDLED_MODELS, DEFAULT_CLIP, Settings

log = logging.getLogger(__name__)

_Model = TypeVar("_Model")
_BUNDLED_CLIP_FOLDER = BUNDLED_MODELS / BUNDLED_CLIP
_BUNDLED_DETECTOR = BUNDLED_MODELS / "holds-yolo11n-seg"
_DEVICES = {"cpu": "the CPU", "cuda": "a GPU"}
_FAKE = "fake"
"""CLIP_MODEL or YOLO_WEIGHTS of this name selects the honest fake, with ALLOW_DUMMY=1."""


@dataclass(frozen=True, slots=True)
class Models:
    """What can answer, and what is missing."""

    detector: Detector | None
    classifier: Classifier | None
    error_reason: str | None = None
    """Why a part is missing, a lesser one stands in, or one has no real weights, and what to do about it."""
    degraded: bool = False
    clip_stepped_down: bool = False
    """Whether the CLIP that was asked for cannot be used, so that the bundled one or none answers."""
    infos: list[ModelInfo] = field(default_factory=list)
    device: Device | None = None
    """Where they compute; None where nobody chose."""

    @property
    def ready(self) -> bool:
        return self.detector is not None

    @property
    def components(self) -> dict[str, ModelInfo]:
        """What answers for each part that is there."""
        parts: dict[str, Detector | Classifier | None] = {
            "detector": self.detector,
            "classifier": self.classifier,
        }
        return {component: part.info for component, part in parts.items() if part is not None}

    @property
    def component_status(self) -> ComponentStatus:
        clip = self.classifier is not None and not self.clip_stepped_down
        return ComponentStatus(yolo=self.detector is not None, clip=clip)

    @property
    def is_dummy(self) -> bool:
        """Any model without real weights makes the whole answer meaningless."""
        return any(info.is_dummy for info in self.infos)

    def report(self) -> "ModelsReport":
        return ModelsReport(
            self.ready,
            self.components,
            self.infos,
            self.component_status,
            self.is_dummy,
            self.degraded,
            self.error_reason,
            self.device,
        )


@dataclass(frozen=True, slots=True)
class ModelsReport:
    """All that `Models` says of itself: plain values, which may come from another machine."""

    ready: bool
    components: dict[str, ModelInfo]
    infos: list[ModelInfo]
    component_status: ComponentStatus
    is_dummy: bool
    degraded: bool
    error_reason: str | None
    device: Device | None


@dataclass(frozen=True, slots=True)
class ChosenClassifier:
    """The CLIP that was asked for, else the bundled one, else none; with what to say of a step down."""

    classifier: Classifier | None
    problem: str | None


def load(settings: Settings, chosen: ChosenClassifier | None = None) -> Models:
    """Load and warm the detector and the classifier. Never downloads, never raises for a missing model.

    Args:
        chosen: takes the place of the classifier that would be loaded.

    Raises:
        ModelTampered: a file is not the one that its manifest describes. Whatever it is now, nobody chose it.
        ModelCorrupt: the bundled colour model cannot be read.
        SettingsError: DEVICE asks for what is not there.
    """
    chosen_device = device.choose(settings)
    log.info("computes on %s: %s", _DEVICES[chosen_device.kind], chosen_device.reason)
    # OpenCV would start a thread for each core, whatever the settings say.
    cv2.setNumThreads(settings.omp_num_threads)
    detector, detector_problem = _attempt("yolo", lambda: _load_detector(settings))
    if detector is None:
        log.warning("there is no detector: %s", detector_problem)
        detector = FakeDetector() if settings.allow_dummy else None
    # Starting costs more code than serving does: let go of it before CLIP's weights are touched.
    mapping.release(mapping.library_mappings())
    memory.trim()
    chosen = chosen or choose_classifier(settings)
    classifier, classifier_problem = chosen.classifier, chosen.problem
    colour.warm_up()
    loaded: list[Detector | Classifier] = [model for model in (detector, classifier) if model is not None]
    problems = [problem for problem in (detector_problem, classifier_problem) if problem]
    asked_for = (
        (f"YOLO_WEIGHTS={settings.yolo_weights}", detector),
        (f"CLIP_MODEL={settings.clip_model}", classifier),
    )
    dummies = [
        _dummy_reason(setting, model.info) for setting, model in asked_for if model and model.info.is_dummy
    ]
    return Models(
        detector,
        classifier,
        error_reason=" ".join(problems + dummies) or None,
        degraded=bool(problems),
        clip_stepped_down=classifier_problem is not None,
        infos=[model.info for model in loaded],
        device=chosen_device,
    )


def _dummy_reason(setting: str, info: ModelInfo) -> str:
    what = f"A fake answers for {setting}" if info.name == _FAKE else f"{setting} has random weights"
    return f"{what}: its answers mean nothing."


def _attempt(name: str, make: Callable[[], _Model]) -> tuple[_Model | None, str | None]:
    """Run one loader between two looks at the memory; a model that cannot be used becomes its reason."""
    try:
        with memory.log_delta(name):
            return make(), None
    except ModelTampered:
        raise
    except ModelError as error:
        return None, str(error)
    except OSError as error:  # of a library that opens a file by itself
        return None, str(unreadable(Path(error.filename or name), error))


def _load_detector(settings: Settings) -> Detector:
    if settings.yolo_weights == _FAKE and settings.allow_dummy:
        return FakeDetector()
    folder = _artefact(settings, "yolo", settings.yolo_weights)
    if not settings.yolo_weights:
        folder = _BUNDLED_DETECTOR
    elif not is_there(folder / MANIFEST_NAME):
        raise ModelNotPrepared(
            f"YOLO_WEIGHTS={settings.yolo_weights} is not prepared: run "
            f"`python -m holdcheck prepare --yolo {settings.yolo_weights}`, or unset it for the bundled one."
        )
    manifest = Manifest.read(folder)
    _require(manifest, "yolo", folder)
    detector: Detector
    if settings.runtime == "torch":
        from holdcheck.runtime.torch import TorchDetector

        detector = TorchDetector(folder, manifest, settings)
    else:
        from holdcheck.runtime.onnx import OnnxDetector

        detector = OnnxDetector(folder, manifest, settings)
    # A narrow strip: it runs every layer, and the start does not wait for a whole wall.
    detector.detect(np.full((8, 80, 3), 114, dtype=np.uint8))
    detector.release_pages()
    return detector


def choose_classifier(settings: Settings) -> ChosenClassifier:
    """Load and warm a classifier.

    The default is a wish: where nobody prepared it, the bundled CLIP is the answer that was meant.

    Raises:
        ModelTampered: a file is not the one that its manifest describes.
        SettingsError: DEVICE asks for what is not there.
    """
    wanted = settings.clip_model
    classifier, problem = _attempt("clip", lambda: _load_wanted_classifier(settings))
    if classifier is not None or problem is None:
        return ChosenClassifier(classifier, None)
    bundled_problem = None
    if _clip_folder(settings) != _BUNDLED_CLIP_FOLDER:
        bundled, bundled_problem = _attempt("clip", lambda: _load_classifier(_BUNDLED_CLIP_FOLDER, settings))
        if bundled is not None and wanted == DEFAULT_CLIP and not _is_prepared(settings):
            log.info("the bundled %s names colours; `make models` prepares %s", bundled.info.name, wanted)
            return ChosenClassifier(bundled, None)
        if bundled is not None:
            log.warning("[CLIP-FALLBACK] %s The bundled %s answers.", _sentence(problem), bundled.info.name)
            problem = f"{_sentence(problem)} The bundled {bundled.info.name} answers instead."
            return ChosenClassifier(bundled, problem)
    problem = " ".join(_sentence(reason) for reason in (problem, bundled_problem) if reason)
    log.warning("[CLIP-FALLBACK] %s Colours come from Lab statistics alone.", problem)
    return ChosenClassifier(None, problem)


def _sentence(reason: str) -> str:
    return reason if reason.endswith(".") else f"{reason}."


def _artefact(settings: Settings, kind: str, name: str) -> Path:
    """Where the artefact of that name is, or would be: MODELS_DIR, then what an image was built with.

    The latter lies below the bundled models, where no volume hides it or outlives it.
    """
    place = Path(kind, clip_slug(name) if kind == "clip" else slug(name))
    prepared, built_in = (folder / place for folder in (settings.models_dir, BUNDLED_MODELS))
    only_built_in = is_there(built_in / MANIFEST_NAME) and not is_there(prepared / MANIFEST_NAME)
    return built_in if only_built_in else prepared


def _clip_folder(settings: Settings) -> Path:
    """Where CLIP_MODEL's artefact is, or would be."""
    folder = _artefact(settings, "clip", settings.clip_model)
    is_bundled = settings.clip_model == BUNDLED_CLIP and not is_there(folder / MANIFEST_NAME)
    return _BUNDLED_CLIP_FOLDER if is_bundled else folder


def _is_prepared(settings: Settings) -> bool:
    return is_there(_clip_folder(settings) / MANIFEST_NAME)


def _load_wanted_classifier(settings: Settings) -> Classifier:
    if settings.clip_model == _FAKE and settings.allow_dummy:
        return FakeClassifier()
    if not _is_prepared(settings):
        raise ModelNotPrepared(
            f"CLIP_MODEL={settings.clip_model} is not prepared: run `make models`, or "
            f"`python -m holdcheck prepare --clip {settings.clip_model}`."
        )
    return _load_classifier(_clip_folder(settings), settings)


def _load_classifier(folder: Path, settings: Settings) -> Classifier:
    manifest = Manifest.read(folder)
    _require(manifest, "clip", folder)
    classifier: Classifier
    if settings.runtime == "torch":
        from holdcheck.runtime.torch import TorchClassifier

        classifier = TorchClassifier(folder, manifest, settings)
    else:
        from holdcheck.runtime.onnx import OnnxClassifier

        classifier = OnnxClassifier(folder, manifest, settings)
    side = classifier.input_size
    classifier.head.probabilities(classifier.embed(np.full((1, side, side, 3), 114, dtype=np.uint8)))
    classifier.release_pages()
    return classifier


def _require(manifest: Manifest, kind: str, folder: Path) -> None:
    if manifest.kind != kind:
        raise ModelCorrupt(f"{folder} holds a {manifest.kind} model where a {kind} model was expected.")
