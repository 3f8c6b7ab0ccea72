"""The short form of `python -m bench.fuzz`, and what the long one has found."""

import random
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import bombs, fuzz, fuzz_photos
from bench.fuzz import Worker
from bench.mutate import mutant
from holdcheck import image
from holdcheck.errors import CorruptPhoto, PhotoTooManyPixels, UnsupportedPhoto
from tests.holdcheck.pictures import Write, assert_quarters, decode, encoded, quarters

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the peak of a moment can only be read on Linux"
)
TEXT = fuzz_photos.png_chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(1_000_000)))
SCAN = bombs.scan_of(3)
MOST_FOR_A_HEADER_MIB = 6


def test_six_hundred_damaged_photos_break_no_promise(tmp_path: Path) -> None:
    report = fuzz.run(600, seed=4, jobs=1, folder=tmp_path)
    assert report.broken == []
    assert len(report.examined) == 600
    results = {one.outcome.result for one in report.examined}
    assert {"decoded", "photo_corrupt", "photo_truncated", "photo_needs_too_much_memory"} <= results


def test_a_number_is_always_the_same_photo() -> None:
    assert [mutant(5, number) for number in range(20)] == [mutant(5, number) for number in range(20)]
    assert mutant(5, 1) != mutant(6, 1)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    started = Worker(tmp_path_factory.mktemp("worker"), None)
    yield started
    started.stop()


def _jpeg(*extra: bytes) -> bytes:
    return bombs.jpeg((640, 480), [(SCAN, bytes(100))], extra=b"".join(extra))


def _profile_pieces() -> Iterator[bytes]:
    for number in range(200):
        yield bombs.segment(0xE2, b"ICC_PROFILE\0" + bytes([number + 1, 200]) + bytes(60_000))


MEMORY_BOMBS: dict[str, Callable[[], bytes]] = {
    "texts of 60 MiB in 60 KB of PNG": lambda: bombs.png((100, 100), 2, 8, *[TEXT] * 60),
    "12 MiB of application segments": lambda: _jpeg(*[bombs.segment(0xE5, bytes(60_000))] * 200),
    "12 MiB of EXIF": lambda: _jpeg(*[bombs.segment(0xE1, b"Exif\0\0II*\0" + bytes(60_000))] * 200),
    "60000 small segments": lambda: _jpeg(*[bombs.segment(0xE0, b"JFIF\0")] * 60_000),
    "a colour profile of 12 MiB": lambda: _jpeg(*_profile_pieces()),
    "10 MiB beside a WebP's picture": lambda: bombs.riff(
        [
            (b"VP8X", bombs.canvas(640, 480, 8)),
            (b"VP8L", bombs.lossless(640, 480)),
            (b"EXIF", bytes(10_000_000)),
        ]
    ),
    "a WebP that denies its alpha": lambda: bombs.riff(
        [(b"VP8X", bombs.canvas(5000, 4000, 0)), (b"VP8L", bombs.lossless(5000, 4000, alpha=True))]
    ),
    "10 MiB beside an AVIF's picture": lambda: (
        encoded(quarters(), "AVIF") + bombs.box(b"free", bytes(10_000_000))
    ),
    "the longest rows": lambda: bombs.png((65_535, 400), 2, 8),
}


@pytest.mark.parametrize("name", MEMORY_BOMBS)
def test_it_takes_no_more_memory_than_was_estimated(worker: Worker, name: str) -> None:
    outcome = worker.examine(MEMORY_BOMBS[name]())
    assert outcome.broken == ""
    assert outcome.result in ("decoded", "photo_corrupt")
    assert outcome.peak_mib <= (outcome.estimate_mib or MOST_FOR_A_HEADER_MIB)


def test_a_description_of_a_hundred_thousand_properties_is_not_read_whole(worker: Worker) -> None:
    outcome = worker.examine(bombs.make("HEIC bomb: properties", random.Random(0)))
    assert outcome.result == "photo_corrupt"
    assert outcome.probe_mib < MOST_FOR_A_HEADER_MIB


@pytest.mark.parametrize("filling", [b"\xff\0", b"\0", b"\0" * 60_000 + bombs.segment(0xFE, b"")])
def test_bytes_between_segments_do_not_keep_a_parser_busy(photo: Write, filling: bytes) -> None:
    path = photo(_jpeg(filling * (6_000_000 // len(filling))))
    start = time.process_time()
    with pytest.raises(CorruptPhoto) if len(filling) < 3 else nullcontext():
        decode(path)
    assert time.process_time() - start < 1


def test_a_few_bytes_between_segments_are_no_damage(photo: Write) -> None:
    whole = encoded(quarters(), "JPEG", quality=95)
    assert_quarters(decode(photo(whole[:2] + b"\0\xff\0\xff" * 100 + whole[2:])))


def test_many_scans_of_a_large_picture_are_refused_before_they_take_seconds(photo: Write) -> None:
    scans = [(bombs.scan_of(1, 0, 0), b""), *[(bombs.scan_of(1, 1, 63, 0x10), b"")] * 98]
    path = photo(bombs.jpeg((8000, 6000), scans, 0xC2, (0x11,)))
    with pytest.raises(CorruptPhoto, match="more scans than a photo of its size"):
        image.probe(path, 120)
    assert image.probe(photo(bombs.jpeg((800, 600), scans, 0xC2, (0x11,))), 120).progressive


def test_arithmetic_coding_is_refused_by_name(photo: Write) -> None:
    # Where its data has ended, its decoder goes on for ever; no browser shows it.
    with pytest.raises(UnsupportedPhoto, match="arithmetic"):
        image.probe(photo(bombs.jpeg((640, 480), [(SCAN, b"")], 0xC9)), 120)


def test_an_animation_of_thousands_of_frames_is_refused(photo: Write) -> None:
    picture = bombs.frame(1, 1, bombs.riff_chunk(b"VP8L", bombs.lossless(1, 1)))
    start = [(b"VP8X", bombs.canvas(640, 480, 2)), (b"ANIM", bytes(6))]
    with pytest.raises(CorruptPhoto, match="more chunks"):
        image.probe(photo(bombs.riff([*start, *[(b"ANMF", picture)] * 5000])), 120)


def test_a_side_longer_than_any_camera_s_is_refused(photo: Write) -> None:
    with pytest.raises(PhotoTooManyPixels, match="65535 on a side"):
        image.probe(photo(bombs.png((1_000_000, 64), 0, 8)), 120)


def test_an_empty_list_of_depths_is_no_surprise(photo: Write) -> None:
    parts = bombs.leaves(encoded(quarters(), "AVIF", quality=90))
    cut = [(path, bytes(5) if path.endswith(b"pixi") else leaf) for path, leaf in parts]
    assert image.probe(photo(bombs.tree(cut)), 120).bits == 8


def test_an_avif_larger_than_it_says_is_held_by_the_guard(worker: Worker) -> None:
    whole = encoded(Image.new("RGB", (6000, 6000)), "AVIF", speed=10)  # 54 MiB of planes
    outcome = worker.examine(bombs.lie_about_size(whole, (640, 480)))
    assert outcome.result == "photo_corrupt"
    assert outcome.estimate_mib < 12
    assert outcome.peak_mib < outcome.estimate_mib + image.SLACK_MIB


def test_chunks_between_the_picture_s_are_left_out(photo: Write) -> None:
    parts = bombs.png((64, 64), 2, 8, TEXT, TEXT)
    header = image.probe(photo(parts), 120)
    assert len(header.needed) == 3  # the header, the picture, the end
    assert sum(end - start for start, end in header.needed) == len(parts) - 2 * len(TEXT)


def test_the_rows_of_a_wide_picture_come_out_right(photo: Write) -> None:
    wide = np.zeros((64, 40_000, 3), np.uint8)
    wide[:, 20_000:] = 255
    wall = decode(photo(encoded(Image.fromarray(wide), "PNG")))
    assert wall.pixels.shape == (3, 1600, 3)
    assert wall.pixels[:, 790].max() < 10
    assert wall.pixels[:, 810].min() > 245


def _with_item(photo: bytes, item: bytes) -> bytes:
    """A HEIC or AVIF of one picture, with other data coded in it."""
    extents = struct.pack(">HHHHII", 1, 1, 0, 1, 0, len(item))
    new = {b"meta/iloc": bytes(4) + b"\x44\0" + extents, b"mdat": item}
    return bombs.tree((path, new.get(path, leaf)) for path, leaf in bombs.leaves(photo))


def test_an_avif_of_hundreds_of_frames_is_refused_before_it_is_decoded_for_hours(photo: Write) -> None:
    whole = encoded(quarters(), "AVIF", quality=95)
    units = bombs.coded(whole)[2]
    image.probe(photo(_with_item(whole, units * 10)), 120)  # a layered one has a few
    with pytest.raises(CorruptPhoto, match="more frames in a picture"):
        image.probe(photo(_with_item(whole, units * 100)), 120)


def test_a_heic_of_hundreds_of_frames_is_refused_before_it_is_decoded_for_hours(photo: Write) -> None:
    whole = fuzz_photos.photos("HEIC")["heic-quarters"]
    units = bombs.coded(whole)[2]
    assert_quarters(decode(photo(_with_item(whole, units))))
    with pytest.raises(CorruptPhoto, match="more frames in a picture"):
        image.probe(photo(_with_item(whole, units * 100)), 120)


def test_of_a_sequence_the_still_picture_is_decoded(photo: Write) -> None:
    others = [Image.new("RGB", (160, 120), "black")] * 2
    sequence = encoded(quarters(), "AVIF", save_all=True, append_images=others, quality=95)
    assert sequence[8:12] == b"avis"
    assert_quarters(decode(photo(sequence)))


@pytest.mark.parametrize("sizes", [b"\0\0", b"\x44\0"])  # of the numbers in it: none, or four bytes
def test_a_table_of_millions_of_pieces_does_not_keep_a_parser_busy(photo: Write, sizes: bytes) -> None:
    whole = encoded(quarters(), "AVIF")
    table = bytes(4) + sizes + b"\xff\xff" + b"\0\1\0\0\xff\xff" * 65_535
    parts = [(path, table if path == b"meta/iloc" else leaf) for path, leaf in bombs.leaves(whole)]
    path = photo(bombs.tree(parts))
    start = time.process_time()
    with pytest.raises(CorruptPhoto):
        image.probe(path, 120)
    assert time.process_time() - start < 1


def test_more_coded_items_than_tiles_are_refused(photo: Write) -> None:
    whole = encoded(quarters(), "AVIF")
    owners = b"".join(struct.pack(">HBBBBB", number, 3, 1, 2, 3, 4)[:-1] for number in range(1, 3000))
    ipma = bytes(4) + struct.pack(">I", 2999) + owners
    parts = [(path, ipma if path.endswith(b"ipma") else leaf) for path, leaf in bombs.leaves(whole)]
    with pytest.raises(CorruptPhoto, match="more tiles"):
        image.probe(photo(bombs.tree(parts)), 120)
