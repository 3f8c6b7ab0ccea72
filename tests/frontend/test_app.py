"""The phone's app: its own checks, and its browser tests against the real server."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRONTEND = ROOT / "frontend"
_NPM = "npm is missing: install Node.js 20.19 or newer"
_BROWSER = "run as root: apt-get install --no-install-recommends chromium fonts-noto-cjk"


@pytest.fixture(scope="session")
def npm() -> str:
    found = shutil.which("npm")
    assert found, _NPM
    return found


@pytest.fixture(scope="session")
def built(npm: str) -> Path:
    """The app as `make run` builds it."""
    done = subprocess.run(["make", "app"], cwd=ROOT, capture_output=True, text=True)
    assert (FRONTEND / "dist" / "index.html").is_file(), done.stdout + done.stderr
    assert "could not be built" not in done.stderr, done.stdout + done.stderr
    return FRONTEND / "dist"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Debian's, with a font that has Hangul: without it Korean pictures show boxes."""
    found = shutil.which("chromium")
    fonts = (
        shutil.which("fc-list")
        and subprocess.run(["fc-list", ":lang=ko"], capture_output=True, text=True).stdout.strip()
    )
    assert found, _BROWSER
    assert fonts, _BROWSER
    return found


def _run(npm: str, *arguments: str, **more: str) -> str:
    environment = {**os.environ, "PYTHON": sys.executable, "NO_COLOR": "1", **more}
    command = [npm, "--silent", "run", *arguments]
    done = subprocess.run(command, cwd=FRONTEND, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_types_style_and_units_are_right(npm: str, built: Path) -> None:
    _run(npm, "types")
    _run(npm, "lint")
    _run(npm, "test")


def test_the_apis_types_are_the_services_own(npm: str, built: Path) -> None:
    _run(npm, "api", "--", "--check")


def test_the_first_load_keeps_within_its_budget(built: Path) -> None:
    names = [*built.glob("assets/*.js.gz"), *built.glob("assets/*.css.gz")]
    assert len(names) >= 2
    assert sum(name.stat().st_size for name in names) <= 60 * 1024


def test_the_app_does_what_it_says_in_a_real_browser(npm: str, built: Path, chromium: str) -> None:
    print(_run(npm, "browser", CHROMIUM=chromium))
