"""A memory cgroup of one's own, v1 or v2, to run a process under a real limit."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_MIB = 1 << 20
_numbers = count()


class NoCgroup(Exception):
    """A memory cgroup cannot be made here, as root or at all."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the kernel counted in the group so far. Page cache counts, but goes before anyone dies."""

    peak_mib: float
    """The most at once, never above the limit."""
    oom_kills: int
    limit_hits: int
    """How often the limit was reached and something had to be reclaimed."""


@dataclass(frozen=True, slots=True)
class MemoryCgroup:
    """A limited group; processes join it by being started with `command`."""

    folder: Path
    is_v2: bool

    def command(self, *arguments: str) -> list[str]:
        """The arguments of a process that enters the group before it becomes the given program."""
        return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.folder / "cgroup.procs"), *arguments]

    def usage(self) -> Usage:
        if self.is_v2:
            events = _fields(self.folder / "memory.events")
            peak = int((self.folder / "memory.peak").read_text())
            return Usage(peak / _MIB, events["oom_kill"], events["max"])
        peak = int((self.folder / "memory.max_usage_in_bytes").read_text())
        kills = _fields(self.folder / "memory.oom_control").get("oom_kill", 0)
        return Usage(peak / _MIB, kills, int((self.folder / "memory.failcnt").read_text()))


@contextmanager
def memory_limit(mib: int, *, cold: bool = True) -> Iterator[MemoryCgroup]:
    """Make a group limited to `mib`, and remove it afterwards.

    Args:
        cold: drop the page cache first. Without it, files read earlier are charged to nobody here, and a
            process seems to need less than it does.

    Raises:
        NoCgroup: it takes root and a cgroup file system that may be written.
    """
    group = _make(mib)
    try:
        if cold:
            drop_page_cache()
        yield group
    finally:
        _remove(group.folder)


def drop_page_cache() -> None:
    """Forget every clean page of every file (needs root)."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("1\n")


def _make(mib: int) -> MemoryCgroup:
    is_v2 = not (_ROOT / "memory").is_dir()
    folder = (_ROOT if is_v2 else _ROOT / "memory") / f"holdcheck-{os.getpid()}-{next(_numbers)}"
    try:
        if is_v2:
            (_ROOT / "cgroup.subtree_control").write_text("+memory")
        folder.mkdir()
        (folder / ("memory.max" if is_v2 else "memory.limit_in_bytes")).write_text(str(mib * _MIB))
        if is_v2:
            (folder / "memory.swap.max").write_text("0")
    except OSError as error:
        if folder.is_dir():
            _remove(folder)
        raise NoCgroup(
            f"NO REAL MEMORY LIMIT: a memory cgroup cannot be made here, as root or at all ({error})"
        ) from None
    return MemoryCgroup(folder, is_v2)


def _remove(folder: Path) -> None:
    for _ in range(100):  # a killed process leaves its group a moment after its exit is known
        try:
            folder.rmdir()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{folder} still has processes: {(folder / 'cgroup.procs').read_text().split()}")


def _fields(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in path.read_text().splitlines())
    return {name: int(value) for name, value in pairs}
