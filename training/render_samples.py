"""python -m training.render_samples: draws the pictures in samples/, with their truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from PIL import Image

from training.walls import WallSpec, render, truth_of

FOLDER: Final = Path(__file__).parents[1] / "samples"
_QUALITY = 84

#: One for each thing that a wall can be difficult by; names are file names.
SAMPLES: Final[dict[str, WallSpec]] = {
    "plywood": WallSpec(
        1350, 1800, 110, volumes=3, wall="wood", wall_angle="face", light="easy", quality="phone"
    ),
    "overhang": WallSpec(
        1800, 1350, 107, volumes=5, wall="gray", wall_angle="overhang", light="medium", quality="phone"
    ),
    "painted": WallSpec(
        1350, 1800, 101, volumes=3, wall="painted", wall_angle="overhang", light="hard", quality="phone"
    ),
    "slab": WallSpec(
        1800,
        1350,
        109,
        problems=5,
        volumes=2,
        wall="wood",
        wall_angle="slab",
        light="medium",
        quality="phone",
    ),
    "navy": WallSpec(
        1350, 1800, 105, volumes=3, wall="painted", wall_angle="overhang", light="hard", quality="phone"
    ),
    "twins": WallSpec(
        1800,
        1350,
        104,
        problems=5,
        volumes=2,
        wall="wood",
        wall_angle="slab",
        light="medium",
        quality="phone",
    ),
}


def main() -> None:
    """Writes samples/NAME.jpg and samples/truth.json (NAME to the fields of `training.walls.truth_of`)."""
    FOLDER.mkdir(exist_ok=True)
    truth = {}
    for name, spec in SAMPLES.items():
        wall = render(spec)
        Image.fromarray(wall.pixels).save(FOLDER / f"{name}.jpg", quality=_QUALITY, optimize=True)
        truth[name] = truth_of(wall)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in truth.items())
    (FOLDER / "truth.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
