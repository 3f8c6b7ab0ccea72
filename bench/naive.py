"""The stack most projects put together: ultralytics for the outlines, open_clip for the colours, one process.

`python -m bench.naive PHOTO...` prints its figures as JSON. True architectures and sizes; weights are random
unless given, which changes neither memory nor time.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.process import AnonPeak, status_mib

_COLOURS = (
    *("black", "white", "gray", "red", "orange", "yellow", "green"),
    *("blue", "purple", "pink", "brown", "mint", "lime"),
)
_IMAGE_SIZE = 640
_GRID = 10


class NaiveStack:
    """Both models whole and in fp32, as their quick starts show them, on one thread."""

    def __init__(self, yolo: str, clip: str) -> None:
        # Imported here, so that the imports count towards being ready.
        import torch

        from holdcheck import torchvision_shim

        torch.set_num_threads(1)
        torchvision_shim.install()
        import open_clip
        from ultralytics import YOLO

        self.torch = torch
        self.detector = YOLO(yolo, task="segment", verbose=False)
        self.clip, _, self.preprocess = open_clip.create_model_and_transforms(clip, pretrained=None)
        self.clip.eval()
        tokens = open_clip.get_tokenizer(clip)(
            [f"a photo of a {colour} climbing hold" for colour in _COLOURS]
        )
        with torch.inference_mode():
            self.prompts = torch.nn.functional.normalize(self.clip.encode_text(tokens), dim=-1)

    def analyze(self, photo: Path, holds: int) -> tuple[list[str], float]:
        """The colour of each of `holds` crops of a photo, and the seconds that CLIP took for them."""
        pixels = np.asarray(Image.open(photo).convert("RGB"))
        found = self.detector.predict(pixels[..., ::-1], imgsz=_IMAGE_SIZE, verbose=False)[0]
        boxes = _exactly(found.boxes.xyxy.numpy(), holds, pixels.shape[1], pixels.shape[0])
        torch = self.torch
        start = time.perf_counter()
        crops = [Image.fromarray(pixels[y1:y2, x1:x2]) for x1, y1, x2, y2 in boxes]
        batch = torch.stack([self.preprocess(crop) for crop in crops])
        with torch.inference_mode():
            embedded = torch.nn.functional.normalize(self.clip.encode_image(batch), dim=-1)
            best = (100 * embedded @ self.prompts.T).softmax(-1).argmax(-1)
        return [_COLOURS[index] for index in best.tolist()], time.perf_counter() - start


def _exactly(boxes: NDArray[Any], count: int, width: int, height: int) -> NDArray[np.int64]:
    """The first `count` boxes; a grid of squares makes up for those that the detector did not find."""
    side = min(width, height) // (2 * _GRID)
    places = [(index % _GRID, index // _GRID % _GRID) for index in range(count)]
    grid = [(x * width // _GRID, y * height // _GRID) for x, y in places]
    squares = np.array([(x, y, x + side, y + side) for x, y in grid]).reshape(-1, 4)
    whole = np.concatenate([np.floor(boxes).astype(np.int64), squares])[:count]
    whole[:, 2:] = np.maximum(whole[:, 2:], whole[:, :2] + 1)
    return whole


def measure(photos: list[Path], yolo: str = "yolo11n-seg.yaml", holds: int = 40) -> dict[str, float]:
    """Run the stack on each photo in a process of its own: the figures of bench.json."""
    command = [sys.executable, "-m", "bench.naive", "--yolo", yolo, "--holds", str(holds), *map(str, photos)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _measure_here(photos: list[Path], yolo: str, clip: str, holds: int) -> dict[str, float]:
    start = time.perf_counter()
    stack = NaiveStack(yolo, clip)
    ready_s, ready_rss = time.perf_counter() - start, status_mib("self", "VmRSS")
    stack.analyze(photos[0], 1)  # ultralytics sets itself up on the first photo; nobody is charged for that
    took = []
    with AnonPeak("self") as anon:
        for photo in photos:
            start = time.perf_counter()
            _, clip_s = stack.analyze(photo, holds)
            took.append((time.perf_counter() - start, clip_s))
    photo_s, clip_s = (sum(column) / len(photos) for column in zip(*took, strict=True))
    return {
        "ready_rss_mib": ready_rss,
        "peak_rss_mib": status_mib("self", "VmHWM"),
        "peak_anon_mib": anon.mib,
        "ready_s": ready_s,
        "seconds_per_photo": photo_s,
        "seconds_per_crop": clip_s / holds,
        "crops_per_photo": holds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.naive", description=__doc__)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument(
        "--yolo", default="yolo11n-seg.yaml", help="weights, or an architecture with random ones"
    )
    parser.add_argument("--clip", default="ViT-B-32")
    parser.add_argument("--holds", type=int, default=40)
    arguments = parser.parse_args()
    print(json.dumps(_measure_here(arguments.photos, arguments.yolo, arguments.clip, arguments.holds)))


if __name__ == "__main__":
    main()
