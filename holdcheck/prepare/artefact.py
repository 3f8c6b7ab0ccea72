"""Artefact folders: written aside, flushed to disk, put in place whole; the one before is kept beside it."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from holdcheck.errors import PrepareError
from holdcheck.manifest import MANIFEST_NAME, FileList, FileRecord, Manifest, checked_file, sha256
from holdcheck.prepare.exchange import exchange

UNFINISHED = ".unfinished-"
"""What the names of folders begin with that a preparation works in; killed, it leaves them behind."""
_PREVIOUS = ".previous"
"""After the name of an artefact: the one that it replaced. No model's folder has a dot in its name."""
_LOCK_NAME = "prepare.lock"


@contextmanager
def preparing(models_dir: Path) -> Iterator[None]:
    """Let one preparation at a time change MODELS_DIR, and remove what one that was killed left there.

    Raises:
        PrepareError: another one runs, or the folder cannot be written to.
    """
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        lock = (models_dir / _LOCK_NAME).open("w")
    except OSError as error:
        raise _unwritable(models_dir, error) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PrepareError(
                f"another preparation works in {models_dir}: wait until it has ended"
            ) from None
        for left in models_dir.glob(f"*/{UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


@contextmanager
def written_aside(folder: Path, needed_bytes: int) -> Iterator[Path]:
    """Give a new folder to fill; it takes `folder`'s place when the block ends well, and is gone otherwise.

    Args:
        folder: the artefact's place. What is there stays until the new one is complete and on the disk, and
            is kept as `previous(folder)` after that, in place of what was kept there before.
        needed_bytes: what the block is going to write at most.

    Raises:
        PrepareError: too little disk space, or a place that cannot be written to.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        require_space(folder.parent, needed_bytes)
        aside = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder.parent))
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


def previous(folder: Path) -> Path:
    """Where the artefact is kept that this one replaced."""
    return folder.with_name(folder.name + _PREVIOUS)


def undo(folder: Path) -> Manifest:
    """Let an artefact and the one before it change places; once more, and they are as they were.

    A server that has either of them mapped goes on with it until it starts again.

    Raises:
        PrepareError: none is kept, or the folder cannot be written to.
        ModelCorrupt, ModelTampered: what is kept is not whole; nothing was changed.
    """
    kept = previous(folder)
    if not kept.is_dir():
        raise PrepareError(f"{kept} is not there: nothing was replaced in {folder}")
    manifest = Manifest.read(kept)
    for entry in (manifest.model, manifest.weights, manifest.prompts and manifest.prompts.embeddings):
        if entry:
            checked_file(kept, entry)
    try:
        _swap(kept, folder)
    except OSError as error:
        raise _unwritable(folder, error) from None
    return manifest


def require_space(folder: Path, needed_bytes: int) -> None:
    """Raise PrepareError unless `needed_bytes` are free in the file system of `folder`."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        kept = ", ".join(str(path) for path in sorted(folder.glob(f"*{_PREVIOUS}")))
        raise PrepareError(
            f"{folder} has {free >> 20} MiB free and {needed_bytes >> 20} MiB are needed; free some space"
            + (f" (what {kept} keeps is only for `prepare --undo`)" if kept else "")
            + ", or set MODELS_DIR to another disk"
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
    """At no moment is the place empty, or the artefact before it lost."""
    if not folder.exists():
        aside.rename(folder)
        _sync(folder.parent)
        return
    kept = previous(folder)
    if kept.exists():
        shutil.rmtree(kept)
    aside.rename(kept)
    _swap(kept, folder)


def _swap(kept: Path, folder: Path) -> None:
    if folder.exists():
        exchange(kept, folder)
    else:
        kept.rename(folder)
    _sync(folder.parent)


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
