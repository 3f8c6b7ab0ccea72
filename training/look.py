"""Look at answers: run the whole pipeline on photos and draw the problems that it finds, one colour each.

python -m training.look DATA --out build/look --names wall_0519 wall_0521
"""

import argparse
import colorsys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from holdcheck import draw, pipeline, registry
from holdcheck.result import Result
from holdcheck.settings import Settings

VARIED = (
    "wall_0519", "wall_0521", "wall_0527", "wall_0492", "wall_0448", "wall_0500",
    "wall_0513", "wall_0428", "wall_0506", "wall_0453", "wall_0436", "wall_0471",
)  # fmt: skip
"""Val photos of several gyms: dense and sparse, wood and paint, spots and shade."""


def painted(photo: Path, result: Result) -> NDArray[np.uint8]:
    """The photo, paled, with each problem's holds outlined and numbered in a strong colour of its own."""
    with Image.open(photo) as opened:
        canvas = np.array(opened.convert("RGB"))
    canvas[:] = canvas // 2 + 110
    outlines = {hold.id: np.round(np.array(hold.contour)).astype(np.int32) for hold in result.hold_data}
    with Image.open(photo) as opened:
        original = np.array(opened.convert("RGB"))
    for outline in outlines.values():
        inside = np.zeros(canvas.shape[:2], dtype=np.uint8)
        cv2.fillPoly(inside, [outline], 1)
        canvas[inside > 0] = original[inside > 0]
    tags = {hold.id: hold.tag for hold in result.hold_data}
    for problem in result.problems:
        colour = _strong(problem.id)
        estimated = {"start": problem.start_estimated, "top": problem.top_estimated}
        for hold_id in problem.holds:
            cv2.polylines(canvas, [outlines[hold_id]], True, colour, 3, cv2.LINE_AA)
            tag = tags[hold_id]
            mark = f" {tag}{'?' if estimated[tag] else ''}" if tag else ""
            x, y = outlines[hold_id].mean(axis=0).astype(int).tolist()
            for line, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
                cv2.putText(canvas, f"{problem.id}{mark}", (x - 8, y + 5), 0, 0.45, line, thickness, 16)
    return canvas


def _strong(number: int) -> tuple[int, int, int]:
    """A colour for each number, neighbours far apart: hues in steps of the golden ratio."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618 % 1, 1.0, 1.0 if number % 2 else 0.7)
    return round(255 * red), round(255 * green), round(255 * blue)


def _summary(result: Result) -> str:
    lines = [
        f"  {problem.id}: {problem.color_name} {problem.hold_count}"
        f" start {problem.start_ids}{'?' if problem.start_estimated else ''}"
        for problem in result.problems
    ]
    return "\n".join([f"{len(result.hold_data)} holds, {len(result.problems)} problems", *lines])


def main() -> None:
    """Draw each photo's problems into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--names", nargs="+", default=list(VARIED))
    parser.add_argument("--max-holds", type=int, default=150)
    parser.add_argument("--clip", default=None, help="CLIP_MODEL; the default one where this is not given")
    given = parser.parse_args()
    settings = Settings(max_holds=given.max_holds, **({"clip_model": given.clip} if given.clip else {}))
    models = registry.load(settings)
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.names:
        photo = given.data / "images" / given.split / f"{name}.jpg"
        events = list(pipeline.analyze(photo, models, settings, job_id=name))
        result = Result.model_validate(events[-1].data["result"])
        Image.fromarray(painted(photo, result)).save(given.out / f"{name}.png")
        draw.save(photo, result, settings, given.out / f"{name}_served.jpg")
        print(f"{name}: {_summary(result)}", flush=True)


if __name__ == "__main__":
    main()
