"""Files of a training run, each written whole or not at all: a run may be stopped at any moment."""

from pathlib import Path

import torch
from torch import nn


def save_whole(value: object, path: Path) -> None:
    """Pickle `value` as torch does, beside `path` first."""
    part = path.with_suffix(".part")
    torch.save(value, part)
    part.replace(path)


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the state dict alone in float16 as safetensors: half the size, and no pickle."""
    from safetensors.torch import save_file

    tensors = {
        name: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for name, value in model.state_dict().items()
    }
    part = path.with_suffix(".part")
    save_file(tensors, part)
    part.replace(path)
