"""What both sides are measured on, made once and kept under build/."""

import sys
from pathlib import Path

from PIL import Image

from holdcheck.manifest import MANIFEST_NAME
from holdcheck.prepare import run as prepare
from holdcheck.settings import Settings
from training.walls import WallSpec, render

_BUILD = Path("build/bench")
_PHOTOS = 3


def wall_photos() -> list[Path]:
    """Rendered walls of 12 megapixels with more than forty holds, made once."""
    folder = _BUILD / "photos"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"wall-{seed}.jpg" for seed in range(_PHOTOS)]
    for seed, path in enumerate(paths):
        if not path.is_file():
            wall = render(WallSpec(4032, 3024, seed, problems=8, quality="phone"))
            Image.fromarray(wall.pixels).save(path, quality=88)
    return paths


def random_models() -> Path:
    """A folder with a ViT-B/32 of true size and random weights, made once."""
    folder = _BUILD / "models"
    if not (folder / "clip" / "vit-b-32" / MANIFEST_NAME).is_file():
        prepare(
            "ViT-B/32", None, True, Settings(models_dir=folder), lambda line: print(line, file=sys.stderr)
        )
    return folder
