"""One job's events in a file, a line each: `seq json`. Written by one, read by any number."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from backend.descriptors import open_file
from backend.job_files import storage_errors, sync, write_all


@dataclass(frozen=True, slots=True)
class Line:
    """An event as it is stored and sent."""

    seq: int
    json: bytes

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
    """Reads from the first event after `after` on; what is erased meanwhile can still be read to its end."""

    def __init__(self, file: Path, after: int) -> None:
        self._after = after
        self._read = 0
        self._path = file
        self._file: BinaryIO | None = None
        self._open()

    def next(self, end: int | None) -> Line | None:
        """The next event before the position `end`; None where there is none yet."""
        if self._file is None:
            self._open()
        while self._file is not None and (end is None or self._read < end):
            raw = self._file.readline()
            if not raw.endswith(b"\n"):
                self._file.seek(self._read)
                return None
            self._read += len(raw)
            line = _parse(raw)
            if line is not None and line.seq > self._after:
                self._after = line.seq
                return line
        return None

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


def _parse(raw: bytes) -> Line | None:
    """None for what is no whole line: zeros and scraps are what a power cut leaves."""
    seq, _, json = raw.partition(b" ")
    if not seq.isdigit() or not json.startswith(b"{") or not json.endswith(b"}\n") or b"\0" in json:
        return None
    return Line(int(seq), json[:-1])
