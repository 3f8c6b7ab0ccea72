"""`python -m deploy.bundle`: everything that a machine without a network needs, in one archive.

    holdcheck-0.1.0-cp311-linux-x86_64.tar
      install.sh          checks the rest and installs it; deploy/install.sh
      bundle.txt          NAME=value lines: what this is for
      SHA256SUMS          of every other file
      holdcheck.service   the systemd unit
      monitor_memory.sh   how the service does, in a terminal; monitor.sh is part of it
      wheels/             holdcheck with the phone's app, its dependencies, and pip
      models/             what was prepared; the bundled models lie in holdcheck's wheel
      samples/            photos that install.sh analyses before it lets the new version serve
      source.tar.gz       the source of all that is ours; the weights lie in holdcheck's wheel
      .env.example LICENSE

The same commit, constraints and models make the same bytes.
"""

import argparse
import gzip
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO

from deploy import wheels
from deploy.wheels import Target, WheelsMissing
from holdcheck.errors import HoldcheckError
from holdcheck.manifest import MANIFEST_NAME, Manifest, checked_file, prepared, sha256
from holdcheck.settings import Settings

ROOT = Path(__file__).parents[1]
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
"""What people call them, and what the kernel and wheels do."""
DEFAULT_GLIBC = (2, 28)
"""Debian 10, Ubuntu 20.04, RHEL 8 and newer; what today's wheels are built for."""
_LOWEST_PYTHON = (3, 11)
_SUMS = "SHA256SUMS"
_VERSION_LINE = re.compile(r'^version = "(.*)"$', re.MULTILINE)
_APP = Path("frontend") / "dist"
_WEIGHTS = ("holdcheck", "models")
"""Not in the source's archive too: the wheel has them as they are."""
_SCRIPTS = frozenset({"install.sh", "monitor_memory.sh"})
_BESIDE = (
    ".env.example",
    "LICENSE",
    "deploy/install.sh",
    "deploy/holdcheck.service",
    "monitor_memory.sh",
    "deploy/monitor.sh",
)


class BundleError(Exception):
    """Why there is no bundle, in words for who asked for it."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if parsed.platform not in MACHINES:
        parser.error(f"--platform {parsed.platform}: takes {' or '.join(MACHINES)}")
    target = Target(MACHINES[parsed.platform], parsed.python_version, parsed.glibc)
    try:
        models = Settings.load().models_dir if parsed.models is None else parsed.models
        if parsed.models and not Path(parsed.models).is_dir():
            raise BundleError(f"--models {parsed.models}: takes a folder, or nothing for none")
        version = parsed.version or _version()
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            wheels.download(target, ROOT, folder)
            build_own_wheel(version, folder)
            archive = make(target, version, folder, Path(models) if models else None, parsed.output, print)
    except (BundleError, WheelsMissing, HoldcheckError) as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 1
    print(f"{archive}: {archive.stat().st_size / 2**20:.0f} MiB, sha256 {sha256(archive)}")
    print(f"There: tar xf {archive.name} && sh {archive.stem}/install.sh")
    return 0


def build_own_wheel(version: str, into: Path) -> None:
    """The project's own wheel, with the phone's app where that is built.

    It is made from a copy: setuptools leaves things behind, and the copy may carry the version and the app.

    Raises:
        BundleError: this is no checkout.
        WheelsMissing: the wheel cannot be built.
    """
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch)
        for name in _tracked_files():
            if name.parts[0] in {"backend", "holdcheck", "pyproject.toml", "README.md", "LICENSE"}:
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, source / name)
        project = source / "pyproject.toml"
        project.write_text(_VERSION_LINE.sub(f'version = "{version}"', project.read_text(), count=1))
        if (ROOT / _APP).is_dir():
            shutil.copytree(ROOT / _APP, source / "backend" / "page")
        wheels.build(source, into, _commit_time())


def make(
    target: Target,
    version: str,
    all_wheels: Path,
    models: Path | None,
    output: Path,
    say: Callable[[str], None],
) -> Path:
    """Put one bundle together.

    Args:
        version: what it installs as.
        all_wheels: folder of the dependencies' wheels (`wheels.download`) and our own (`build_own_wheel`).
        models: MODELS_DIR to take artefacts from; None for none.
        output: folder for the archive.

    Raises:
        BundleError: this is no checkout, or wheels do not fit.
        ModelError: an artefact is not what its manifest says.
    """
    epoch = _commit_time()
    _check_wheels(target, all_wheels)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / f"holdcheck-{version}-{target.tag}"
        shutil.copytree(all_wheels, folder / "wheels")
        if not wheels.has_file(_own_wheel(folder / "wheels"), "backend/page/index.html"):
            say(f"LEFT OUT: the phone's app. {_APP} is not built: that takes npm, and `make app`")
        taken = copy_models(models, folder / "models") if models else []
        say(f"prepared models: {', '.join(taken) or 'none; the bundled ones answer'}")
        for name in _BESIDE:
            shutil.copy(ROOT / name, folder)
        shutil.copytree(ROOT / "samples", folder / "samples", ignore=shutil.ignore_patterns("*.json"))
        source = [name for name in _tracked_files() if name.parts[:2] != _WEIGHTS]
        pack(ROOT, source, PurePosixPath(f"holdcheck-{version}"), folder / "source.tar.gz", epoch)
        facts = _facts(target, version, folder / "wheels")
        (folder / "bundle.txt").write_text("".join(f"{name}={value}\n" for name, value in facts.items()))
        write_sums(folder)
        output.mkdir(parents=True, exist_ok=True)
        archive = output / f"{folder.name}.tar"
        # Not compressed: wheels, photos and weights gain nothing worth the minute.
        pack(folder, _files(folder), PurePosixPath(folder.name), archive, epoch)
    return archive


def _check_wheels(target: Target, folder: Path) -> None:
    if names := wheels.misfits(target, folder):
        raise BundleError(f"not for {target.tag}: {', '.join(names)}")
    if lacking := wheels.missing(target, folder):
        raise BundleError(f"no wheel for {', '.join(map(str, lacking))}")


def copy_models(models: Path, into: Path) -> list[str]:
    """What RUNTIME=onnx maps of each artefact, after its checksums were compared. Answers their names."""
    taken = []
    for folder in prepared(models):
        manifest = Manifest.read(folder)
        records = [manifest.model] + ([manifest.prompts.embeddings] if manifest.prompts else [])
        there = into / manifest.kind / folder.name
        there.mkdir(parents=True)
        for file in (folder / MANIFEST_NAME, *(checked_file(folder, record) for record in records)):
            shutil.copy(file, there)
        taken.append(manifest.name + " (random weights: its answers mean nothing)" * manifest.is_dummy)
    return taken


def _facts(target: Target, version: str, folder: Path) -> dict[str, str]:
    """What install.sh compares with the machine that it runs on."""
    least = wheels.glibc_needed(wheel.name for wheel in folder.iterdir())
    return {
        "version": version,
        "machine": target.machine,
        "python": target.python_version,
        "glibc": f"{least[0]}.{least[1]}",
    }


def _own_wheel(folder: Path) -> Path:
    return next(folder.glob("holdcheck-*.whl"))


def write_sums(folder: Path) -> None:
    """SHA256SUMS of every file in the folder, as sha256sum writes and reads it."""
    lines = [f"{sha256(folder / name)}  {name.as_posix()}\n" for name in _files(folder)]
    (folder / _SUMS).write_text("".join(lines))


def _files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def pack(folder: Path, names: Iterable[Path], prefix: PurePosixPath, archive: Path, epoch: int) -> None:
    """A tar that knows nothing of who made it, when, or in which order the disk named its files."""
    with ExitStack() as stack:
        file: IO[bytes] | gzip.GzipFile = stack.enter_context(archive.open("wb"))
        if archive.suffix == ".gz":
            file = stack.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0))
        tar = stack.enter_context(tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT))
        for name in sorted(names):
            entry = tarfile.TarInfo(str(prefix / name.as_posix()))
            entry.size, entry.mtime = (folder / name).stat().st_size, epoch
            entry.mode = 0o755 if name.name in _SCRIPTS else 0o644
            with (folder / name).open("rb") as content:
                tar.addfile(entry, content)


def _tracked_files() -> list[Path]:
    """Names, from the root, of the files that are the project: never what happens to lie about."""
    names = _git("ls-files", "-z").split("\0")
    return [Path(name) for name in names if name and (ROOT / name).is_file()]


def _version() -> str:
    """The project's; with the commit where that is not the tagged one, so that it lies beside another."""
    found = _VERSION_LINE.search((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    if found is None:
        raise BundleError("pyproject.toml names no version")
    changed = bool(_git("status", "--porcelain", "--untracked-files=no"))
    if f"v{found[1]}" in _git("tag", "--points-at", "HEAD").split() and not changed:
        return found[1]
    return f"{found[1]}+g{_git('rev-parse', '--short=8', 'HEAD').strip()}{'.changed' * changed}"


def _commit_time() -> int:
    return int(_git("log", "-1", "--format=%ct"))


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError) as error:
        raise BundleError(f"a bundle is made from a git checkout, and with git: {error}") from None
    return done.stdout


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.bundle", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--platform",
        default=platform.machine(),
        metavar="NAME",
        help=f"processor there, {' or '.join(MACHINES)} (this machine's)",
    )
    parser.add_argument(
        "--python-version",
        type=_python_version,
        default=sys.version_info[:2],
        metavar="3.N",
        help="the CPython there (this one's)",
    )
    parser.add_argument(
        "--glibc", type=_pair, default=DEFAULT_GLIBC, metavar="2.N", help="the oldest glibc there (2.28)"
    )
    parser.add_argument(
        "--models", metavar="DIR", help="prepared models; an empty name for none (MODELS_DIR)"
    )
    parser.add_argument("--version", default="", help="what it installs as (the project's, and the commit)")
    parser.add_argument("--output", type=Path, default=ROOT / "build", metavar="DIR", help="(build/)")
    return parser


def _pair(text: str) -> tuple[int, int]:
    try:
        major, minor = map(int, text.split("."))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: takes two numbers, like 3.11") from None
    return major, minor


def _python_version(text: str) -> tuple[int, int]:
    version = _pair(text)
    if version < _LOWEST_PYTHON or version[0] != 3:
        raise argparse.ArgumentTypeError(f"{text}: takes 3.11 or newer, like 3.11")
    return version


if __name__ == "__main__":
    sys.exit(main())
