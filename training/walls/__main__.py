"""python -m training.walls --out DIR --count N --seed S --size 1024x768"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from training.walls.dataset import write_dataset
from training.walls.render import render
from training.walls.spec import Angle, Light, Quality, Surface, WallSpec
from training.walls.truth import Wall


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.walls", description="Draw climbing walls.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--count", type=int, default=10, help="how many walls (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first; each next wall has the next")
    parser.add_argument("--size", type=_size, default=(1024, 768), metavar="WxH", help="default 1024x768")
    parser.add_argument("--mixed", action="store_true", help="turn every other wall to the other format")
    parser.add_argument("--split", default="train", help="train or val (default train)")
    parser.add_argument("--problems", type=int, help="problems on each wall")
    parser.add_argument("--volumes", type=int, help="volumes on each wall")
    parser.add_argument("--wall", choices=get_args(Surface), default="random")
    parser.add_argument("--wall-angle", choices=get_args(Angle), default="random")
    parser.add_argument("--light", choices=get_args(Light), default="random")
    parser.add_argument("--quality", choices=get_args(Quality), default="random")
    parser.add_argument("--twins", action="store_true", help="neighbours in two shades of one colour")
    parser.add_argument("--shadow", action="store_true", help="a deep shadow's edge crosses the wall")
    return parser


def _walls(given: argparse.Namespace) -> Iterator[tuple[str, str, Wall]]:
    for seed in range(given.seed, given.seed + given.count):
        width, height = given.size if not (given.mixed and seed % 2) else given.size[::-1]
        spec = WallSpec(
            width, height, seed, given.problems, given.volumes,
            given.wall, given.wall_angle, given.light, given.quality,
            twins=given.twins, shadow=given.shadow,
        )  # fmt: skip
        yield given.split, f"drawn_{seed:05d}", render(spec)


def main(arguments: list[str] | None = None) -> int:
    """Draws the walls that the command line asks for; returns the exit status."""
    parser = _arguments()
    given = parser.parse_args(arguments)
    try:
        count = write_dataset(given.out, _walls(given))
    except ValueError as error:
        parser.error(str(error))
    print(f"{count} walls in {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
