"""The systemd unit and the installer, as their own tools read them. test_bundle.py runs both."""

import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from backend import __main__ as entry
from backend import serve
from backend.settings import ServiceSettings

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "holdcheck.service"
INSTALL = ROOT / "deploy" / "install.sh"
_EXPOSURE = 15
"""systemd-analyze's tenths, 100 the worst; what the network, which the service is for, costs alone is 9."""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a command that is there also where holdcheck is not installed."""
    tool("systemd-analyze")
    copy = tmp_path / UNIT.name
    copy.write_text(re.sub("^ExecStart=.*$", "ExecStart=/bin/true", UNIT.read_text(), flags=re.MULTILINE))
    return copy


def tool(name: str) -> str:
    if (found := shutil.which(name)) is None:
        pytest.skip(f"NOT CHECKED: there is no {name} here (`make test` as root on Debian installs it)")
    return found


def values(setting: str) -> list[str]:
    return re.findall(rf"^{setting}=(.*)$", UNIT.read_text(), re.MULTILINE)


def test_systemd_understands_every_line(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_finds_little_to_harden(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={_EXPOSURE}", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_start_that_cannot_get_better_is_not_tried_again() -> None:
    hopeless = {entry._USAGE_ERROR, serve.CANNOT_LOAD}
    assert {int(status) for status in values("RestartPreventExitStatus")[0].split()} == hopeless


def test_the_running_analysis_has_its_grace_time() -> None:
    assert int(values("TimeoutStopSec")[0]) > entry._GRACE_S + serve._STUCK_S


def test_the_settings_in_the_unit_are_settings() -> None:
    names = {pair.split("=")[0] for line in values("Environment") for pair in line.split()}
    assert names == {"DATA_DIR", "MODELS_DIR"}
    assert {name.lower() for name in names} <= ServiceSettings.model_fields.keys()


def test_no_line_is_there_twice_by_mistake() -> None:
    # systemd takes the last, or both; only these are lists.
    parser = RawConfigParser(strict=True)
    text = re.sub(r"^SystemCallFilter=~", "SystemCallFilterNot=", UNIT.read_text(), flags=re.MULTILINE)
    parser.read_string(text)
    assert parser.sections() == ["Unit", "Service", "Install"]


def test_shellcheck_has_nothing_to_say() -> None:
    done = subprocess.run([tool("shellcheck"), INSTALL], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_help_tells_of_every_option() -> None:
    text = INSTALL.read_text()
    known = set(re.findall(r"--[a-z-]+", text[text.index("read_options()") : text.index("choose_places()")]))
    done = subprocess.run(["sh", INSTALL, "--help"], capture_output=True, text=True, check=True)
    assert known == set(re.findall(r"^  (--[a-z-]+)", done.stdout, re.MULTILINE))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--fast"], "there is no option --fast"),
        (["--prefix"], "--prefix takes a value"),
        (["--prefix", "/srv/a b"], "takes letters, digits"),
        (["--prefix", "/srv/../etc"], "takes letters, digits"),
        (["--memory", "lots"], "takes"),
        (["--memory", "M"], "takes"),
        (["--purge"], "goes with --uninstall"),
        (["--user", "--memory", "1G"], "is for the service"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: list[str], reason: str) -> None:
    done = subprocess.run(["sh", INSTALL, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert reason in done.stderr
