"""Where models compute, chosen once: DEVICE is what was asked for, this is what there is, and why."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from holdcheck.errors import SettingsError
from holdcheck.settings import Settings


@dataclass(frozen=True, slots=True)
class Device:
    """A choice, for people and for programs."""

    kind: Literal["cpu", "cuda"]
    reason: str
    """Why, in a few words."""


def choose(settings: Settings) -> Device:
    """Where these settings make the models compute. Imports torch where RUNTIME=torch, which takes seconds.

    Raises:
        SettingsError: DEVICE=cuda where there is none, or RUNTIME=torch without torch; it says what to do.
    """
    if settings.runtime == "onnx":
        if settings.device == "cuda":
            raise SettingsError(
                "DEVICE=cuda: RUNTIME=onnx computes on the CPU alone; set RUNTIME=torch, after "
                "`make models CUDA=1` on a machine with a GPU, or DEVICE=auto"
            )
        return Device("cpu", "RUNTIME=onnx knows nothing else")
    if find_spec("torch") is None:
        raise SettingsError("RUNTIME=torch: torch is not installed; run `make models`, or set RUNTIME=onnx")
    if settings.device == "cpu":
        return Device("cpu", "DEVICE=cpu")
    import torch

    if torch.cuda.is_available():
        return Device("cuda", f"DEVICE={settings.device}, and torch sees {torch.cuda.get_device_name()}")
    sees = _why_no_gpu(torch.version.cuda)
    if settings.device == "cuda":
        raise SettingsError(f"DEVICE=cuda: {sees}; or set DEVICE=auto")
    return Device("cpu", f"DEVICE=auto, and {sees}")


def _why_no_gpu(cuda_version: str | None) -> str:
    if cuda_version is None:
        return "this torch is a CPU build: `make models CUDA=1` installs the other"
    return f"torch (CUDA {cuda_version}) sees no GPU: `nvidia-smi` tells whether the driver does"
