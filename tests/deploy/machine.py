"""A machine for tests: systemd as its first process, this one's files below its own, and no network.

What is written there lies in memory and is gone with it; only `out` is seen outside.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
_CGROUPS = Path("/sys/fs/cgroup")
_TIMEOUT_S = 480
_NOT_ALLOWED = 77
_UNIT = """
[Unit]
Requires=basic.target
After=basic.target
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
Environment=PYTHONPATH={root} HOME=/root
WorkingDirectory={root}
ExecStart={python} -m {module} {arguments}
StandardOutput=file:{out}/stdout
StandardError=file:{out}/stderr
"""
_START = """
set -e
for group in $2; do echo $$ > "$group/cgroup.procs"; done
mount -t tmpfs -o size=1g tmpfs "$1" || exit 77
mkdir "$1/changed" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changed,workdir=$1/work" "$1/root" || exit 77
: > "$1/root/etc/machine-id"
cp "$1.unit" "$1/root/etc/systemd/system/proof.service"
# What starts otherwise on this machine is not needed there.
rm -rf "$1/root/etc/systemd/system/sysinit.target.wants" "$1/root/etc/systemd/system/basic.target.wants"
# It would empty /tmp, where tests have their folders.
ln -s /dev/null "$1/root/etc/systemd/system/systemd-tmpfiles-setup.service"
# nspawn leaves folders in it.
mount -t tmpfs tmpfs /run
shift 2
exec "$@"
"""
# nspawn mounts the controllers read-only, and without one there is no MemoryMax. What they show is the group
# that was made for the machine.
_FIRST_PROCESS = """
for groups in /sys/fs/cgroup/memory /sys/fs/cgroup; do mount -o remount,rw,bind "$groups" 2>/dev/null; done
exec /lib/systemd/systemd --unit=proof.service
"""


def run_inside(module: str, arguments: list[str], out: Path, code: Path) -> str:
    """Run a module of the tests in a machine of its own. Answers what it printed.

    Args:
        out: a folder that the machine may write to.
        code: a folder on disk that is its /opt/holdcheck: hundreds of MiB would lie in memory else.
    """
    skip_where_impossible()
    scratch = out.parent / "machine"
    scratch.mkdir()
    unit = _UNIT.format(
        root=ROOT, python=sys.executable, module=module, arguments=" ".join(arguments), out=out
    )
    Path(f"{scratch}.unit").write_text(unit)
    nspawn = ["systemd-nspawn", "--quiet", f"--directory={scratch}/root", "--register=no", "--keep-unit"]
    nspawn += ["--private-network", f"--machine=holdcheck-{os.getpid()}", "--console=pipe"]
    nspawn += [f"--bind={out}", f"--bind={code}:/opt/holdcheck", "/bin/sh", "-c", _FIRST_PROCESS]
    environment = {**os.environ, "SYSTEMD_NSPAWN_TMPFS_TMP": "0"}
    with _control_groups() as groups:
        command = ["unshare", "--mount", "sh", "-c", _START, "sh", str(scratch), " ".join(groups), *nspawn]
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    if done.returncode == _NOT_ALLOWED:
        _skip(f"this root may not mount: {done.stderr.strip()}")
    said = (out / "stdout").read_text() if (out / "stdout").exists() else ""
    wrong = (out / "stderr").read_text() if (out / "stderr").exists() else "the machine did not start"
    assert done.returncode == 0, f"{wrong}\n{said}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return said


@contextmanager
def _control_groups() -> Iterator[list[str]]:
    """Groups of the machine's own, one in each hierarchy that systemd manages here (v1, v2 or both)."""
    hierarchies = [_CGROUPS / name for name in ("systemd", "unified", "memory")]
    if not (_CGROUPS / "systemd").is_dir():
        hierarchies = [_CGROUPS]
    groups = [
        hierarchy / f"holdcheck-machine-{os.getpid()}" for hierarchy in hierarchies if hierarchy.is_dir()
    ]
    try:
        try:
            if hierarchies == [_CGROUPS]:
                (_CGROUPS / "cgroup.subtree_control").write_text("+memory +pids")
            for group in groups:
                group.mkdir()
        except OSError as error:
            _skip(f"control groups cannot be made: {error}")
        yield [str(group) for group in groups]
    finally:
        for group in filter(Path.is_dir, groups):
            _remove(group)


def _remove(group: Path) -> None:
    """With what systemd made in it. A process that ended leaves its group a moment later."""
    for _ in range(100):
        below = sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True)
        try:
            for folder in [*below, group]:
                folder.rmdir()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{group} still has processes")


def skip_where_impossible() -> None:
    lacking = [name for name in ("systemd-nspawn", "unshare", "nsenter") if shutil.which(name) is None]
    if os.geteuid() != 0:
        lacking.append("root's rights")
    if "overlay" not in Path("/proc/filesystems").read_text():
        lacking.append("overlayfs")
    if lacking:
        _skip(f"there is no {', no '.join(lacking)} here (root on Debian with systemd-container runs this)")


def _skip(reason: str) -> NoReturn:
    pytest.skip(
        "NO SYSTEMD RUN: the unit was not started by a real systemd, nor upgraded and rolled back there: "
        + reason
    )
