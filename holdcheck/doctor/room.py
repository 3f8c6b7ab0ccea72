"""Memory: what an analysis may need under these settings, and what the container or the host allows."""

import math

import psutil  # type: ignore[import-untyped]

from holdcheck import budget, memory
from holdcheck.doctor.configuration import Configuration
from holdcheck.doctor.finding import Finding
from holdcheck.settings import Settings

_IDLE_MIB = 75.0
"""Anonymous memory of a server between photos (docs/memory.md)."""
_MEASURED_MIB = 256.0
"""What all figures of docs/memory.md fit into, with page cache for the models."""
_CROP_SIDE = 224
"""Of a ViT-B/32; the bundled CLIP's is smaller."""
_LEAST = {"yolo_img_size": 320, "clip_batch_size": 1}
_MIB = 2**20


def examine(configuration: Configuration, *, in_use: bool, service_limit_mb: float | None = None) -> Finding:
    """Compare them.

    Args:
        in_use: the service itself runs here already, so that what it holds is not somebody else's.
        service_limit_mb: what it says that it is allowed: this may have been started in another cgroup.
    """
    now = memory.snapshot()
    limit_mb = now.limit_mb if service_limit_mb is None else service_limit_mb
    needed = _needed_mib(configuration.library)
    group = "a cgroup" if service_limit_mb is None else "the service's cgroup"
    text = f"{_limit(limit_mb, group)}, {_swap()}; the service needs up to {needed:.0f}"
    if limit_mb < needed:
        return Finding("memory", text, "problem", _remedy(configuration.library, limit_mb))
    if now.available_mb < needed and not in_use:
        text = f"{text}, and {now.available_mb:.0f} are free"
        return Finding("memory", text, "problem", "stop what else runs here, or allow more")
    if limit_mb < _MEASURED_MIB:
        text = f"{text}: little is left to keep the models in page cache, and analyses are slower"
        return Finding("memory", text, "warning", f"allow {_MEASURED_MIB:.0f} MiB (mem_limit, MemoryMax=)")
    return Finding("memory", text)


def _needed_mib(settings: Settings) -> float:
    return _IDLE_MIB + budget.usually_needed_mib(settings, _CROP_SIDE)


def _limit(limit_mb: float, group: str) -> str:
    host_mb = psutil.virtual_memory().total / _MIB
    if limit_mb < host_mb - 1:
        return f"{limit_mb:.0f} MiB allowed by {group}, of the host's {host_mb:.0f}"
    return f"{host_mb:.0f} MiB, the host's, without a limit"


def _swap() -> str:
    swap_mb = psutil.swap_memory().total / _MIB
    return f"{swap_mb:.0f} MiB of swap" if swap_mb else "no swap"


def _remedy(settings: Settings, limit_mb: float) -> str:
    least = _needed_mib(settings.model_copy(update=_LEAST))
    allow = f"allow {math.ceil(_needed_mib(settings))} MiB or more (mem_limit, MemoryMax=)"
    if least > limit_mb:
        return allow
    smaller = " ".join(f"{name.upper()}={value}" for name, value in _LEAST.items())
    return f"{allow}, or {smaller}, which needs {least:.0f}"
