import ctypes
import json
import logging
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from holdcheck import memory
from tests import cgroup

MIB = 2**20
GIB = 2**30
NONE_V1 = 2**63 - 4096
V1_MOUNT = "35 31 0:32 {root} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"
V2_MOUNT = "30 23 0:26 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
Tree = Callable[..., Path]

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Make a file system that looks like a Linux host of 8 GiB, 6 of them available."""

    def make(membership: str, mounts: str, files: dict[str, object]) -> Path:
        texts = {
            "proc/self/cgroup": membership,
            "proc/self/mountinfo": mounts,
            "proc/self/status": "Name:\tpython\nVmHWM:\t 204800 kB\nVmRSS:\t 102400 kB\n",
            "proc/meminfo": f"MemTotal: {8 * GIB // 1024} kB\nMemAvailable: {6 * GIB // 1024} kB\n",
            **files,
        }
        for name, text in texts.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n" if text != "" else "")
        return tmp_path

    return make


def v1(path: str, limit: int, usage: int, cache: int = 0) -> dict[str, object]:
    folder = f"sys/fs/cgroup/memory{path}"
    stat = f"inactive_file 1\nactive_file 1\ntotal_inactive_file {cache}\ntotal_active_file 0"
    return {
        f"{folder}/memory.limit_in_bytes": limit,
        f"{folder}/memory.usage_in_bytes": usage,
        f"{folder}/memory.stat": stat,
    }


def v2(path: str, limit: int | str, usage: int, cache: int = 0) -> dict[str, object]:
    folder = f"sys/fs/cgroup{path}"
    return {
        f"{folder}/memory.max": limit,
        f"{folder}/memory.current": usage,
        f"{folder}/memory.stat": f"anon 5\ninactive_file {cache // 2}\nactive_file {cache // 2}",
    }


@pytest.mark.parametrize(
    ("membership", "mounts", "files", "limit_mib", "available_mib"),
    [
        (
            "4:memory:/box\n0::/",
            V1_MOUNT.format(root="/"),
            v1("/box", 256 * MIB, 200 * MIB) | v1("", NONE_V1, GIB),
            256,
            56,
        ),  # v1
        (
            "4:memory:/box",
            V1_MOUNT.format(root="/"),
            v1("/box", 256 * MIB, 200 * MIB, 50 * MIB),
            256,
            106,
        ),  # cache
        (
            "4:memory:/docker/abc",
            V1_MOUNT.format(root="/docker/abc"),
            v1("", 300 * MIB, 0),
            300,
            300,
        ),  # in Docker
        ("4:memory:/", V1_MOUNT.format(root="/"), v1("", NONE_V1, GIB), 8192, 6144),  # v1 unlimited
        ("0::/box", V2_MOUNT.format(root="/"), v2("/box", 256 * MIB, 100 * MIB, 20 * MIB), 256, 176),  # v2
        ("0::/", V2_MOUNT.format(root="/"), v2("", 256 * MIB, 56 * MIB), 256, 200),  # v2 with a namespace
        ("0::/box", V2_MOUNT.format(root="/"), v2("/box", "max", 100 * MIB), 8192, 6144),  # v2 unlimited
        (
            "0::/slice/box/leaf",
            V2_MOUNT.format(root="/"),
            v2("/slice", 512 * MIB, 500 * MIB)
            | v2("/slice/box", 256 * MIB, 10)
            | v2("/slice/box/leaf", "max", 9),
            256,
            12,
        ),  # nested: the smallest limit, and the least that any level has left
        (
            "0::/box",
            V2_MOUNT.format(root="/"),
            v2("/box", 512 * MIB, 0) | {"sys/fs/cgroup/box/memory.high": 400 * MIB},
            400,
            400,
        ),  # throttled earlier than killed
        (
            "4:memory:/box\n0::/",
            V1_MOUNT.format(root="/")
            + "\n"
            + V2_MOUNT.format(root="/").replace("cgroup ", "cgroup/unified ", 1),
            v1("/box", 256 * MIB, 0),
            256,
            256,
        ),  # hybrid: the memory controller is v1's
        (
            "0::/box",
            V2_MOUNT.format(root="/"),
            v2("/box", 64 * MIB, 90 * MIB),
            64,
            0,
        ),  # over its limit already
        ("", "", {}, 8192, 6144),  # no cgroups
        ("0::/box", V2_MOUNT.format(root="/"), v2("/box", 2**50, 0), 8192, 6144),  # a limit beyond the host
    ],
)
def test_the_container_is_read(
    tree: Tree, membership: str, mounts: str, files: dict[str, object], limit_mib: int, available_mib: int
) -> None:
    usage = memory.snapshot(tree(membership, mounts, files))
    assert usage.limit_mb == limit_mib
    assert usage.available_mb == pytest.approx(available_mib, abs=0.1)
    assert (usage.rss_mb, usage.peak_mb) == (100, 200)
    assert usage.percent == pytest.approx(100 * 100 / limit_mib, abs=0.1)


@pytest.mark.parametrize(
    ("membership", "mounts", "files", "charged_mib"),
    [
        ("4:memory:/box", V1_MOUNT.format(root="/"), v1("/box", 256 * MIB, 200 * MIB, 50 * MIB), 200),
        ("0::/box", V2_MOUNT.format(root="/"), v2("/box", "max", 100 * MIB), 100),
        (
            "0::/slice/box/leaf",
            V2_MOUNT.format(root="/"),
            v2("/slice", 512 * MIB, 500 * MIB)
            | v2("/slice/box", 256 * MIB, 90 * MIB)
            | v2("/slice/box/leaf", "max", 9 * MIB),
            90,
        ),  # nested: the one whose limit counts
        ("0::/", V2_MOUNT.format(root="/"), {"sys/fs/cgroup/memory.stat": "anon 5"}, None),  # the host itself
        ("", "", {}, None),  # no cgroups
    ],
)
def test_what_is_charged_to_the_container_includes_the_page_cache(
    tree: Tree, membership: str, mounts: str, files: dict[str, object], charged_mib: int | None
) -> None:
    assert memory.container_mb(tree(membership, mounts, files)) == charged_mib


def test_a_process_moved_to_another_group_is_measured_there(tree: Tree) -> None:
    files = v2("/box", 256 * MIB, 0) | v2("/other", 128 * MIB, 0)
    root = tree("0::/box", V2_MOUNT.format(root="/"), files)
    assert memory.snapshot(root).limit_mb == 256
    (root / "proc/self/cgroup").write_text("0::/other\n")
    assert memory.snapshot(root).limit_mb == 128


def test_without_proc_psutil_answers(tmp_path: Path) -> None:
    usage = memory.snapshot(tmp_path)
    assert 5 < usage.rss_mb <= usage.peak_mb
    assert usage.rss_mb < usage.limit_mb
    assert 0 < usage.available_mb < usage.limit_mb


SNAPSHOT = "from holdcheck import memory; print(memory.snapshot().model_dump_json())"


def test_a_real_limited_group_is_reported() -> None:
    with cgroup.memory_limit(200, cold=False) as group:
        command = group.command(sys.executable, "-c", SNAPSHOT)
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    usage = json.loads(output)
    assert usage["limit_mb"] == 200
    assert 100 < usage["available_mb"] < 200
    assert usage["percent"] == pytest.approx(usage["rss_mb"] / 2, abs=0.1)


def test_a_snapshot_takes_less_than_a_millisecond() -> None:
    def seconds() -> float:
        start = time.perf_counter()
        memory.snapshot()
        return time.perf_counter() - start

    assert min(seconds() for _ in range(50)) < 1e-3


@on_linux
def test_the_peak_is_the_largest_rss_and_can_be_reset() -> None:
    memory.trim()  # what other tests freed could serve the block without any new page
    assert memory.reset_peak()
    before = memory.snapshot().rss_mb
    block = np.ones(64 * MIB, np.uint8)
    del block
    memory.trim()
    usage = memory.snapshot()
    assert usage.peak_mb > before + 60
    assert usage.rss_mb < before + 10
    assert memory.reset_peak()
    assert memory.snapshot().peak_mb < before + 10


FREE = """
import ctypes
import numpy as np
from holdcheck import memory
if {tuned}:
    assert memory.tune_allocator()
warm = [np.ones(30 * 2**20, np.uint8) for _ in range(2)]
del warm  # glibc now takes blocks of this size from the heap
before = memory.snapshot().rss_mb
blocks = [np.ones(8 * 2**20, np.uint8) for _ in range(8)]
last = np.ones(8 * 2**20, np.uint8)  # holds the heap's end, so that nothing below it can be given back
del blocks
print(memory.snapshot().rss_mb - before)
"""


def _has_glibc() -> bool:
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


@pytest.mark.skipif(not _has_glibc(), reason="only glibc is tuned")
@pytest.mark.parametrize(("tuned", "low", "high"), [(True, 7, 12), (False, 60, 80)])
def test_tuning_gives_freed_tensors_back_at_once(tuned: bool, low: float, high: float) -> None:
    command = [sys.executable, "-c", FREE.format(tuned=tuned)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert low < float(output) < high


def test_trim_can_always_be_called() -> None:
    memory.trim()


def test_what_a_load_added_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), memory.log_delta("yolo"):
        block = np.ones(32 * MIB, np.uint8)
    assert block.size
    (line,) = caplog.messages
    assert line.startswith("[memory] yolo loaded: ")
    assert 30 < float(line.rsplit("(+")[1].rstrip(")")) < 40


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone counts a process's data")
def test_inside_at_most_no_more_is_to_be_had_and_afterwards_it_is() -> None:
    with memory.at_most(30):
        assert np.ones(10 * 2**20, np.uint8).all()
        with pytest.raises(MemoryError):
            np.empty(2 * GIB, np.uint8)
    assert np.empty(2 * GIB, np.uint8).size


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone counts a process's data")
def test_at_most_ends_with_an_error_too() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.raises(ValueError, match="inside"), memory.at_most(30):
        raise ValueError("inside")
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
