"""prepare: from real weights to the artefacts that the server maps. Heavy, run once, never in the server."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

from holdcheck.errors import PrepareError
from holdcheck.manifest import Manifest, slug
from holdcheck.prepare.artefact import preparing, previous, undo
from holdcheck.settings import Settings

__all__ = ["prepare_clip", "prepare_yolo", "run", "run_undo"]

_NEEDED = ("torch", "torchvision", "open_clip", "ultralytics", "onnx")


def run(
    clip: str | None,
    yolo: str | Path | None,
    random_weights: bool,
    settings: Settings,
    report: Callable[[str], None],
) -> None:
    """What `python -m holdcheck prepare` does; with neither model named, it prepares CLIP_MODEL.

    Args:
        clip: as for `prepare_clip`.
        yolo: an ultralytics segmentation `.pt`; with `random_weights`, an architecture's name.
        report: takes progress, a line at a time.

    Raises:
        PrepareError: one line that says what to do. Older artefacts are untouched.
    """
    if clip is None and yolo is None:
        clip = settings.clip_model
    with preparing(settings.models_dir):
        if yolo is not None:
            prepare_yolo(yolo, settings.models_dir, report, random_weights=random_weights)
        if clip is not None:
            prepare_clip(clip, settings.models_dir, report, random_weights=random_weights)


def run_undo(
    clip: str | None, yolo: str | Path | None, settings: Settings, report: Callable[[str], None]
) -> None:
    """What `python -m holdcheck prepare --undo` does: bring back what the latest preparation replaced.

    Args:
        clip, yolo: as for `run`: what was prepared. Neither: CLIP_MODEL.

    Raises:
        ModelError: one line that says why nothing was changed.
    """
    if clip is None and yolo is None:
        clip = settings.clip_model
    folders = [
        settings.models_dir / kind / _folder_name(str(name))
        for kind, name in (("yolo", yolo), ("clip", clip))
        if name is not None
    ]
    with preparing(settings.models_dir):
        for folder in folders:
            manifest = undo(folder)
            report(
                f"{folder} is again what was prepared at {manifest.created} from {manifest.source} "
                f"({manifest.precision}, sha256 {manifest.model.sha256[:12]}); the other one is kept: "
                "--undo again brings it back. A running server goes on with what it loaded until it restarts"
            )


def prepare_clip(
    name: str, models_dir: Path, report: Callable[[str], None], *, random_weights: bool = False
) -> Manifest:
    """Write MODELS_DIR/clip/<slug>; see `holdcheck.prepare.clip.prepare_clip`."""
    _require_packages()
    from holdcheck.prepare import clip

    folder = models_dir / "clip" / _folder_name(name)
    manifest = clip.prepare_clip(
        name, folder, report, downloads=models_dir / "checkpoints", random_weights=random_weights
    )
    _tell_what_is_kept(folder, report)
    return manifest


def prepare_yolo(
    weights: str | Path, models_dir: Path, report: Callable[[str], None], *, random_weights: bool = False
) -> Manifest:
    """Write MODELS_DIR/yolo/<slug>; see `holdcheck.prepare.yolo.prepare_yolo`."""
    _require_packages()
    from holdcheck.prepare import yolo

    folder = models_dir / "yolo" / _folder_name(str(weights))
    manifest = yolo.prepare_yolo(Path(weights), folder, report, random_weights=random_weights)
    _tell_what_is_kept(folder, report)
    return manifest


def _tell_what_is_kept(folder: Path, report: Callable[[str], None]) -> None:
    if previous(folder).is_dir():
        report("the one before it is kept: `prepare --undo` with the same name brings it back")


def _folder_name(name: str) -> str:
    folder = slug(name)
    if not folder:  # the artefact would take the place of the folder that holds all of them
        raise PrepareError(f"{name!r} has no letter or digit to name an artefact by; give the whole path")
    return folder


def _require_packages() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise PrepareError(
            f"prepare needs {', '.join(missing)}: run `make models`, or pip install holdcheck[models]"
        )
