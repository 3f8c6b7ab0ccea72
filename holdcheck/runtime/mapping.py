"""Dropping a mapped model's pages from this process. They stay in the page cache, shared and reclaimable."""

import ctypes
import re
from dataclasses import dataclass
from pathlib import Path

_MADV_DONTNEED = 4
_MADV_PAGEOUT = 21  # Linux 5.4
_LINE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \d+ +(.*)")


@dataclass(frozen=True, slots=True)
class Mapping:
    """One line of /proc/self/maps."""

    start: int
    length: int
    writable: bool


def mappings_of(path: Path) -> list[Mapping]:
    """Where this process has `path` mapped. Empty where there is no /proc."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    wanted = str(path.resolve())
    found = []
    for line in lines:
        match = _LINE.match(line)
        if match and match[4] == wanted:
            start, end = int(match[1], 16), int(match[2], 16)
            found.append(Mapping(start, end - start, "w" in match[3]))
    return found


def release(mappings: list[Mapping]) -> None:
    """Take the pages out of this process's resident set; the next touch maps them again.

    A read-only mapping loses nothing by MADV_DONTNEED. In a writable private one that would also discard
    what was written, so the kernel is asked to page it out instead, which keeps modified pages.
    """
    madvise = _madvise()
    if madvise is None:
        return
    for mapping in mappings:
        advice = _MADV_PAGEOUT if mapping.writable else _MADV_DONTNEED
        # Advice may be refused (an older kernel, a locked page): nothing is lost but the saving.
        madvise(ctypes.c_void_p(mapping.start), ctypes.c_size_t(mapping.length), advice)


def _madvise() -> "ctypes._NamedFuncPointer | None":
    try:
        return ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return None
