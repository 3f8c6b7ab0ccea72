"""Artefact folders: written aside, flushed to disk, and moved into place whole."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from holdcheck.errors import PrepareError
from holdcheck.manifest import MANIFEST_NAME, FileList, FileRecord, Manifest, sha256


@contextmanager
def written_aside(folder: Path, needed_bytes: int) -> Iterator[Path]:
    """Give a new folder to fill; it takes `folder`'s place when the block ends well, and is gone otherwise.

    Args:
        folder: the artefact's place. What is there stays until the new one is complete and on the disk.
        needed_bytes: what the block is going to write at most.

    Raises:
        PrepareError: too little disk space, or a place that cannot be written to.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        require_space(folder.parent, needed_bytes)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder.parent, error) from None
    try:
        yield aside
        _flush(aside)
        _take_place(aside, folder)
    except OSError as error:
        raise _unwritable(folder, error) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def require_space(folder: Path, needed_bytes: int) -> None:
    """Raise PrepareError unless `needed_bytes` are free in the file system of `folder`."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise PrepareError(
            f"{folder} has {free >> 20} MiB free and {needed_bytes >> 20} MiB are needed; "
            "free some space, or set MODELS_DIR to another disk"
        )


def record(path: Path) -> FileRecord:
    """Describe a finished file."""
    return FileRecord(path=path.name, sha256=sha256(path), bytes=path.stat().st_size)


def list_file(path: Path) -> None:
    """Say in the FileList beside a file what it is now."""
    others: tuple[FileRecord, ...] = ()
    if (path.parent / MANIFEST_NAME).is_file():
        others = tuple(kept for kept in FileList.read(path.parent).files if kept.path != path.name)
    files = FileList(files=(*others, record(path)))
    (path.parent / MANIFEST_NAME).write_text(files.model_dump_json(indent=2) + "\n")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2, exclude_defaults=False) + "\n")


def versions(*distributions: str) -> dict[str, str]:
    """The versions that an artefact was made with."""
    return {name: version(name) for name in distributions}


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def _take_place(aside: Path, folder: Path) -> None:
    """Two renames, since one cannot replace a full folder; the first is undone if the second fails."""
    retired = aside.with_name(aside.name + ".old")
    with suppress(FileNotFoundError):
        folder.rename(retired)
    try:
        aside.rename(folder)
    except OSError:
        retired.rename(folder)
        raise
    _sync(folder.parent)
    shutil.rmtree(retired, ignore_errors=True)


def _flush(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        path.chmod(0o644)  # as below: some writers make private files
        _sync(path)
    folder.chmod(0o755)  # mkdtemp's 0700 would keep a server that runs as another user out
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritable(path: Path, error: OSError) -> PrepareError:
    if error.errno == errno.ENOSPC:
        return PrepareError(
            f"the disk under {path} is full; free some space, or set MODELS_DIR to another disk"
        )
    return PrepareError(
        f"{path} cannot be written: {error.strerror or error}; set MODELS_DIR to a writable place"
    )
