"""The process that `bench.fuzz` gives damaged photos to: it decodes each as the service does, and tells
what that took.

Reads paths, writes one line of JSON for each.
"""

import json
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.process import status_mib
from holdcheck import image, memory
from holdcheck.errors import PhotoError
from holdcheck.settings import Settings


@dataclass(slots=True)
class Outcome:
    """What became of one file."""

    result: str = ""
    """`decoded`, the code of a refusal, or what broke."""
    broken: str = ""
    """The promise that was broken inside the worker; empty where none was."""
    seconds: float = 0.0
    """Processor time: a busy machine does not stretch it."""
    probe_mib: float = 0.0
    """What reading the header added to RSS at its peak."""
    peak_mib: float = 0.0
    """What reading and decoding added to RSS at its peak."""
    estimate_mib: float = 0.0
    """`estimate_decode_mib`, where the header could be read."""
    rss_mib: float = 0.0
    """RSS when everything was over."""


def examine(photo: Path, settings: Settings) -> Outcome:
    """Probe and decode one file with the service's limits."""
    outcome = Outcome()
    descriptors = _descriptors()
    memory.trim()
    memory.reset_peak()
    before, start = status_mib("self", "VmRSS"), time.process_time()
    try:
        header = image.probe(photo, settings.max_image_megapixels)
        outcome.probe_mib = status_mib("self", "VmHWM") - before
        outcome.estimate_mib = image.estimate_decode_mib(header, settings.max_image_size)
        available = memory.snapshot().available_mb
        wall = image.decode(photo, settings.max_image_size, settings.max_image_megapixels, available)
        outcome.result = "decoded"
        outcome.broken = _misshapen(wall, settings.max_image_size)
        del wall
    except PhotoError as error:
        outcome.result = error.code
    except Exception as error:
        outcome.result = type(error).__name__
        outcome.broken = f"unexpected: {''.join(traceback.format_exception(error)[-3:])}"
    outcome.seconds = time.process_time() - start
    outcome.peak_mib = status_mib("self", "VmHWM") - before
    if not outcome.estimate_mib:
        outcome.probe_mib = outcome.peak_mib
    memory.trim()
    outcome.rss_mib = status_mib("self", "VmRSS")
    if _descriptors() != descriptors:
        outcome.broken += "a file was left open"
    return outcome


def _misshapen(wall: image.WallImage, max_side: int) -> str:
    height, width, channels = wall.pixels.shape
    scale = min(1.0, max_side / max(wall.original_width, wall.original_height))
    wanted = (max(1, round(wall.original_height * scale)), max(1, round(wall.original_width * scale)))
    if channels != 3 or abs(height - wanted[0]) > 1 or abs(width - wanted[1]) > 1:
        return f"{width} x {height} pixels instead of {wanted[1]} x {wanted[0]}"
    return ""


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def main() -> None:
    memory.tune_allocator()
    settings = Settings(_env_file=None)
    for line in sys.stdin:
        print(json.dumps(asdict(examine(Path(line.strip()), settings))), flush=True)


if __name__ == "__main__":
    main()
