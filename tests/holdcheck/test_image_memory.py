import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from holdcheck.errors import (
    PhotoNeedsTooMuchMemory,
)
from tests.holdcheck.pictures import Write, decode, encoded, quarters


def test_a_decode_that_does_not_fit_is_refused_with_what_to_do(photo: Write) -> None:
    path = photo(encoded(Image.new("L", (4000, 3000)), "JPEG", progressive=True))
    with pytest.raises(
        PhotoNeedsTooMuchMemory, match=r"progressive JPEG .* needs \d+ MiB .* 20 are left.*baseline"
    ):
        decode(path, available_mib=20)
    assert decode(path, available_mib=120).pixels.shape == (1200, 1600, 3)


MEASURE = """
import sys
from pathlib import Path
from holdcheck import image, memory
path = Path(sys.argv[1])
estimate = image.estimate_decode_mib(image.probe(path, 200), 1600)
memory.reset_peak()
before = memory.snapshot().rss_mb
image.decode(path, 1600, 200)
print(memory.snapshot().peak_mb - before, estimate)
"""


def _measured(path: Path) -> tuple[float, float]:
    """Peak MiB that a decode adds in a fresh process, and what was estimated."""
    output = subprocess.run([sys.executable, "-c", MEASURE, path], check=True, capture_output=True, text=True)
    peak, estimate = output.stdout.split()
    return float(peak), float(estimate)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a moment can only be read on Linux")
@pytest.mark.parametrize(
    ("size", "limit_mib"),
    [((4032, 3024), 35), ((8064, 6048), 35), ((12_000, 9000), 55)],  # 12, 48 and 108 MP
)
def test_a_baseline_jpeg_of_any_size_decodes_in_little_memory(
    tmp_path: Path, size: tuple[int, int], limit_mib: float
) -> None:
    path = tmp_path / "photo.jpg"
    quarters(*size).save(path, quality=85)
    peak, estimate = _measured(path)
    assert peak < limit_mib
    assert peak <= estimate < 1.4 * peak


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a moment can only be read on Linux")
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"progressive": True}),
        ("JPEG", {"progressive": True, "subsampling": 0}),
        ("PNG", {}),
        ("WebP", {"method": 0}),
        ("AVIF", {"speed": 10}),
    ],
)
def test_the_estimate_is_an_upper_bound_and_not_far_off(
    tmp_path: Path, kind: str, options: dict[str, int]
) -> None:
    path = tmp_path / "photo"
    quarters(4032, 3024).save(path, kind, **options)
    peak, estimate = _measured(path)
    assert peak <= estimate < 1.4 * peak
