"""Dropping mapped files' pages from this process. They stay in the page cache, shared and reclaimable."""

import ctypes
import os
import re
from collections.abc import Iterator
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
    may_be_modified: bool
    """Whether it is or was writable: the loader relocates a library's constants before it protects them."""


def mappings_of(path: Path) -> list[Mapping]:
    """Where this process has `path` mapped. Empty where there is no /proc."""
    wanted = str(path.resolve())
    return [mapping for mapped, _, mapping in _mapped_files() if mapped == wanted]


def library_mappings() -> list[Mapping]:
    """Code and constants of the shared libraries in this process. Empty where there is no /proc."""
    return [
        mapping for mapped, mode, mapping in _mapped_files() if ".so" in Path(mapped).name and "w" not in mode
    ]


def _mapped_files() -> Iterator[tuple[str, str, Mapping]]:
    """Each file's path, mode (`r-xp`) and mapping."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        match = _LINE.match(line)
        if match:
            start, end = int(match[1], 16), int(match[2], 16)
            yield match[4], match[3], Mapping(start, end - start, "x" not in match[3])


def release(mappings: list[Mapping]) -> None:
    """Take the pages out of this process's resident set; the next touch maps them again.

    MADV_DONTNEED costs nothing where the pages are still the file's. onnxruntime maps privately and writable,
    and there it would discard what was written, so such a mapping is looked at first, and left alone if
    anything was. (MADV_PAGEOUT would be safe without looking, but evicts the page cache too.)
    """
    madvise = _madvise()
    for mapping in mappings:
        if madvise is not None and not (mapping.may_be_modified and _modified(mapping)):
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
