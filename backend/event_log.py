"""One job's events in a file, a line each: `seq json`. Written by one, read by any number."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from backend.descriptors import open_file
from backend.job_files import storage_errors, sync, write_all

PIECE_BYTES = 16 * 1024
"""What a reader has in memory of a long event."""


@dataclass(frozen=True, slots=True)
class Line:
    """An event as it is stored and sent, or, read back, a part of a long one."""

    seq: int
    json: bytes
    begins: bool = True
    ends: bool = True

    def encoded(self) -> bytes:
        return b"%d %s\n" % (self.seq, self.json)


def append(file: Path, lines: Sequence[Line], at: int, *, synced: bool = False) -> int:
    """Write lines at the file's end, `at`; answers the new end. All of them, or none.

    Without `synced` they outlive the process, not a power cut.

    Raises:
        StorageFull, StorageUnavailable: the disk does not take them.
    """
    data = b"".join(line.encoded() for line in lines)
    with storage_errors():
        descriptor = open_file(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            write_all(descriptor, data)
            if synced:
                os.fsync(descriptor)
                sync(file.parent)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, at)
            raise
        finally:
            os.close(descriptor)
    return at + len(data)


class Reader:
    """Reads from the first event after `after` on; what is erased meanwhile can still be read to its end.

    An event of more than PIECE_BYTES comes in parts: a result is a megabyte, and readers may be slow.
    """

    def __init__(self, file: Path, after: int) -> None:
        self.last = 0
        """The number of the last event that it came by."""
        self._after = after
        self._read = 0
        self._rest = 0
        """Bytes still to come of the event whose first part was read."""
        self._path = file
        self._file: BinaryIO | None = None
        self._open()

    def next(self, end: int | None) -> Line | None:
        """The next event before the position `end`, or the next part; None where there is none yet."""
        if self._file is None:
            self._open()
        if self._file is not None and self._rest:
            return self._part(self._file)
        while self._file is not None and (end is None or self._read < end):
            raw = self._file.readline(PIECE_BYTES)
            size = _measure(self._file, raw)
            if size is None:
                self._file.seek(self._read)
                return None
            begin, self._read = self._read, self._read + size
            line = _parse(raw) if size == len(raw) else _parse_part(self._file, raw, begin + size)
            if line is None:
                continue
            self.last = max(self.last, line.seq)
            if line.seq > self._after:
                self._after = line.seq
                self._rest = 0 if line.ends else size - len(raw)
                return line
        return None

    def _part(self, file: BinaryIO) -> Line:
        file.seek(self._read - self._rest)
        json = file.read(min(PIECE_BYTES, self._rest))
        self._rest -= len(json)
        if not self._rest:
            json = json.removesuffix(b"\n")
        return Line(self._after, json, begins=False, ends=not self._rest)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self) -> None:
        with suppress(FileNotFoundError):  # it comes with the first event
            self._file = self._path.open("rb")


def recover(file: Path) -> tuple[Line | None, int]:
    """What a dead process left: its last event, and where the file ends.

    Cuts off what a power cut left half written.
    """
    last: Line | None = None
    end = 0
    for last, end in _whole_lines(file):  # noqa: B007 - the last ones are wanted
        pass
    with suppress(FileNotFoundError):
        os.truncate(file, end)
    return last, end


def _whole_lines(file: Path) -> Iterator[tuple[Line, int]]:
    position, seq = 0, 0
    with suppress(FileNotFoundError), file.open("rb") as lines:
        for raw in lines:
            line = _parse(raw)
            if line is None or line.seq <= seq:
                return
            position += len(raw)
            seq = line.seq
            yield line, position


def _measure(file: BinaryIO, raw: bytes) -> int | None:
    """How long a line is that begins so; None where it has no end yet. Leaves the file after it."""
    size, last = len(raw), raw
    while not last.endswith(b"\n"):
        last = file.readline(PIECE_BYTES)
        if not last:
            return None
        size += len(last)
    return size


def _parse_part(file: BinaryIO, raw: bytes, end: int) -> Line | None:
    """The first part of a long line that ends at `end`; None where it is none, as `_parse`."""
    file.seek(end - 2)
    if _parse(raw + file.read(2)) is None:
        return None
    seq, _, json = raw.partition(b" ")
    return Line(int(seq), json, ends=False)


def _parse(raw: bytes) -> Line | None:
    """None for what is no whole line: zeros and scraps are what a power cut leaves."""
    seq, _, json = raw.partition(b" ")
    if not seq.isdigit() or not json.startswith(b"{") or not json.endswith(b"}\n") or b"\0" in json:
        return None
    return Line(int(seq), json[:-1])
