"""A look at the set-up: what is there, what is missing, and what to do about it."""

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path

from holdcheck import memory, registry
from holdcheck.errors import ModelTampered
from holdcheck.manifest import slug
from holdcheck.settings import Settings

_NEEDED_MIB = 256
_FREE_DISK_MIB = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    ok: bool
    text: str
    required: bool = True
    """Whether the service cannot do its main job without it."""


def examine(settings: Settings) -> list[Finding]:
    """Load what the server would load, and look at what it would run on."""
    return [*_models(settings), _memory(), _disk(settings.models_dir), _prepare_side()]


def _models(settings: Settings) -> list[Finding]:
    try:
        models = registry.load(settings)
    except ModelTampered as error:
        return [Finding(False, str(error))]
    found = [
        Finding(not info.is_dummy, f"model {info.name} ({info.precision}, from {info.source})")
        for info in models.infos
    ]
    clip, wanted = models.classifier, settings.clip_model
    if clip is not None and not models.clip_stepped_down and slug(clip.info.name) != slug(wanted):
        text = f"{clip.info.name} names colours until CLIP_MODEL={wanted} is prepared (make models)"
        found.append(Finding(True, text, required=False))
    if not models.ready:
        found.append(Finding(False, f"no detector: {models.error_reason}"))
    elif models.error_reason:
        found.append(Finding(False, f"degraded: {models.error_reason}", required=False))
    return found


def _memory() -> Finding:
    usage = memory.snapshot()
    text = f"memory: {usage.rss_mb:.0f} MiB used with the models loaded, limit {usage.limit_mb:.0f} MiB"
    return Finding(usage.limit_mb >= _NEEDED_MIB, text)


def _disk(folder: Path) -> Finding:
    existing = next(parent for parent in [folder.absolute(), *folder.absolute().parents] if parent.is_dir())
    free_mib = shutil.disk_usage(existing).free / 2**20
    return Finding(free_mib > _FREE_DISK_MIB, f"disk: {free_mib:.0f} MiB free at {existing}")


def _prepare_side() -> Finding:
    missing = [
        name for name in ("torch", "open_clip", "ultralytics", "onnx") if not importlib.util.find_spec(name)
    ]
    if missing:
        return Finding(False, f"prepare: {', '.join(missing)} not installed (make models)", required=False)
    return Finding(True, "prepare: torch, open_clip, ultralytics and onnx are installed", required=False)
