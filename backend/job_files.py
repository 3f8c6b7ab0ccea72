"""A job's folder: DATA_DIR/jobs/<id>/{inputs,interim,outputs}, for the server's user only.

inputs/photo is deleted when the job ends, however it does: no photo outlives its analysis, and with it goes
its EXIF. interim/events and outputs/ stay until the job expires or is deleted: result.json, corrections.json,
and where the server keeps corrections photo.jpg, a copy without metadata.
"""

import errno
import logging
import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.descriptors import open_file
from backend.disk_space import occupied
from backend.errors import StorageFull, StorageUnavailable
from backend.kept import MARK_NAME, KeptCorrections, read_mark
from holdcheck.corrections import CORRECTIONS_NAME, PHOTO_NAME, RESULT_NAME

log = logging.getLogger(__name__)

OUTPUT_ALLOWANCE = 3 * 2**20
"""What a job may write beside its photo, bytes: 500 holds with their contours, and the events about them."""
_FOLDERS = ("inputs", "interim", "outputs")
_FOLDER_BYTES = 4 * occupied(1)
"""A job's folder, and those in it."""
_COPY_NAME = "copy.jpg"
"""In inputs/, while the analysis runs; moved, and counted, when it is done."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class JobFiles:
    """All jobs' folders, and the bytes of disk that they take. Its methods block: not for the event loop.

    Args:
        folder: DATA_DIR/jobs.
        max_bytes: what all folders may hold together.
        kept: where corrections go that outlive their jobs.
    """

    def __init__(self, folder: Path, max_bytes: int, kept: KeptCorrections) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._kept = kept
        self._lock = threading.Lock()
        self._changing = threading.Lock()
        """Corrections are written, kept or erased one at a time: nothing comes back after it was erased."""
        self._reserved = 0
        make_private(folder)
        self._used = sum(_counted(path) for path in folder.glob("*"))

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
            self._ensure_room(wanted + jobs_ahead * OUTPUT_ALLOWANCE)
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
            self._add(_FOLDER_BYTES + occupied(photo.stat().st_size))

    def photo(self, job_id: str) -> Path:
        return self._folder / job_id / "inputs" / "photo"

    def events(self, job_id: str) -> Path:
        return self._folder / job_id / "interim" / "events"

    def result(self, job_id: str) -> Path:
        return self._folder / job_id / "outputs" / RESULT_NAME

    def copy(self, job_id: str) -> Path:
        """Where an analysis leaves a copy of the photo without its metadata."""
        return self._folder / job_id / "inputs" / _COPY_NAME

    def corrections(self, job_id: str) -> Path:
        return self._folder / job_id / "outputs" / CORRECTIONS_NAME

    def write_result(self, job_id: str, result: bytes) -> None:
        """All of it or nothing, whenever the power goes.

        Raises:
            StorageFull, StorageUnavailable: the disk does not take it.
        """
        path = self.result(job_id)
        before = _size(path)
        with storage_errors():
            write_whole(path, result)
        self._add(occupied(len(result)) - before)

    def keep_copy(self, job_id: str) -> None:
        """Keep the copy that the analysis made beside its result, if it made one and there is room."""
        copy, kept = self.copy(job_id), self._kept_photo(job_id)
        size = _size(copy)
        if not size:
            return
        try:
            with self._lock:
                self._ensure_room(size)
            before = _size(kept)
            with storage_errors():
                sync(copy)
                copy.replace(kept)
                sync(kept.parent)
            self._add(size - before)
        except (StorageFull, StorageUnavailable) as error:
            log.warning("[CORRECTIONS] a photo cannot be kept for corrections: %s", error)

    def write_corrections(self, job_id: str, document: bytes, shared_by: str | None, jobs_ahead: int) -> None:
        """All of them or nothing, in place of those before.

        Args:
            shared_by: the job's owner where training with them is allowed; else None.
            jobs_ahead: analyses that have still to write their answers.

        Raises:
            FileNotFoundError: the job is gone.
            StorageFull, StorageUnavailable: the disk does not take them.
        """
        path = self.corrections(job_id)
        mark = path.with_name(MARK_NAME)
        with self._changing:
            if not path.parent.is_dir():
                raise FileNotFoundError(path)
            with self._lock:
                self._ensure_room(len(document) + jobs_ahead * OUTPUT_ALLOWANCE)
            before = _size(path) + _size(mark)
            try:
                with storage_errors():
                    # At no moment is more shared than was allowed.
                    mark.unlink(missing_ok=True)
                    write_whole(path, document)
                    if shared_by is not None:
                        write_whole(mark, shared_by.encode("ascii"))
            finally:
                self._add(_size(path) + _size(mark) - before)

    def add_events(self, size: int) -> None:
        """Count what a job's events take more than before."""
        self._add(size)

    def drop_photo(self, job_id: str, *, done: bool) -> None:
        """Delete it if it is there, and its copy unless that is kept beside the result of a job that is done.

        A disk that fails here hides no earlier error.
        """
        self._add(-_drop(self.photo(job_id)))
        _drop(self.copy(job_id))
        if not (done and self._kept.open):
            self._add(-_drop(self._kept_photo(job_id)))

    def erase(self, job_id: str) -> None:
        """Delete all of a job, if it is there, also what was kept for training from it.

        What does not go is tried again at the next start.
        """
        with self._changing:
            self._discard_counted(job_id)
            self._kept.erase(job_id)

    def expire(self, job_id: str) -> None:
        """Delete a job whose time is over, except for corrections that may be kept for training."""
        with self._changing:
            job = self._folder / job_id
            before = _counted(job)
            self._kept.take(job_id, job / "outputs")
            self.discard(job_id)
            self._add(-before)

    def erase_shared(self, job_id: str, owner: str) -> bool:
        """Erase what a job that has expired left for training; False where there is nothing of that owner's.

        Args:
            job_id: as a client named it.
        """
        if not is_ours(job_id):
            return False
        with self._changing:
            # The first: expired, and not swept yet.
            owners = (read_mark(self._folder / job_id / "outputs"), self._kept.owner(job_id))
            if owner not in owners:
                return False
            self._discard_counted(job_id)
            self._kept.erase(job_id)
            return True

    def discard(self, job_id: str) -> None:
        """Delete an upload that never became a job: nothing of it was counted."""
        job = self._folder / job_id
        shutil.rmtree(job, ignore_errors=True)
        if job.exists():
            log.error("a job's files could not be deleted: %s", job_id)

    def job_ids(self) -> list[str]:
        """The names of all folders."""
        return [entry.name for entry in self._folder.iterdir() if entry.is_dir()]

    def _kept_photo(self, job_id: str) -> Path:
        return self._folder / job_id / "outputs" / PHOTO_NAME

    def _discard_counted(self, job_id: str) -> None:
        size = _counted(self._folder / job_id)
        self.discard(job_id)
        self._add(-size)

    def _ensure_room(self, wanted: int) -> None:
        needed = self._reserved + wanted
        if self._used + needed > self._max_bytes:
            raise StorageFull("The server keeps as much as it may (MAX_DATA_MB): try again later.", 60)
        if self._free_bytes() < needed:
            log.error("the disk is full: nothing more is taken")
            raise StorageFull("The server's disk is full: try again later.", 60)

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
        return open_file(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL)


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
    descriptor = open_file(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
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
    descriptor = open_file(path, os.O_RDONLY)
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
        raise StorageUnavailable("The server's disk cannot be used now: try again later.", 60) from None


def is_ours(job_id: str) -> bool:
    """Whether it is written as job ids are: such a name leads out of no folder."""
    try:
        return str(uuid.UUID(job_id)) == job_id
    except ValueError:
        return False


def _drop(file: Path) -> int:
    """Delete it if it is there; answers the bytes that went."""
    size = _size(file)
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        log.error("a photo could not be deleted: %s", error)
        return 0
    return size


def _counted(job: Path) -> int:
    """Bytes that a job takes, if it is there."""
    if not job.is_dir():
        return 0
    return _FOLDER_BYTES + sum(_size(path) for path in job.glob("*/*") if path.name != _COPY_NAME)


def _size(path: Path) -> int:
    """Bytes of disk under a file, if it is there."""
    try:
        return occupied(path.lstat().st_size)
    except OSError:
        return 0
