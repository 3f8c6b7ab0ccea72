"""What decoding a photo costs: ours and the usual line of Pillow, each in a process of its own.

`python -m bench.decode` prints the peaks as JSON.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIZES = {12: (4032, 3024), 48: (8064, 6048), 108: (12_000, 9000)}
"""Megapixels of common phone cameras -> width and height."""
_MAX_SIDE = 1600

_OURS = f"""
from holdcheck import image
def decode(path): return image.decode(path, {_MAX_SIDE}, 200)
"""
_NAIVE = """
import numpy as np
from PIL import Image
Image.MAX_IMAGE_PIXELS = None
def decode(path): return np.asarray(Image.open(path).convert("RGB"))
"""
_MEASURE = """
import sys, time
from pathlib import Path
from holdcheck import memory
path = Path(sys.argv[1])
decode(Path(sys.argv[2]))  # a tiny photo: libraries and plugins are there already
memory.trim()
memory.reset_peak()
before, start = memory.snapshot().rss_mb, time.perf_counter()
decode(path)
print(memory.snapshot().peak_mb - before, time.perf_counter() - start)
"""


def measure(folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Peak RSS that a decode adds, and its time.

    Returns:
        `{"12 MP baseline JPEG": {"naive": {"peak_mib": ..., "seconds": ...}, "ours": {...}}, ...}`
    """
    tiny = folder / "tiny.jpg"
    Image.new("RGB", (64, 64)).save(tiny)
    table = {}
    for megapixels, (width, height) in SIZES.items():
        picture = textured(width, height)
        for kind, progressive in (("baseline", False), ("progressive", True)):
            photo = folder / f"{megapixels}-{kind}.jpg"
            picture.save(photo, quality=85, progressive=progressive)
            table[f"{megapixels} MP {kind} JPEG"] = {
                "naive": _run(_NAIVE, photo, tiny),
                "ours": _run(_OURS, photo, tiny),
            }
            photo.unlink()
    return table


def textured(width: int, height: int) -> Image.Image:
    """Soft colours under fine noise: compresses about as well as a photo does."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 255, (height // 64 + 1, width // 64 + 1, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    noise = random.integers(0, 16, (512, width, 3), dtype=np.uint8)
    for top in range(0, height, len(noise)):
        band = pixels[top : top + len(noise)]
        cv2.add(band, noise[: len(band)], band)
    return Image.fromarray(pixels)


def _run(decode: str, photo: Path, tiny: Path) -> dict[str, float]:
    command = [sys.executable, "-c", decode + _MEASURE, str(photo), str(tiny)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    peak, seconds = output.split()
    return {"peak_mib": float(peak), "seconds": float(seconds)}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(measure(Path(scratch)), indent=2))
