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
from itertools import groupby
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

    def contents(self, below: str) -> Iterator[tuple[str, list[str]]]:
        """Each folder below one, and the names of all that is in it, such as `outputs/result.json`.

        One after the other, however many there are.
        """
        ...

    def total(self, folder: str) -> int:
        """Bytes of everything below."""
        ...


def open_blobs(url: str, spool: Path) -> Blobs:
    """What a DATA_URL names: `file:///srv/holdcheck`, `s3://bucket/prefix`, or what else fsspec knows.

    Args:
        spool: a folder of this machine's disk, for what comes from far away and is read here.

    Raises:
        ValueError: it names nothing that can be used.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return FolderBlobs(Path(unquote(parts.path)))
    if parts.scheme in ("", "file"):
        raise ValueError("takes file:///FOLDER or a URL such as s3://BUCKET/PREFIX")
    return FsspecBlobs(url, spool)


class FolderBlobs:
    """In a folder, of this machine or of a network file system that keeps its fsync."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with storage_errors():
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
        path = self._folder / name
        with _local_errors():
            return path.open("rb")

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

    def contents(self, below: str) -> Iterator[tuple[str, list[str]]]:
        with storage_errors(), suppress(FileNotFoundError), os.scandir(self._folder / below) as entries:
            for entry in entries:
                if entry.is_dir():
                    found = _below(Path(entry.path))
                    yield entry.name, [path.relative_to(entry.path).as_posix() for path in found]

    def total(self, folder: str) -> int:
        return sum(_size(path) for path in _below(self._folder / folder))

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

    def __init__(self, url: str, spool: Path) -> None:
        import fsspec

        self._spool = spool
        self._bucket: Any = None
        options: dict[str, Any] = {}
        if urlsplit(url).scheme == "s3":
            from obstore.fsspec import register
            from obstore.store import from_url

            register("s3")
            options["retry_config"] = {"max_retries": 3, "retry_timeout": timedelta(seconds=_PATIENCE_S)}
        self._files: Any
        self._files, self._root = fsspec.core.url_to_fs(url, **options)
        if options:
            self._bucket = from_url(f"s3://{self._root.partition('/')[0]}", **options)

    def put(self, name: str, data: bytes) -> None:
        with _store_errors():
            self._files.pipe_file(self._at(name), data)

    def put_file(self, name: str, file: Path) -> None:
        with _store_errors():
            self._files.put_file(str(file), self._at(name))

    def fetch(self, name: str, to: Path) -> None:
        data = self._fetched(name)
        with storage_errors():
            to.write_bytes(data)

    def open(self, name: str) -> BinaryIO:
        # Through a file that has no name any more: one answer, whatever is put meanwhile, and no more memory
        # for a slow reader than if it lay here.
        data = self._fetched(name)
        with storage_errors():
            make_private(self._spool)
            file = tempfile.TemporaryFile(dir=self._spool)  # noqa: SIM115 - it is handed on
            try:
                file.write(data)
                file.seek(0)
            except OSError:
                file.close()
                raise
            return cast(BinaryIO, file)

    def drop(self, name: str) -> None:
        with suppress(FileNotFoundError), _store_errors(may_lack=True):
            self._files.rm_file(self._at(name))

    def erase(self, folder: str) -> None:
        with _store_errors():
            for path in [path for path, _ in self._found(folder)]:
                # Another server may be at it.
                with suppress(FileNotFoundError):
                    self._files.rm_file(path)

    def folders(self, below: str) -> list[str]:
        return sorted({folder for folder, _ in self.contents(below)})

    def contents(self, below: str) -> Iterator[tuple[str, list[str]]]:
        start = len(self._at(below)) + 1
        with _store_errors():
            names = (path[start:].partition("/") for path, _ in self._found(below))
            for folder, parts in groupby((name for name in names if name[1]), key=lambda name: name[0]):
                yield folder, [name for _, _, name in parts]

    def total(self, folder: str) -> int:
        with _store_errors():
            return sum(size for _, size in self._found(folder))

    def _fetched(self, name: str) -> bytes:
        # Whole: its library fetches nothing in parts by one answer.
        with _store_errors(may_lack=True):
            return cast(bytes, self._files.cat_file(self._at(name)))

    def _found(self, folder: str) -> Iterator[tuple[str, int]]:
        """All objects below, and their bytes."""
        if self._bucket is None:
            self._files.invalidate_cache()
            for path, found in self._files.find(self._at(folder), detail=True).items():
                yield path, int(found["size"] or 0)
            return
        # fsspec would ask for each folder by itself, and remember all of them; a bucket names a thousand
        # objects at a time, whatever their folders.
        bucket, _, prefix = self._at(folder).partition("/")
        for part in self._bucket.list(prefix or None):
            for found in part:
                yield f"{bucket}/{found['path']}", found["size"]

    def _at(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}".rstrip("/")


def _below(folder: Path) -> Iterator[Path]:
    """All files; what another server erases meanwhile is left out."""
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names)


@contextmanager
def _local_errors() -> Iterator[None]:
    """As `storage_errors`, where that something is not there is an answer."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError:
        with storage_errors():
            raise


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
