"""The models: which answer, and whether each file is what its manifest says."""

import logging
from collections.abc import Iterator
from pathlib import Path

from holdcheck.doctor.configuration import Configuration
from holdcheck.doctor.finding import Finding, Level
from holdcheck.errors import ModelError, ModelTampered
from holdcheck.manifest import (
    MANIFEST_NAME,
    FileList,
    FileRecord,
    Manifest,
    checked_file,
    prepared,
    slug,
)
from holdcheck.settings import BUNDLED_MODELS, Settings


def examine(
    configuration: Configuration, *, loads: bool = True, running: tuple[str, ...] | None = None
) -> list[Finding]:
    """Load what the service would load, and compare every checksum.

    Args:
        loads: False where loading is known to fail: then only checksums.
        running: what answers in a service that runs here already. Nothing is loaded beside it: in a small
            container that might end it.
    """
    settings = configuration.library
    if running is not None:
        loads, answering = (
            False,
            [Finding("models", f"{name} answers in the service that runs here") for name in running],
        )
    else:
        answering = _answering(settings) if loads else []
    told = " ".join(finding.text for finding in answering)
    # One that answers has ended the start already; another waits for the day that somebody chooses it.
    level: Level = "warning" if loads else "problem"
    changed, good = [], 0
    for folder, record in _files(settings):
        try:
            checked_file(folder, record)
            good += 1
        except ModelError as error:
            text, remedy = _parted(error)
            if text not in told:
                changed.append(Finding("models", text, level, remedy))
    return [*answering, *changed, Finding("models", f"{good} files have the checksums of their manifests")]


def _answering(settings: Settings) -> list[Finding]:
    from holdcheck import registry  # late: it brings NumPy, OpenCV and onnxruntime

    logging.disable(logging.WARNING)  # what they warn of is among the findings
    try:
        models = registry.load(settings)
    except ModelTampered as error:
        text, remedy = _parted(error)
        return [Finding("models", text, "problem", remedy)]
    finally:
        logging.disable(logging.NOTSET)
    if models.detector is None:
        return [Finding("models", f"no detector: {models.error_reason}", "problem", "YOLO_WEIGHTS=")]
    found = [_answers("finds holds", models.detector.info.name, models.detector.info.precision)]
    if models.classifier is None:
        return [*found, Finding("models", f"no CLIP: {models.error_reason}", "warning", "make models")]
    info = models.classifier.info
    if models.clip_stepped_down:
        reason = models.error_reason or ""
        return [
            *found,
            Finding("models", f"degraded: {reason}", "warning", "prepare it, or CLIP_MODEL=holdclip"),
        ]
    found.append(_answers("names colours", info.name, info.precision, _why(info.name, settings)))
    if models.is_dummy:
        found.append(
            Finding("models", models.error_reason or "dummy", "problem", "ALLOW_DUMMY=0, make models")
        )
    return found


def _answers(does: str, name: str, precision: str, why: str = "") -> Finding:
    return Finding("models", f"{name} ({precision}) {does}{why}")


def _why(name: str, settings: Settings) -> str:
    wanted = settings.clip_model
    if slug(name) == slug(wanted):
        return f": CLIP_MODEL={wanted}"
    return f" until CLIP_MODEL={wanted} is prepared (make models)"


def _parted(error: ModelError) -> tuple[str, str | None]:
    text, _, remedy = str(error).rpartition("; ")
    return (text, remedy) if text else (remedy, None)


def _files(settings: Settings) -> Iterator[tuple[Path, FileRecord]]:
    """Every file that a manifest names, the bundled ones first, then what an image was built with."""
    bundled = sorted(manifest.parent for manifest in BUNDLED_MODELS.glob(f"*/{MANIFEST_NAME}"))
    for folder in (*bundled, *prepared(BUNDLED_MODELS), *prepared(settings.models_dir)):
        yield from _records(folder, torch=settings.runtime == "torch")


def _records(folder: Path, *, torch: bool) -> Iterator[tuple[Path, FileRecord]]:
    try:
        manifest = Manifest.read(folder)
    except ModelError:
        try:
            yield from ((folder, record) for record in FileList.read(folder).files)
        except ModelError:
            return  # the registry says so where it matters
        return
    prompts = manifest.prompts.embeddings if manifest.prompts else None
    # An image leaves out what RUNTIME=torch alone reads: it has no torch.
    weights = manifest.weights
    if weights is not None and not torch and not (folder / weights.path).exists():
        weights = None
    for record in (manifest.model, weights, prompts):
        if record is not None:
            yield folder, record
