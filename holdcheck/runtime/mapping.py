"""Dropping a mapped model's pages from this process. They stay in the page cache, shared and reclaimable."""

import ctypes
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_MADV_DONTNEED = 4
# Linux, admin-guide/mm/pagemap: one 64-bit entry a page; bit 63 present, 62 swapped, 61 of a file.
_ENTRY_BYTES = 8
_PRESENT_OR_SWAPPED = np.uint64(0b11 << 62)
_FROM_FILE = np.uint64(1 << 61)
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

    MADV_DONTNEED costs nothing where the pages are still the file's. onnxruntime maps privately and writable,
    and there it would discard what was written, so such a mapping is looked at first, and left alone if
    anything was. (MADV_PAGEOUT would be safe without looking, but evicts the page cache too.)
    """
    madvise = _madvise()
    for mapping in mappings:
        if madvise is not None and not (mapping.writable and _modified(mapping)):
            madvise(ctypes.c_void_p(mapping.start), ctypes.c_size_t(mapping.length), _MADV_DONTNEED)


def _modified(mapping: Mapping) -> bool:
    """Whether any page was written to, which made it anonymous; True where the kernel does not tell."""
    pages = mapping.length // os.sysconf("SC_PAGE_SIZE")
    try:
        with Path("/proc/self/pagemap").open("rb", buffering=0) as file:
            file.seek(mapping.start // os.sysconf("SC_PAGE_SIZE") * _ENTRY_BYTES)
            entries = np.frombuffer(file.read(pages * _ENTRY_BYTES), dtype=np.uint64)
    except OSError:
        return True
    if len(entries) != pages:
        return True
    present, from_file = entries & _PRESENT_OR_SWAPPED != 0, entries & _FROM_FILE != 0
    return bool(np.any(present & ~from_file))


def _madvise() -> "ctypes._NamedFuncPointer | None":
    try:
        return ctypes.CDLL(None).madvise
    except (OSError, AttributeError):
        return None
