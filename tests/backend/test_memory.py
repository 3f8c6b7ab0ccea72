"""The promise: a true-size CLIP ViT-B/32 and everything else inside 256 MiB. tests/bench: for how long."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.backend import photos
from tests.backend.server import Server, start
from tests.cgroup import memory_limit
from training.walls import WallSpec, render

LIMIT_MIB = 256
PHOTOS = 10


@pytest.fixture(scope="module")
def phone_photos() -> list[bytes]:
    """Ten different walls of 12 megapixels, half of them portrait."""
    return [_phone_photo(seed, portrait=seed % 2 == 0) for seed in range(PHOTOS)]


def _phone_photo(seed: int, *, portrait: bool) -> bytes:
    width, height = (900, 1200) if portrait else (1200, 900)
    drawn = render(WallSpec(width, height, seed, problems=8)).pixels
    enlarged = cv2.resize(drawn, None, fx=10 / 3, fy=10 / 3, interpolation=cv2.INTER_CUBIC)
    return photos.jpeg(Image.fromarray(np.asarray(enlarged)))


def _analyze(server: Server, photo: bytes) -> float:
    """Stream one analysis to its end; seconds."""
    begin = time.monotonic()
    events = server.events(photo)
    assert events[-1].step == "complete", events[-1].data
    result = events[-1].data["result"]
    assert result["component_status"] == {"yolo": True, "clip": True}
    assert result["statistics"]["holds_kept"] > 0
    return time.monotonic() - begin


def test_ten_phone_photos_fit_a_container_of_256_mib(
    tmp_path: Path, true_size_models: Path, phone_photos: list[bytes]
) -> None:
    settings = {"MODELS_DIR": str(true_size_models)}
    # One after the other: a second server would hold the same files in memory at its own charge.
    with memory_limit(LIMIT_MIB) as cgroup:
        limited = start(_folder(tmp_path / "limited"), settings, cgroup)
        try:
            with_limit = sum(_analyze(limited, photo) for photo in phone_photos)
            usage = cgroup.usage()
            still_the_same = limited.process.poll() is None
            reported = limited.get("/api/health").json()["memory"]["limit_mb"]
        finally:
            limited.stop()
    free = start(_folder(tmp_path / "free"), settings)
    try:
        without_limit = sum(_analyze(free, photo) for photo in phone_photos)
    finally:
        free.stop()
    print(f"\n{PHOTOS} photos: {with_limit:.1f} s in {LIMIT_MIB} MiB, {without_limit:.1f} s without a limit")
    print(f"peak {usage.peak_mib:.0f} MiB with page cache, limit reached {usage.limit_hits} times")
    assert usage.oom_kills == 0
    assert still_the_same
    assert reported == LIMIT_MIB
    assert with_limit < 1.3 * without_limit


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
