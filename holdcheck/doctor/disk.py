"""The two folders: whether they can be used, and whether there is room in them."""

import os
import shutil
import tempfile
from pathlib import Path

from holdcheck.doctor.configuration import Configuration, Service
from holdcheck.doctor.finding import Finding, looked

_MIB = 2**20
_PREPARED_MIB = 500
"""What preparing a CLIP takes of a disk for a while."""


def examine(configuration: Configuration) -> list[Finding]:
    """MODELS_DIR, and where there is a service its DATA_DIR."""
    models_dir, service = configuration.library.models_dir, configuration.service
    # Without its own models the service does its work with the bundled ones.
    found = looked("disk", lambda: [_models(models_dir)], "warning")
    return [*found, *looked("disk", lambda: [_data(service)])] if service else found


def _models(folder: Path) -> Finding:
    name = f"MODELS_DIR={folder}"
    free = _free_mib(folder)
    if _refused_writing(folder):
        return Finding("disk", f"{name} is read-only: enough to serve, not to prepare")
    if free < _PREPARED_MIB:
        text = f"{name}: {free:.0f} MiB free, too little to prepare a CLIP"
        return Finding(
            "disk", text, "warning", f"make {_PREPARED_MIB} MiB free, or prepare elsewhere and copy"
        )
    return Finding("disk", f"{name}: {free:.0f} MiB free")


def _data(service: Service) -> Finding:
    name = f"DATA_DIR={service.data_dir}"
    if service.data_dir.exists() and not service.data_dir.is_dir():
        return Finding("disk", f"{name} is no folder", "problem", "DATA_DIR=")
    refusal = _refused_writing(service.data_dir)
    if refusal:
        owner = f"a folder that user {os.getuid()} may write (chown -R {os.getuid()})"
        return Finding("disk", f"{name} cannot be written: {refusal}", "problem", owner)
    free = _free_mib(service.data_dir)
    if free < service.max_upload_mb:
        text = f"{name}: {free:.0f} MiB free, less than a photo may have"
        return Finding("disk", text, "problem", "make room, or put DATA_DIR elsewhere")
    room = free + _used_mib(service.data_dir)
    if room < service.max_data_mb:
        text = f"{name}: {free:.0f} MiB free; MAX_DATA_MB={service.max_data_mb:g} cannot be kept"
        return Finding("disk", text, "warning", "make room, or lower MAX_DATA_MB")
    return Finding("disk", f"{name}: {free:.0f} MiB free, for MAX_DATA_MB={service.max_data_mb:g}")


def _existing(folder: Path) -> Path:
    """Itself, or where it would be made."""
    folder = folder.absolute()
    return next(parent for parent in [folder, *folder.parents] if parent.is_dir())


def _free_mib(folder: Path) -> float:
    return shutil.disk_usage(_existing(folder)).free / _MIB


def _used_mib(folder: Path) -> float:
    sizes = (path.lstat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
    return sum(sizes) / _MIB


def _refused_writing(folder: Path) -> str | None:
    """Why nothing can be written there; a file without a name tries it, which even root learns from."""
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return None
    except OSError as error:
        return error.strerror
