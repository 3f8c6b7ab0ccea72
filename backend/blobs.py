"""Photos, results and corrections by name, wherever DATA_URL keeps them: a folder, or an object store.

Each is written whole and read whole; none is appended to. So an object store can keep them, and what does
grow, a job's events, lies elsewhere (docs/cluster.md).
"""

import io
import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol, cast
from urllib.parse import unquote, urlsplit

from backend.descriptors import open_file
from backend.disk_space import occupied
from backend.errors import StorageUnavailable
from backend.job_files import make_private, storage_errors, sync

log = logging.getLogger(__name__)

_PATIENCE_S = 30.0
"""For all tries of one request to an object store; one takes 30 s at most by itself."""


class Blobs(Protocol):
    """Bytes by name, such as `<job id>/outputs/result.json`. The methods block: not for the event loop.

    Every method may raise StorageFull or StorageUnavailable.
    """

    def put(self, name: str, data: bytes) -> None:
        """All of it, in place of what was there, or nothing. A power cut does not take it any more."""
        ...

    def put_file(self, name: str, file: Path) -> None:
        """The same with a file's bytes, which are not all read into memory."""
        ...

    def fetch(self, name: str, to: Path) -> None:
        """Copy it to a file of this machine.

        Raises:
            FileNotFoundError: it is not there.
        """
        ...

    def open(self, name: str) -> BinaryIO:
        """What is erased or replaced from now on can still be read to its end.

        Raises:
            FileNotFoundError: it is not there.
        """
        ...

    def drop(self, name: str) -> None:
        """Delete it if it is there."""
        ...

    def erase(self, folder: str) -> None:
        """Delete everything below."""
        ...

    def folders(self, below: str) -> list[str]:
        """The names of all folders below one that have something in them."""
        ...

    def total(self, folder: str) -> int:
        """Bytes of everything below."""
        ...


def open_blobs(url: str) -> Blobs:
    """What a DATA_URL names: `file:///srv/holdcheck`, `s3://bucket/prefix`, or what else fsspec knows.

    Raises:
        ValueError: it names nothing that can be used.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return FolderBlobs(Path(unquote(parts.path)))
    if parts.scheme in ("", "file"):
        raise ValueError("takes file:///FOLDER or a URL such as s3://BUCKET/PREFIX")
    return FsspecBlobs(url)


class FolderBlobs:
    """In a folder, of this machine or of a network file system that keeps its fsync."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_private(folder)

    def put(self, name: str, data: bytes) -> None:
        self._place(name, io.BytesIO(data))

    def put_file(self, name: str, file: Path) -> None:
        with file.open("rb") as source:
            self._place(name, source)

    def fetch(self, name: str, to: Path) -> None:
        with self.open(name) as source, storage_errors(), to.open("wb") as target:
            shutil.copyfileobj(source, target)

    def open(self, name: str) -> BinaryIO:
        return (self._folder / name).open("rb")

    def drop(self, name: str) -> None:
        with storage_errors():
            (self._folder / name).unlink(missing_ok=True)

    def erase(self, folder: str) -> None:
        # Where another server is at it, that one goes on.
        with storage_errors(), suppress(FileNotFoundError):
            shutil.rmtree(self._folder / folder)

    def folders(self, below: str) -> list[str]:
        with storage_errors(), suppress(FileNotFoundError):
            return [entry.name for entry in (self._folder / below).iterdir() if entry.is_dir()]
        return []

    def total(self, folder: str) -> int:
        return sum(_size(path) for path in (self._folder / folder).rglob("*"))

    def _place(self, name: str, source: BinaryIO) -> None:
        with storage_errors():
            path = self._made(name)
            # Not `write_whole`: another server may be putting the same blob.
            draft = path.with_name(f".{uuid.uuid4()}")
            try:
                with os.fdopen(open_file(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as target:
                    shutil.copyfileobj(source, target)
                    target.flush()
                    os.fsync(target.fileno())
                draft.replace(path)
            except OSError:
                draft.unlink(missing_ok=True)
                raise
            sync(path.parent)

    def _made(self, name: str) -> Path:
        """The place of a blob, in folders that outlive a power cut as it does."""
        path = self._folder
        for part in PurePosixPath(name).parent.parts:
            path /= part
            if not path.is_dir():
                path.mkdir(mode=0o700, exist_ok=True)
                sync(path.parent)
        return self._folder / name


class FsspecBlobs:
    """In whatever fsspec reaches by a URL: an S3-compatible store above all.

    Its library is imported here and nowhere else: docs/cluster.md says what that costs. Credentials and the
    endpoint come from the library's own variables (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, ...).
    """

    def __init__(self, url: str) -> None:
        import fsspec

        options: dict[str, Any] = {}
        if urlsplit(url).scheme == "s3":
            from obstore.fsspec import register

            register("s3")
            options["retry_config"] = {"max_retries": 3, "retry_timeout": timedelta(seconds=_PATIENCE_S)}
        self._files: Any
        self._files, self._root = fsspec.core.url_to_fs(url, **options)

    def put(self, name: str, data: bytes) -> None:
        with _store_errors():
            self._files.pipe_file(self._at(name), data)

    def put_file(self, name: str, file: Path) -> None:
        with _store_errors():
            self._files.put_file(str(file), self._at(name))

    def fetch(self, name: str, to: Path) -> None:
        with _store_errors(may_lack=True):
            self._files.get_file(self._at(name), str(to))

    def open(self, name: str) -> BinaryIO:
        # Through a file that has no name any more: one answer, whatever is put meanwhile, and no more memory
        # for a slow reader than if it lay here.
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "blob"
            self.fetch(name, file)
            return cast(BinaryIO, file.open("rb"))

    def drop(self, name: str) -> None:
        with suppress(FileNotFoundError), _store_errors(may_lack=True):
            self._files.rm_file(self._at(name))

    def erase(self, folder: str) -> None:
        with _store_errors():
            for path in self._find(folder):
                # Another server may be at it.
                with suppress(FileNotFoundError):
                    self._files.rm_file(path)

    def folders(self, below: str) -> list[str]:
        with _store_errors():
            depth = len(PurePosixPath(self._at(below)).parts)
            return sorted({PurePosixPath(path).parts[depth] for path in self._find(below)})

    def total(self, folder: str) -> int:
        with _store_errors():
            return sum(int(found["size"] or 0) for found in self._find(folder).values())

    def _find(self, folder: str) -> dict[str, dict[str, Any]]:
        """What another server wrote or erased is seen: nothing is remembered."""
        self._files.invalidate_cache()
        return dict(self._files.find(self._at(folder), detail=True))

    def _at(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}".rstrip("/")


def _size(path: Path) -> int:
    try:
        return occupied(path.lstat().st_size) if path.is_file() else 0
    except OSError:
        return 0


@contextmanager
def _store_errors(*, may_lack: bool = False) -> Iterator[None]:
    """Each library behind fsspec has errors of its own; a client is told the same of all.

    Args:
        may_lack: that it is not there is an answer. Where something is written, a missing bucket says so too.
    """
    try:
        yield
    except Exception as error:
        if may_lack and isinstance(error, FileNotFoundError):
            raise
        log.error("the store of photos and results failed: %s", error)
        raise StorageUnavailable("The server's storage cannot be used now: try again later.", 60) from None
