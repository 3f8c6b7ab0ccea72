"""A job's folder: DATA_DIR/jobs/<id>/{inputs,interim,outputs}, for the server's user only.

inputs/photo is deleted when the job ends, however it does: no photo outlives its analysis, and with it goes
its EXIF. interim/events and outputs/{result,corrections}.json stay until the job expires or is deleted.
"""

import errno
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.errors import StorageFull, StorageUnavailable

log = logging.getLogger(__name__)

OUTPUT_ALLOWANCE = 3 * 2**20
"""What a job may write beside its photo, bytes: 500 holds with their contours, and the events about them."""
_FOLDERS = ("inputs", "interim", "outputs")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class JobFiles:
    """All jobs' folders, and how many bytes they hold. Its methods block: call them off the event loop.

    Args:
        folder: DATA_DIR/jobs.
        max_bytes: what all folders may hold together.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._reserved = 0
        make_private(folder)
        self._used = sum(_size(path) for path in folder.glob("*/*/*"))

    @property
    def used_bytes(self) -> int:
        return self._used

    @contextmanager
    def reserve(self, photo_bytes: int, jobs_ahead: int) -> Iterator[None]:
        """Keep room for a photo while it arrives, and for what it and those ahead of it will write.

        Raises:
            StorageFull: there is none, by MAX_DATA_MB or on the disk.
            StorageUnavailable: the disk does not say.
        """
        wanted = photo_bytes + OUTPUT_ALLOWANCE
        with self._lock:
            needed = self._reserved + wanted + jobs_ahead * OUTPUT_ALLOWANCE
            if self._used + needed > self._max_bytes:
                raise StorageFull("The server keeps as much as it may (MAX_DATA_MB): try again later.", 60)
            if self._free_bytes() < needed:
                log.error("the disk is full: photos are refused")
                raise StorageFull("The server's disk is full: try again later.", 60)
            self._reserved += wanted
        try:
            yield
        finally:
            with self._lock:
                self._reserved -= wanted

    def create(self, job_id: str) -> Path:
        """Make a job's folders; answers where its photo goes.

        Raises:
            StorageFull, StorageUnavailable: the disk does not take them.
        """
        with storage_errors():
            job = self._folder / job_id
            for folder in (job, *(job / name for name in _FOLDERS)):
                folder.mkdir(mode=0o700)
        return self.photo(job_id)

    def seal(self, job_id: str) -> None:
        """Return when a power cut can no longer take the photo."""
        job = self._folder / job_id
        with storage_errors():
            photo = self.photo(job_id)
            for path in (photo, photo.parent, job, self._folder):
                sync(path)
            self._add(photo.stat().st_size)

    def photo(self, job_id: str) -> Path:
        return self._folder / job_id / "inputs" / "photo"

    def events(self, job_id: str) -> Path:
        return self._folder / job_id / "interim" / "events"

    def result(self, job_id: str) -> Path:
        return self._folder / job_id / "outputs" / "result.json"

    def write_result(self, job_id: str, result: bytes) -> None:
        """All of it or nothing, whenever the power goes.

        Raises:
            StorageFull, StorageUnavailable: the disk does not take it.
        """
        path = self.result(job_id)
        with storage_errors():
            write_whole(path, result)
        self._add(len(result))

    def corrections(self, job_id: str) -> Path:
        return self._folder / job_id / "outputs" / "corrections.json"

    def write_corrections(self, job_id: str, corrections: bytes) -> None:
        """Put them in the place of earlier ones: all of them or nothing.

        Raises:
            StorageFull, StorageUnavailable: the disk does not take them, or the job was just erased.
        """
        path = self.corrections(job_id)
        before = _size(path)
        with storage_errors():
            write_whole(path, corrections)
        self._add(len(corrections) - before)

    def add_events(self, size: int) -> None:
        """Count what went into a job's events."""
        self._add(size)

    def drop_photo(self, job_id: str) -> None:
        """Delete it if it is there. A disk that fails here hides no earlier error."""
        photo = self.photo(job_id)
        size = _size(photo)
        try:
            photo.unlink(missing_ok=True)
        except OSError as error:
            log.error("a photo could not be deleted: %s", error)
            return
        self._add(-size)

    def erase(self, job_id: str) -> None:
        """Delete all of a job, if it is there; what does not go is tried again at the next start."""
        size = sum(_size(path) for path in (self._folder / job_id).glob("*/*"))
        self.discard(job_id)
        self._add(-size)

    def discard(self, job_id: str) -> None:
        """Delete an upload that never became a job: nothing of it was counted."""
        job = self._folder / job_id
        shutil.rmtree(job, ignore_errors=True)
        if job.exists():
            log.error("a job's files could not be deleted: %s", job_id)

    def job_ids(self) -> list[str]:
        """The names of all folders."""
        return [entry.name for entry in self._folder.iterdir() if entry.is_dir()]

    def _free_bytes(self) -> int:
        with storage_errors():
            # Somebody may have tidied up under a running server.
            make_private(self._folder)
            return shutil.disk_usage(self._folder).free

    def _add(self, size: int) -> None:
        with self._lock:
            self._used = max(0, self._used + size)


def make_private(folder: Path) -> None:
    """A folder that only the server's user can look into."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def create_private(file: Path) -> int:
    """A descriptor to write a new file with, which only the server's user can read.

    Raises:
        StorageFull, StorageUnavailable: the disk does not take it.
    """
    with storage_errors():
        return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def append(descriptor: int, data: bytes) -> None:
    """Write all of it.

    Raises:
        StorageFull, StorageUnavailable: the disk does not take it.
    """
    with storage_errors():
        write_all(descriptor, data)


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_whole(path: Path, data: bytes) -> None:
    """Put a file in its place that has all of `data`, or leave what was there."""
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    except OSError:
        draft.unlink()
        raise
    finally:
        os.close(descriptor)
    draft.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn what a disk says into what a client is told."""
    try:
        yield
    except OSError as error:
        log.error("the disk does not take a job: %s", error)
        if error.errno in _FULL:
            raise StorageFull("The server's disk is full: try again later.", 60) from None
        raise StorageUnavailable("The server cannot store photos now: try again later.", 60) from None


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
