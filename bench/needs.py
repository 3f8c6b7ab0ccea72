"""What an analysis adds to an idle server, beside its estimate: `python -m bench.needs`, in docs/memory.md.

Each row is a real server of its own that analyses one photo several times. Anonymous memory is sampled from
outside, the largest sample counts. Exits 1 where one is larger than the estimate.
"""

import os
import sys
import tempfile
from pathlib import Path
from unittest import mock

import httpx
from PIL import Image

from bench.inputs import random_models, wall_photos
from bench.process import AnonPeak, status_mib
from bench.service import default_server
from holdcheck import budget, image
from holdcheck.settings import Settings

_ANALYSES = 4
_SIZES = ((4032, 3024), (1600, 1600))
_CROP_SIDES = {"ViT-B/32": 224, "holdclip": 56}
_ROWS: tuple[dict[str, str], ...] = (
    *({"YOLO_IMG_SIZE": str(side)} for side in (320, 640, 800, 960, 1280, 1920)),
    *({"CLIP_BATCH_SIZE": str(size)} for size in (1, 2, 4, 8, 10, 12, 16, 32)),
    *({"CLIP_MODEL": "holdclip", "CLIP_BATCH_SIZE": str(size)} for size in (3, 16)),
    *({"MAX_IMAGE_SIZE": str(side)} for side in (640, 3200)),
    {"MAX_HOLDS": "500", "YOLO_CONF": "0.02"},
)


def main() -> int:
    print("| photo | settings | added, MiB | estimated |\n| --- | --- | ---: | ---: |")
    kept = True
    with tempfile.TemporaryDirectory() as folder, Image.open(wall_photos()[0]) as wall:
        for width, height in _SIZES:
            photo = Path(folder) / f"{width}x{height}.jpg"
            wall.resize((width, height)).save(photo, quality=88)
            for row in _ROWS:
                settings = {"CLIP_MODEL": "ViT-B/32", **row}
                added, estimated = _added_mib(photo, settings), _estimated_mib(photo, settings)
                name = " ".join(f"{key}={value}" for key, value in row.items())
                print(f"| {width} x {height} | {name} | {added:.0f} | {estimated:.0f} |", flush=True)
                kept = kept and added <= estimated
    return int(not kept)


def _added_mib(photo: Path, settings: dict[str, str]) -> float:
    with (
        tempfile.TemporaryDirectory() as folder,
        default_server(random_models(), Path(folder), **settings) as server,
    ):
        idle = status_mib(server.pid, "RssAnon")
        with AnonPeak(server.pid) as peak:
            for _ in range(_ANALYSES):
                with photo.open("rb") as file:
                    answer = httpx.post(f"{server.url}/api/analyze", files={"image": file}, timeout=300)
                answer.raise_for_status()
        return peak.mib - idle


def _estimated_mib(photo: Path, variables: dict[str, str]) -> float:
    with mock.patch.dict(os.environ, variables):
        settings = Settings(_env_file=None)
    header = image.probe(photo, settings.max_image_megapixels)
    return budget.needed_mib(header, settings, _CROP_SIDES[settings.clip_model])


if __name__ == "__main__":
    sys.exit(main())
