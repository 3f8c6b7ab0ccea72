"""A CLIP of a few hundred kilobytes: the real architecture, loaded, exported and run like the real one."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

NAME = "holdcheck-tiny"
SIDE = 64
CONFIG = {
    "embed_dim": 64,
    "quick_gelu": True,
    "vision_cfg": {"image_size": SIDE, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


def register(folder: Path) -> None:
    """Let open_clip know the architecture."""
    from holdcheck import torchvision_shim

    torchvision_shim.install()
    import open_clip

    path = folder / f"{NAME}.json"
    path.write_text(json.dumps(CONFIG))
    open_clip.add_model_config(path)


def model(seed: int = 1) -> Any:
    """Seeded random weights."""
    from holdcheck.runtime import towers

    return towers.random_model(NAME, seed)


def save(clip: Any, path: Path) -> str:
    """Write a checkpoint; returns the name that prepare takes."""
    save_file({name: value.detach().contiguous() for name, value in clip.state_dict().items()}, path)
    return f"{NAME}:{path}"
