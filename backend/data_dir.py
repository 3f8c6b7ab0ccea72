"""DATA_DIR: one server's at a time. Photos lie in its `uploads` while they wait and are analysed."""

import errno
import fcntl
import logging
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.errors import StorageFull, StorageUnavailable

log = logging.getLogger(__name__)

_LOCK_NAME = "lock"
_UPLOADS_NAME = "uploads"
_PHOTO_NAME = re.compile(r"[0-9a-f]{32}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class DataDir:
    """The folder of a server that holds its lock.

    The lock lasts as long as the process: the kernel gives it back however that ends.

    Raises:
        BlockingIOError: another server holds it.
        OSError: it cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._uploads = folder / _UPLOADS_NAME
        folder.mkdir(parents=True, exist_ok=True)
        # A bare descriptor, which nothing closes: the lock would go with it.
        descriptor = os.open(folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        self._uploads.mkdir(mode=0o700, exist_ok=True)
        self._uploads.chmod(0o700)
        self.drop_photos()

    def drop_photos(self) -> None:
        """Delete what a server left in it: only files of names that `new_photo` makes."""
        for entry in self._uploads.iterdir():
            if _PHOTO_NAME.fullmatch(entry.name) and not entry.is_dir():
                entry.unlink(missing_ok=True)

    def new_photo(self) -> Path:
        """A name that says nothing and that no client chose."""
        return self._uploads / uuid.uuid4().hex


def create_photo(photo: Path) -> int:
    """A descriptor to write to, for its owner only.

    Raises:
        StorageFull, StorageUnavailable: the disk does not take it.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with _storage_errors():
        try:
            return os.open(photo, flags, 0o600)
        except FileNotFoundError:
            # Somebody tidied up under a running server.
            photo.parent.mkdir(mode=0o700, exist_ok=True)
            return os.open(photo, flags, 0o600)


def append(descriptor: int, data: bytes) -> None:
    """Write all of it.

    Raises:
        StorageFull, StorageUnavailable: the disk does not take it.
    """
    view = memoryview(data)
    with _storage_errors():
        while view:
            view = view[os.write(descriptor, view) :]


def drop_photo(photo: Path) -> None:
    """Delete it if it is there. A disk that fails here hides no earlier error."""
    try:
        photo.unlink(missing_ok=True)
    except OSError as error:
        log.error("a photo could not be deleted: %s", error)


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        log.error("a photo cannot be stored: %s", error)
        if error.errno in _FULL:
            raise StorageFull("The server's disk is full: try again later.", 60) from None
        raise StorageUnavailable("The server cannot store photos now: try again later.", 60) from None
