"""What `make test` installed, and what it must not have."""

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
    heavy = {
        "torch",
        "torchvision",
        "ultralytics",
        "open_clip",
        "onnx",
        "matplotlib",
        "pandas",
        "scipy",
        "ray",
    }
    code = f"import sys, backend.serve, holdcheck.runtime.onnx; print(*{heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_vision_library_imports_no_web_framework() -> None:
    code = (
        "import sys, holdcheck.cli, holdcheck.pipeline; print(*{'fastapi', 'starlette'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
