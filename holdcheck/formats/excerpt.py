"""A file without the parts that its decoder does not need."""

import io
from collections.abc import Sequence
from pathlib import Path


class Excerpt(io.RawIOBase):
    """Stretches of a file, read as if they were all of it.

    Pillow keeps every segment and chunk in memory, unpacks texts of many MiB, follows EXIF directories
    wherever they lead, and searches for markers byte by byte. None of that is of use here, and none of it
    is in what its decoders get.
    """

    def __init__(self, path: Path, stretches: Sequence[tuple[int, int]]) -> None:
        """`stretches`: (start, end) of each, in the order in which they are read."""
        self._file = path.open("rb")
        self._stretches = stretches
        self._size = sum(end - start for start, end in stretches)
        self._index = self._passed = self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._index = self._passed = 0
        return self._at

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        """At most to the end of a stretch; `read` of what wraps this goes on from there."""
        while self._index < len(self._stretches):
            start, end = self._stretches[self._index]
            inside = self._at - self._passed
            if inside < end - start:
                self._file.seek(start + inside)
                count = self._file.readinto(memoryview(buffer)[: end - start - inside])
                self._at += count
                return count
            self._passed += end - start
            self._index += 1
        return 0

    def close(self) -> None:
        self._file.close()
        super().close()


def opened(path: Path, stretches: Sequence[tuple[int, int]]) -> io.BufferedReader:
    """An Excerpt that is read in blocks."""
    return io.BufferedReader(Excerpt(path, stretches), 65_536)
