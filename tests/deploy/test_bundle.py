"""Bundles: made for this machine and another, refused where they do not fit, installed without a network."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZipFile

import pytest

from backend.routers import page
from deploy import bundle, wheels
from deploy.wheels import Target
from holdcheck.errors import ModelTampered
from tests.deploy import machine

_PYTHON = sys.version_info[:2]
_HERE = platform.machine()
_OTHER = "aarch64" if _HERE == "x86_64" else "x86_64"
_ELF_MACHINES = {"x86_64": 62, "aarch64": 183}
"""e_machine in an ELF header (elf(5)): what the file is, whatever its wheel's name says."""
_SYSTEM_PYTHON = shutil.which(f"python{_PYTHON[0]}.{_PYTHON[1]}", path="/usr/bin:/usr/local/bin")

pytestmark = pytest.mark.skipif(
    _HERE not in _ELF_MACHINES, reason=f"NO BUNDLE TESTED: there are none for {_HERE}"
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Readable to everybody, unlike pytest's own: an ordinary user installs from it."""
    with tempfile.TemporaryDirectory(prefix="holdcheck-bundles-") as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.fixture(scope="module")
def first(folder: Path, true_size_models: Path) -> Path:
    """What `make bundle` makes, unpacked."""
    options = ["--models", str(true_size_models), "--version", "0.1.0", "--output", str(folder)]
    assert bundle.main(options) == 0
    return _unpacked(folder / f"holdcheck-0.1.0-{_target(_HERE).tag}.tar")


@pytest.fixture(scope="module")
def dependencies(folder: Path, first: Path) -> Path:
    """Every wheel of a bundle for this machine but our own."""
    copy = _copy(first / "wheels", folder / "dependencies")
    next(copy.glob("holdcheck-*")).unlink()
    return copy


@pytest.fixture(scope="module")
def second(folder: Path, dependencies: Path) -> Path:
    """The next version, without prepared models."""
    all_wheels = _copy(dependencies, folder / "second")
    bundle.build_own_wheel("0.2.0", all_wheels)
    return _unpacked(bundle.make(_target(_HERE), "0.2.0", all_wheels, None, folder, print))


@pytest.fixture(scope="module")
def other(folder: Path, first: Path) -> Path:
    """A bundle for the other processor."""
    all_wheels = folder / "other"
    wheels.download(_target(_OTHER), bundle.ROOT, all_wheels)
    os.link(own := next(first.glob("wheels/holdcheck-*")), all_wheels / own.name)
    return _unpacked(bundle.make(_target(_OTHER), "0.1.0", all_wheels, None, folder, print))


def _target(processor: str) -> Target:
    return Target(processor, _PYTHON, bundle.DEFAULT_GLIBC)


def _unpacked(archive: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(archive.parent, filter="data")
    archive.unlink()
    return archive.with_suffix("")


def _copy(folder: Path, to: Path) -> Path:
    """Of links to the same files: what changes one must put another in its place."""
    shutil.copytree(folder, to, copy_function=os.link)
    return to


def _replace(file: Path, content: bytes) -> None:
    file.unlink()
    file.write_bytes(content)


def _install(folder: Path, prefix: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(folder / "install.sh"), "--user", "--prefix", str(prefix), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def lives(folder: Path, first: Path, second: Path) -> dict[str, Future[str]]:
    """Two installations beside each other, for each waits a lot: what they saw, or why nothing."""
    with ThreadPoolExecutor(2) as pool:
        return {
            "without root": pool.submit(_live_without_root, folder, first),
            "of a service": pool.submit(_live_as_a_service, folder, first, second),
        }


def _live_without_root(folder: Path, first: Path) -> str:
    tools = all(shutil.which(name) for name in ("unshare", "ip", "setpriv"))
    allowed = tools and subprocess.run(["unshare", "--net", "true"], check=False).returncode == 0
    if os.geteuid() != 0 or not allowed or _SYSTEM_PYTHON is None:
        pytest.skip(
            "NO INSTALLATION WITHOUT A NETWORK: it takes root, for a namespace without one, unshare, ip, "
            f"setpriv, and a CPython {_PYTHON[0]}.{_PYTHON[1]} outside of anybody's home"
        )
    home = folder / "home"
    home.mkdir()
    shutil.chown(home, "nobody", "nogroup")
    command = ["unshare", "--net", sys.executable, "-m", "tests.deploy.life_without_root"]
    done = subprocess.run(
        [*command, str(first), str(home), _SYSTEM_PYTHON],
        cwd=bundle.ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=480,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _live_as_a_service(folder: Path, first: Path, second: Path) -> str:
    if _SYSTEM_PYTHON is None:
        pytest.skip(f"NO SYSTEMD RUN: no CPython {_PYTHON[0]}.{_PYTHON[1]} outside of anybody's home")
    out, code = folder / "out", folder / "code"
    out.mkdir()
    code.mkdir()
    return machine.run_inside("tests.deploy.life_of_a_service", [str(first), str(second)], out, code)


# --- what is in it ------------------------------------------------------------------------------------------


def _programs(folder: Path) -> dict[str, set[int]]:
    """The e_machine of each wheel's shared objects; those of a wheel without any are an empty set."""
    found: dict[str, set[int]] = {}
    for wheel in folder.glob("*.whl"):
        with ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if ".so" in Path(name).name]
            heads = [archive.open(name).read(20) for name in names]
        found[wheel.name] = {
            int.from_bytes(head[18:20], "little") for head in heads if head[:4] == b"\x7fELF"
        }
    return found


def test_every_program_in_a_bundle_for_another_processor_is_for_that(other: Path) -> None:
    programs = _programs(other / "wheels")
    of_one_machine = {name for name in programs if not name.endswith("-any.whl")}
    assert {name for name, machines in programs.items() if machines} == of_one_machine
    assert set.union(*programs.values()) == {_ELF_MACHINES[_OTHER]}


def test_a_bundle_asks_for_nothing_more(other: Path) -> None:
    assert wheels.missing(_target(_OTHER), other / "wheels") == []


def test_what_a_wheel_asks_for_is_missed(dependencies: Path, tmp_path: Path) -> None:
    copy = _copy(dependencies, tmp_path / "wheels")
    next(copy.glob("h11-*")).unlink()
    next(copy.glob("typing_extensions-*")).unlink()
    assert [str(wanted) for wanted in wheels.missing(_target(_HERE), copy) if "h11" in str(wanted)] == [
        "h11>=0.8"
    ]
    assert "typing-extensions" in {
        wanted.name.replace("_", "-") for wanted in wheels.missing(_target(_HERE), copy)
    }


def test_a_wheel_of_another_processor_or_python_is_seen(dependencies: Path) -> None:
    names = {wheel.name for wheel in dependencies.glob("*.whl")}
    bound = {name for name in names if not name.endswith("-any.whl")}
    assert set(wheels.misfits(_target(_OTHER), dependencies)) == bound
    newer = Target(_HERE, (3, _PYTHON[1] + 1), bundle.DEFAULT_GLIBC)
    assert set(wheels.misfits(newer, dependencies)) == {name for name in bound if "-abi3-" not in name}
    assert wheels.misfits(_target(_HERE), dependencies) == []


def test_an_archive_does_not_tell_when_it_was_made(second: Path, tmp_path: Path) -> None:
    names = [Path("samples/navy.jpg"), Path("LICENSE"), Path("install.sh")]
    copy = tmp_path / "copy"
    (copy / "samples").mkdir(parents=True)
    for name in names:
        shutil.copy(second / name, copy / name)  # of now, and of another mode
        (copy / name).chmod(0o600)
    archives = [tmp_path / "one.tar.gz", tmp_path / "two.tar.gz"]
    bundle.pack(second, names, PurePosixPath("holdcheck"), archives[0], 1_700_000_000)
    bundle.pack(copy, names[::-1], PurePosixPath("holdcheck"), archives[1], 1_700_000_000)
    assert archives[0].read_bytes() == archives[1].read_bytes()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--platform", "armv7l"], "takes x86_64"),
        (["--python-version", "3.10"], "takes 3.11 or newer"),
        (["--python-version", "three"], "takes two numbers"),
    ],
)
def test_a_bundle_for_what_cannot_be_served_is_refused(
    options: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        bundle.main(options)
    assert reason in capsys.readouterr().err


def test_models_that_are_not_there_are_no_bundle_without_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert bundle.main(["--models", "nowhere"]) == 1
    assert "--models nowhere: takes a folder" in capsys.readouterr().err


def test_a_model_that_is_not_what_its_manifest_says_goes_into_no_bundle(
    tmp_path: Path, true_size_models: Path
) -> None:
    models = tmp_path / "models"
    _copy(true_size_models / "clip", models / "clip")
    _replace(models / "clip" / "vit-b-32" / "prompts.npy", b"another")
    with pytest.raises(ModelTampered, match=r"prompts\.npy is not the file"):
        bundle.copy_models(models, tmp_path / "copy")


def test_what_is_kept_for_an_undo_goes_into_no_bundle(tmp_path: Path, true_size_models: Path) -> None:
    models = tmp_path / "models"
    for name in ("vit-b-32", "vit-b-32.previous", ".unfinished-1"):
        _copy(true_size_models / "clip" / "vit-b-32", models / "clip" / name)
    bundle.copy_models(models, tmp_path / "copy")
    assert [path.name for path in (tmp_path / "copy" / "clip").iterdir()] == ["vit-b-32"]


# --- what is refused ----------------------------------------------------------------------------------------


def _damage(folder: Path) -> str:
    wheel = next(folder.glob("wheels/numpy-*.whl"))
    content = bytearray(wheel.read_bytes())
    content[len(content) // 2] ^= 1
    _replace(wheel, bytes(content))
    return wheel.name


def _lose(folder: Path) -> str:
    (folder / "samples" / "navy.jpg").unlink()
    return "samples/navy.jpg"


def _lay_beside(folder: Path) -> str:
    (folder / "wheels" / "numpy-99.0-py3-none-any.whl").write_bytes(b"")
    return "wheels/numpy-99.0-py3-none-any.whl must go"


def _empty_the_sums(folder: Path) -> str:
    _replace(folder / "SHA256SUMS", b"")
    return "SHA256SUMS"


@pytest.mark.parametrize("harm", [_damage, _lose, _lay_beside, _empty_the_sums])
def test_a_bundle_that_is_not_as_it_was_made_is_refused(
    second: Path, tmp_path: Path, harm: Callable[[Path], str]
) -> None:
    copy = _copy(second, tmp_path / "bundle")
    what = harm(copy)
    done = _install(copy, tmp_path / "home")
    assert (done.returncode, (tmp_path / "home").exists()) == (1, False)
    assert what in done.stderr
    assert "nothing was installed" in done.stderr


def test_a_bundle_for_another_processor_is_refused(other: Path, tmp_path: Path) -> None:
    done = _install(other, tmp_path / "home")
    assert (done.returncode, (tmp_path / "home").exists()) == (1, False)
    assert f"this bundle is for {_OTHER}; this machine is {_HERE}" in done.stderr
    assert f"make bundle PLATFORM={_HERE}" in done.stderr


@pytest.mark.parametrize(
    ("fact", "value", "reason"),
    [
        ("python", "3.99", "needs CPython 3.99 (64-bit, glibc 2.28 or newer)"),
        ("python", "3.99", f"is CPython {platform.python_version()}"),
        ("glibc", "2.99", "the bundle is for 2.99 or newer"),
    ],
)
def test_a_bundle_for_another_python_or_libc_is_refused(
    second: Path, tmp_path: Path, fact: str, value: str, reason: str
) -> None:
    copy = _copy(second, tmp_path / "bundle")
    facts = (copy / "bundle.txt").read_text().splitlines()
    changed = [f"{fact}={value}" if line.startswith(f"{fact}=") else line for line in facts]
    _replace(copy / "bundle.txt", ("\n".join(changed) + "\n").encode())
    (copy / "SHA256SUMS").unlink()
    bundle.write_sums(copy)
    done = _install(copy, tmp_path / "home", "--python", sys.executable)
    assert (done.returncode, (tmp_path / "home").exists()) == (1, False)
    assert reason in done.stderr


# --- without root and without a network ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone(lives: dict[str, Future[str]]) -> dict[str, Any]:
    """What tests/deploy/life_without_root.py saw, where there is no network but loopback."""
    seen: dict[str, Any] = json.loads(lives["without root"].result())
    return seen


def test_an_ordinary_user_installs_it_without_a_network(alone: dict[str, Any]) -> None:
    assert alone["networks"] == ["lo"]
    assert alone["unreachable"] == "Network is unreachable"
    assert alone["installed"] == "0.1.0"
    assert alone["owners"] == ["nobody"]


def test_a_version_that_cannot_analyse_a_photo_does_not_take_over(alone: dict[str, Any]) -> None:
    status, said, is_current = alone["senseless settings"]
    assert (status, is_current) == (1, False)
    assert "MAX_HOLDS='0'" in said
    assert "does not take over" in said


def test_the_printed_command_starts_it_with_the_prepared_model(alone: dict[str, Any]) -> None:
    assert alone["health"]["version"] == "0.1.0"
    assert [model["name"] for model in alone["health"]["models"]] == ["holds-yolo11n-seg", "ViT-B/32"]


def test_a_photo_is_analysed_without_a_network(alone: dict[str, Any]) -> None:
    assert alone["steps"][-1] == "complete"
    assert alone["holds"] > 10


def test_the_installed_service_has_the_page(alone: dict[str, Any]) -> None:
    _is_the_page(alone["page"])


def _is_the_page(text: str) -> None:
    if (page.DIST / "index.html").is_file():
        assert text == (page.DIST / "index.html").read_text()
    else:
        assert "its app is not built" in text


def test_installing_it_again_changes_nothing(alone: dict[str, Any]) -> None:
    assert "0.1.0 is installed already" in alone["again"]
    assert alone["settings again"] == "PORT=0\n"


def test_removing_it_keeps_what_is_the_owners(alone: dict[str, Any]) -> None:
    assert alone["left"] == [".env", "data", "models"]
    assert alone["left after a purge"] is False


# --- as a service, under a systemd that runs ----------------------------------------------------------------


@pytest.fixture(scope="module")
def service(lives: dict[str, Future[str]]) -> dict[str, Any]:
    """What tests/deploy/life_of_a_service.py saw."""
    seen: dict[str, Any] = json.loads(lives["of a service"].result())
    return seen


def test_systemd_starts_what_was_installed_without_a_network(service: dict[str, Any]) -> None:
    assert service["networks"] == ["lo"]
    assert service["verify"] == ""
    assert service["first"]["version"] == service["first"]["current"] == "0.1.0"
    assert service["first"]["models"] == ["holds-yolo11n-seg", "ViT-B/32"]
    _is_the_page(service["first"]["page"])


def test_a_photo_is_analysed_under_every_restriction_of_the_unit(service: dict[str, Any]) -> None:
    assert service["steps"][-1] == "complete"


def test_the_process_has_no_rights_of_its_own(service: dict[str, Any]) -> None:
    process = service["process"]
    assert len(set(process["Uid"].split())) == 1
    assert process["Uid"].split()[0] != "0"
    assert (process["NoNewPrivs"], process["Seccomp"]) == ("1", "2")
    assert int(process["CapBnd"], 16) == int(process["CapEff"], 16) == 0


def test_the_process_may_write_its_data_and_nothing_else(service: dict[str, Any]) -> None:
    writable = {path for path, may in service["writes"].items() if may}
    assert writable == {"/var/lib/holdcheck/data/x", "/tmp/x"}


def test_the_process_sees_nobodys_home_and_no_disk(service: dict[str, Any]) -> None:
    assert service["homes"].count("Permission denied") == 2
    assert not {
        name for name in service["homes"].split() if name.startswith(("sd", "vd", "nvme", "mem", "kmsg"))
    }


def test_the_memory_is_limited_by_the_unit_and_by_the_owner(service: dict[str, Any]) -> None:
    assert service["first"]["limit_mb"] == 512
    assert service["second"]["limit_mb"] == 300  # --memory 300M
    assert service["rolled back"]["limit_mb"] == 300


def test_an_upgrade_keeps_jobs_settings_and_models(service: dict[str, Any]) -> None:
    assert service["second"]["version"] == service["second"]["current"] == "0.2.0"
    assert service["second"]["versions"] == ["0.1.0", "0.2.0"]
    assert service["second"]["models"] == service["first"]["models"]
    assert service["job"]["first"] == service["job"]["second"] == "done"
    assert service["holds_kept"] == 7  # MAX_HOLDS, which the owner set before the upgrade


def test_a_rollback_is_the_version_before_with_the_same_jobs(service: dict[str, Any]) -> None:
    assert service["rolled back"]["version"] == service["rolled back"]["current"] == "0.1.0"
    assert service["job"]["rolled back"] == "done"


def test_a_killed_service_is_started_again(service: dict[str, Any]) -> None:
    assert service["killed"] == {"ActiveState": "active", "NRestarts": "1"}


def test_a_changed_model_stops_the_service_for_good(service: dict[str, Any]) -> None:
    assert service["changed model"]["ExecMainStatus"] == "78"
    assert (service["changed model"]["ActiveState"], service["changed model"]["NRestarts"]) == ("failed", "0")


def test_removing_the_service_keeps_data_and_settings_until_a_purge(service: dict[str, Any]) -> None:
    kept = {path for path, there in service["uninstalled"].items() if there}
    assert kept == {
        "/var/lib/holdcheck/data/jobs.sqlite3",
        "/etc/holdcheck/env",
        "/etc/systemd/system/holdcheck.service.d",
    }
    assert not any(service["purged"].values())
