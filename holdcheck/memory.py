"""What this process uses, what its container allows, and how to give memory back.

The container's limit is the smallest one from this process's memory cgroup up to the root, v1 or v2. Page
cache counts towards a cgroup's usage but the kernel drops it before it kills, so it counts as available here.
"""

import ctypes
import logging
import math
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from holdcheck.result import MemoryUsage

log = logging.getLogger(__name__)

_MIB = 2**20
_ROOT = Path("/")
_NO_LIMIT = 2**60
"""cgroup v1 says "none" as the largest multiple of a page in 63 bits; v2 says `max`."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_LARGE_BLOCK = 4 * _MIB
"""Blocks from here up are mapped one by one, so that a freed photo leaves RSS at once. glibc would otherwise
raise its own threshold to 32 MiB after the first such block and keep the next ones in the heap. Much lower,
and the tensors of a batch of crops are mapped as well, while the kernel clears each page again: from 2 MiB up
a photo takes 8% longer in the same memory, from 1 MiB up the detector takes 45% longer."""
_FREE_HEAP_END = 16 * _MIB
"""So much at the heap's end may stay for the next inference; `trim` gives that back, too."""


def snapshot(root: Path = _ROOT) -> MemoryUsage:
    """Measure now; takes well under a millisecond.

    Args:
        root: where /proc and /sys are looked for; another than `/` only in tests.

    Returns:
        MiB. `peak_mb` is the largest RSS so far (see `reset_peak`); `limit_mb` the container's limit, or the
        host's memory where there is none; `available_mb` what can still be taken before the limit or the host
        is full.
    """
    rss, peak = _process(root)
    limit, available = _host(root)
    for group in _groups(root):
        group_limit = group.limit()
        if group_limit is None:
            continue
        limit = min(limit, group_limit)
        available = min(available, group_limit - group.held())
    return MemoryUsage(
        rss_mb=round(rss / _MIB, 1),
        peak_mb=round(max(peak, rss) / _MIB, 1),
        percent=round(100 * rss / limit, 1),
        limit_mb=round(limit / _MIB, 1),
        available_mb=round(max(0, available) / _MIB, 1),
    )


def container_mb(root: Path = _ROOT) -> float | None:
    """What is charged to the group whose limit is `limit_mb`, or where none has one to this process's own:
    MiB, page cache included, so that it may stand at the limit for long without harm (`available_mb` leaves
    that out). None where there are no memory cgroups."""
    groups = _groups(root)
    tightest = min(groups, key=lambda group: group.limit() or math.inf, default=None)
    charged = tightest.charged() if tightest is not None else None
    return None if charged is None else round(charged / _MIB, 1)


def reset_peak() -> bool:
    """Make `peak_mb` start again from the RSS of now (Linux only); False where that is not possible."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def tune_allocator() -> bool:
    """Make glibc return large blocks when they are freed; call it once, before any thread starts.

    Returns:
        Whether anything was tuned: other C libraries and systems are left as they are.
    """
    libc = _glibc()
    if libc is None:
        return False
    # One arena: each further one, made when a thread starts, keeps its own freed pages.
    wanted = {_M_ARENA_MAX: 1, _M_MMAP_THRESHOLD: _LARGE_BLOCK, _M_TRIM_THRESHOLD: _FREE_HEAP_END}
    results = [libc.mallopt(option, value) for option, value in wanted.items()]
    return all(result == 1 for result in results)


def trim() -> None:
    """Give the heap's free pages back to the kernel; does nothing without glibc."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


@contextmanager
def at_most(mib: float) -> Iterator[None]:
    """Let this process's data grow by no more inside the block (Linux 4.7 and later; elsewhere nothing).

    An allocation beyond it fails as it does on a full machine: what asks for it gets a MemoryError or gives
    up, and nobody is killed. It counts what is reserved, the stacks of new threads among it, and it
    counts for all threads.

    Args:
        mib: what may come on top of what is there now.
    """
    data = _fields(_ROOT / "proc/self/status").get("VmData")
    if data is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = data * 1024 + int(mib * _MIB)
    within = [limit, *(known for known in (soft, hard) if known != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(within), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextmanager
def log_delta(name: str) -> Iterator[None]:
    """Log RSS after the block and what the block added: `[memory] yolo loaded: 120.3 MB (+38.1)`."""
    before = snapshot().rss_mb
    yield
    after = snapshot().rss_mb
    log.info("[memory] %s loaded: %.1f MB (%+.1f)", name, after, after - before)


# --- this process and the host ----------------------------------------------------------------------------


def _process(root: Path) -> tuple[int, int]:
    """RSS and peak RSS, bytes."""
    status = _fields(root / "proc/self/status")
    if "VmRSS" in status:
        return status["VmRSS"] * 1024, status.get("VmHWM", 0) * 1024
    # Imported late, here and below: a MiB that a process on Linux need not spend.
    import psutil  # type: ignore[import-untyped]

    unit = 1 if sys.platform == "darwin" else 1024
    return int(psutil.Process().memory_info().rss), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _host(root: Path) -> tuple[int, int]:
    """Memory of the machine and what of it is available, bytes."""
    meminfo = _fields(root / "proc/meminfo")
    if "MemTotal" in meminfo and "MemAvailable" in meminfo:
        return meminfo["MemTotal"] * 1024, meminfo["MemAvailable"] * 1024
    import psutil

    memory = psutil.virtual_memory()
    return int(memory.total), int(memory.available)


def _fields(path: Path) -> dict[str, int]:
    """The numeric `name value` or `name: value kB` lines of a file; empty where it cannot be read."""
    found = {}
    for line in _read(path).splitlines():
        words = line.split()
        if len(words) >= 2 and words[1].isdigit():
            found[words[0].rstrip(":")] = int(words[1])
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


# --- the container ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Group:
    """One memory cgroup: this process's own or one of its ancestors."""

    folder: Path
    v2: bool

    def limit(self) -> int | None:
        """Bytes; None where this group has no limit of its own."""
        # memory.high does not kill but throttles to a crawl, which serves nobody either.
        names = ("memory.max", "memory.high") if self.v2 else ("memory.limit_in_bytes",)
        values = [_read(self.folder / name).strip() for name in names]
        limits = [int(value) for value in values if value.isdigit()]
        return min((limit for limit in limits if 0 < limit < _NO_LIMIT), default=None)

    def charged(self) -> int | None:
        """Bytes charged to the group; None where it does not say, as the root of cgroup v2."""
        text = _read(self.folder / ("memory.current" if self.v2 else "memory.usage_in_bytes")).strip()
        return int(text) if text.isdigit() else None

    def held(self) -> int:
        """Bytes charged to the group that the kernel cannot simply drop."""
        stat = _fields(self.folder / "memory.stat")
        prefix = "" if self.v2 else "total_"  # v1's plain figures leave out the groups below
        cache = stat.get(f"{prefix}inactive_file", 0) + stat.get(f"{prefix}active_file", 0)
        return max(0, (self.charged() or 0) - cache)


def _groups(root: Path) -> tuple[_Group, ...]:
    # Keyed by the membership, so that a process moved to another group is still measured rightly.
    return _discover(root, _read(root / "proc/self/cgroup"))


@lru_cache(maxsize=8)
def _discover(root: Path, membership: str) -> tuple[_Group, ...]:
    paths = {}  # controllers -> path below the hierarchy's root
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))
    groups: list[_Group] = []
    for mount in _read(root / "proc/self/mountinfo").splitlines():
        before, _, after = mount.partition(" - ")
        kind, _, options = after.split(" ", 2)
        mount_root, mount_point = before.split()[3:5]
        v2 = kind == "cgroup2"
        if v2 and "" in paths:
            groups += _upwards(root / mount_point.lstrip("/"), mount_root, paths[""], v2=True)
        elif kind == "cgroup" and "memory" in options.split(",") and "memory" in paths:
            groups += _upwards(root / mount_point.lstrip("/"), mount_root, paths["memory"], v2=False)
    return tuple(groups)


def _upwards(mount_point: Path, mount_root: str, path: str, *, v2: bool) -> list[_Group]:
    """The groups from `path` to the mount point. Without a cgroup namespace a container sees its own group
    mounted as the root, yet `path` still counts from the host's."""
    try:
        below = PurePosixPath(path).relative_to(mount_root)
    except ValueError:
        below = PurePosixPath(".")
    folders = [mount_point / below, *(mount_point / below).parents]
    inside = [folder for folder in folders if folder.is_relative_to(mount_point)]
    usage = "memory.stat" if v2 else "memory.usage_in_bytes"
    return [_Group(folder, v2) for folder in inside if (folder / usage).exists()]


@lru_cache(maxsize=1)
def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
