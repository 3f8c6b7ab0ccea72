"""What `make test` installed, and what it must not have."""

import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]


def installed() -> set[str]:
    return {str(distribution.metadata["Name"]).lower().replace("_", "-") for distribution in distributions()}


def test_only_the_headless_opencv_is_installed() -> None:
    assert {name for name in installed() if "opencv" in name} == {"opencv-python-headless"}


def test_no_cuda_build_came_by_accident() -> None:
    assert not {name for name in installed() if name.startswith("nvidia-cu") or name == "triton"}


def test_serving_imports_nothing_of_prepare() -> None:
    heavy = {"torch", "torchvision", "ultralytics", "open_clip", "onnx", "matplotlib", "pandas", "scipy"}
    code = f"import sys, backend.serve, holdcheck.runtime.onnx; print(*{heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_vision_library_imports_no_web_framework() -> None:
    code = (
        "import sys, holdcheck.cli, holdcheck.pipeline; print(*{'fastapi', 'starlette'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_python_that_cannot_make_a_venv_leaves_no_half_of_one(tmp_path: Path) -> None:
    """As Debian's without python3-venv: it would look like a set-up that is done, to every run after it."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nmkdir -p .venv/bin && touch .venv/bin/python && exit 1\n")
    python.chmod(0o755)
    done = subprocess.run(
        ["make", ".venv/bin/python", f"PYTHON={python}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "python3-venv" in done.stderr
    assert not (tmp_path / ".venv").exists()
