"""The wheels that a machine without a network needs: those of everything that serving imports, and pip."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

_ROUNDS = 4
_PIP = "pip"
"""It goes along: Debian's Python has none without another package."""
_LOWEST_GLIBC = (2, 17)
"""manylinux2014's; nothing that we need still supports an older one."""


class WheelsMissing(Exception):
    """The index has no wheel for this target."""


@dataclass(frozen=True, slots=True)
class Target:
    """A machine with glibc to install on."""

    machine: str
    """As `uname -m` says: x86_64 or aarch64."""
    python: tuple[int, int]
    """Its CPython, like (3, 11)."""
    glibc: tuple[int, int]
    """The oldest that it may have."""

    @property
    def python_version(self) -> str:
        return f"{self.python[0]}.{self.python[1]}"

    @property
    def tag(self) -> str:
        return f"cp{self.python[0]}{self.python[1]}-linux-{self.machine}"

    @property
    def platforms(self) -> list[str]:
        """Platform tags of wheels that run there, newest glibc first (PEP 600, and PEP 599's name)."""
        major, newest = self.glibc
        minors = range(newest, _LOWEST_GLIBC[1] - 1, -1)
        return [
            *(f"manylinux_{major}_{minor}_{self.machine}" for minor in minors),
            f"manylinux2014_{self.machine}",
        ]

    @property
    def markers(self) -> dict[str, str]:
        """What PEP 508's environment markers mean there."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python_version}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python_version}.0",
            "python_version": self.python_version,
            "sys_platform": "linux",
            "extra": "",
        }


def download(target: Target, root: Path, folder: Path) -> None:
    """Fill `folder` with every wheel that the project in `root` needs to serve on the target.

    pip judges environment markers by the Python that runs it, not by the target's. So what the wheels ask for
    is looked up again, and fetched, until nothing is missing.

    Raises:
        WheelsMissing: with pip's words.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(line) for line in [*project["dependencies"], _PIP]]
    for _ in range(_ROUNDS):
        _fetch(target, root, folder, wanted)
        wanted = missing(target, folder)
        if not wanted:
            return
    raise WheelsMissing(f"still missing: {', '.join(map(str, wanted))}")


def missing(target: Target, folder: Path) -> list[Requirement]:
    """What wheels in `folder` ask for on the target that is not there."""
    wheels = sorted(folder.glob("*.whl"))
    there = {parse_wheel_filename(wheel.name)[0] for wheel in wheels}
    asked = {
        canonicalize_name(requirement.name): requirement
        for wheel in wheels
        for requirement in _requirements(wheel)
        if requirement.marker is None or requirement.marker.evaluate(target.markers)
    }
    return [asked[name] for name in sorted(asked.keys() - there)]


def misfits(target: Target, folder: Path) -> list[str]:
    """Names of wheels that would not install there."""
    platforms = {*target.platforms, "any"}
    return [
        wheel.name
        for wheel in sorted(folder.glob("*.whl"))
        if not any(
            tag.platform in platforms and _runs_on(target.python, tag.interpreter, tag.abi)
            for tag in parse_wheel_filename(wheel.name)[3]
        )
    ]


def glibc_needed(names: Iterable[str]) -> tuple[int, int]:
    """The newest glibc that one of these wheels was built for."""
    return max([_LOWEST_GLIBC, *(least for name in names if (least := _least_glibc(name)))])


def build(source: Path, folder: Path, epoch: int) -> None:
    """The wheel of the project in `source`, with every time in it `epoch` (seconds).

    Raises:
        WheelsMissing: with pip's words.
    """
    done = _pip(
        ["wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)],
        {"SOURCE_DATE_EPOCH": str(epoch)},
    )
    if done.returncode:
        raise WheelsMissing(f"the project's own wheel could not be built:\n{done.stderr.strip()}")


def has_file(wheel: Path, name: str) -> bool:
    with ZipFile(wheel) as archive:
        return name in archive.namelist()


def _fetch(target: Target, root: Path, folder: Path, wanted: Sequence[Requirement]) -> None:
    options = ["--dest", str(folder), "--constraint", str(root / "constraints.txt"), "--only-binary=:all:"]
    options += ["--python-version", target.python_version, "--implementation", "cp"]
    for platform in target.platforms:
        options += ["--platform", platform]
    done = _pip(["download", "--quiet", *options, *map(str, wanted)])
    if done.returncode:
        raise WheelsMissing(f"no wheels for {target.tag}:\n{done.stderr.strip()}")


def _pip(
    arguments: Sequence[str], settings: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(  # noqa: S603 - our own arguments
        command, env={**os.environ, **(settings or {})}, capture_output=True, text=True, check=False
    )


def _requirements(wheel: Path) -> Iterator[Requirement]:
    with ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        headers = HeaderParser().parsestr(archive.read(name).decode("utf-8"))
    for line in headers.get_all("Requires-Dist") or []:
        yield Requirement(line)


def _runs_on(python: tuple[int, int], interpreter: str, abi: str) -> bool:
    exact = f"cp{python[0]}{python[1]}"
    if abi == "none":
        return interpreter in {f"py{python[0]}", f"py{python[0]}{python[1]}", exact}
    if abi == "abi3" and interpreter.startswith("cp3"):
        return int(interpreter.removeprefix("cp3")) <= python[1]
    return interpreter == exact == abi


def _least_glibc(wheel: str) -> tuple[int, int] | None:
    versions = []
    for tag in parse_wheel_filename(wheel)[3]:
        if tag.platform.startswith("manylinux_"):
            major, minor = tag.platform.split("_")[1:3]
            versions.append((int(major), int(minor)))
        elif tag.platform.startswith("manylinux2014_"):
            versions.append(_LOWEST_GLIBC)
    return min(versions, default=None)
