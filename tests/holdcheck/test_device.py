"""DEVICE: what is chosen, why, and what to do where it is not there."""

import subprocess
import sys
from pathlib import Path

import pytest

from backend.serve import CANNOT_LOAD
from holdcheck import device
from holdcheck.errors import SettingsError
from holdcheck.settings import Settings
from tests.backend.server import ROOT, environment


def chosen(**settings: str) -> device.Device:
    return device.choose(Settings.model_validate(settings))


@pytest.mark.parametrize("asked", ["auto", "cpu"])
def test_onnx_computes_on_the_cpu_and_says_so(asked: str) -> None:
    assert chosen(device=asked) == device.Device("cpu", "RUNTIME=onnx knows nothing else")


def test_onnx_has_no_gpu_and_says_what_to_set() -> None:
    with pytest.raises(SettingsError, match=r"^DEVICE=cuda: .*set RUNTIME=torch.*or DEVICE=auto$"):
        chosen(device="cuda")


def test_torch_takes_what_there_is_and_says_why() -> None:
    import torch

    assert chosen(runtime="torch", device="cpu") == device.Device("cpu", "DEVICE=cpu")
    automatic = chosen(runtime="torch", device="auto")
    assert automatic.reason.startswith("DEVICE=auto, and ")
    if torch.cuda.is_available():
        assert automatic.kind == chosen(runtime="torch", device="cuda").kind == "cuda"
        return
    assert automatic.kind == "cpu"
    with pytest.raises(SettingsError, match=r"^DEVICE=cuda: .*; or set DEVICE=auto$"):
        chosen(runtime="torch", device="cuda")


def test_a_cpu_build_of_torch_is_told_from_a_driver_that_shows_no_gpu() -> None:
    assert "CUDA=1" in device._why_no_gpu(None)
    assert "nvidia-smi" in device._why_no_gpu("13.0")


def test_a_server_that_is_to_use_a_gpu_and_has_none_ends_with_one_line(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "backend", "--port", "0"],
        env=environment({"DEVICE": "cuda"}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == CANNOT_LOAD
    assert ended.stderr.splitlines()[-1].startswith("holdcheck: DEVICE=cuda: ")
    assert ended.stderr.count("DEVICE=cuda") == 1
    assert "Traceback" not in ended.stderr


def test_torch_where_it_is_not_installed_is_said_in_one_line() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import importlib.machinery as m; find = m.PathFinder.find_spec\n"
        "m.PathFinder.find_spec = classmethod(lambda c, n, *a: None if n == 'torch' else find(n, *a))\n"
        "del sys.modules['torch']\n"
        "from holdcheck import device; from holdcheck.settings import Settings\n"
        "device.choose(Settings(_env_file=None, runtime='torch'))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "SettingsError: RUNTIME=torch: torch is not installed; run `make models`" in done.stderr
