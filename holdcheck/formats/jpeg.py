"""JPEG (ITU-T T.81): the marker segments up to the first scan, and whether the picture's end is there."""

import io
import math
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

from holdcheck.errors import CorruptPhoto, UnsupportedPhoto
from holdcheck.formats import exif
from holdcheck.formats.header import MAX_BLOCKS, PhotoHeader, take, truncated

_APP1, _SOI, _EOI, _SOS = 0xE1, 0xD8, 0xD9, 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # DHT, JPG and DAC are no frames
_DECODABLE = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}  # Huffman and arithmetic, sequential and progressive
_PROGRESSIVE = {0xC2, 0xCA}
_ALONE = {0x01, *range(0xD0, 0xD8)}  # TEM and the restart markers: no length follows
_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""A marker that ends a scan's data: neither a stuffed byte, nor fill, nor a restart."""
_STEP = 65_536
_MOST_SCANS = 100
"""Each scan takes time, however few its bytes: 20 MB of empty ones keep a decoder busy for minutes."""


@dataclass(frozen=True, slots=True)
class _Frame:
    progressive: bool
    width: int
    height: int
    samplings: tuple[tuple[int, int], ...]
    """Horizontal and vertical sampling factor of each component."""

    @property
    def samples(self) -> int:
        """Values of all components, each rounded up to whole 8x8 blocks, as the coefficients are kept."""
        widest, highest = max(h for h, _ in self.samplings), max(v for _, v in self.samplings)
        blocks = (
            math.ceil(self.width * h / widest / 8) * math.ceil(self.height * v / highest / 8)
            for h, v in self.samplings
        )
        return 64 * sum(blocks)


def read_header(file: BinaryIO) -> PhotoHeader:
    """Walk the markers to the first scan, then count scans to the end of the picture.

    Raises:
        TruncatedPhoto, CorruptPhoto: what its structure says. UnsupportedPhoto: a kind nobody's phone makes.
    """
    file.seek(2)  # SOI
    frame, orientation = None, 1
    for _ in range(MAX_BLOCKS):
        marker = _next_marker(file)
        if marker in _ALONE:
            continue
        if marker in (_SOI, _EOI):
            raise CorruptPhoto("This JPEG file has no picture in it.")
        length = struct.unpack(">H", take(file, 2, "JPEG"))[0] - 2
        if length < 0:
            raise CorruptPhoto("This JPEG file has a damaged segment.")
        if marker in _FRAMES:
            frame = _read_frame(marker, take(file, length, "JPEG"))
        elif marker == _SOS:
            return _finish(file, frame, orientation, take(file, length, "JPEG"))
        elif marker == _APP1 and orientation == 1:
            data = take(file, length, "JPEG")
            orientation = exif.orientation(data) if data.startswith(b"Exif\0\0") else 1
        else:
            file.seek(length, io.SEEK_CUR)
    raise CorruptPhoto("This JPEG file has more segments than any photo.")


def _next_marker(file: BinaryIO) -> int:
    for _ in range(_STEP):  # bytes between segments are skipped, as decoders do
        if take(file, 1, "JPEG") != b"\xff":
            continue
        marker = 0xFF
        while marker == 0xFF:  # fill bytes
            marker = take(file, 1, "JPEG")[0]
        if marker != 0:
            return marker
    raise CorruptPhoto("This JPEG file has a damaged segment.")


def _read_frame(marker: int, data: bytes) -> _Frame:
    if marker not in _DECODABLE or data[:1] != b"\x08":
        raise UnsupportedPhoto(
            "This is a JPEG of a kind for laboratories (lossless or 12-bit); send an 8-bit one."
        )
    if len(data) < 6 or len(data) < 6 + 3 * data[5]:
        raise CorruptPhoto("This JPEG file has a damaged frame header.")
    height, width, count = struct.unpack_from(">HHB", data, 1)
    samplings = tuple((data[7 + 3 * index] >> 4, data[7 + 3 * index] & 15) for index in range(count))
    if not (width and height and count in (1, 3, 4)) or any(not (h and v) for h, v in samplings):
        raise CorruptPhoto("This JPEG file has a damaged frame header.")
    return _Frame(marker in _PROGRESSIVE, width, height, samplings)


def _finish(file: BinaryIO, frame: _Frame | None, orientation: int, scan: bytes) -> PhotoHeader:
    if frame is None or not scan:
        raise CorruptPhoto("This JPEG file has no frame before its picture.")
    _walk_scans(file)
    upright = (frame.height, frame.width) if orientation >= 5 else (frame.width, frame.height)
    several_scans = frame.progressive or scan[0] < len(frame.samplings)
    return PhotoHeader(
        "JPEG", *upright, orientation, several_scans, frame.samples, channels=len(frame.samplings)
    )


def _walk_scans(file: BinaryIO) -> None:
    """Walk from the first scan's data to the end-of-image marker, and refuse more than _MOST_SCANS.

    By segments, not by a search for the marker: a comment may hold its bytes, and a decoder would read on
    behind them. What phones append behind the end (a gain map, a video) is not looked at.
    """
    scans, marker = 1, _end_of_scan(file)
    for _ in range(MAX_BLOCKS):
        if marker == _EOI:
            return
        if marker not in _ALONE:
            length = struct.unpack(">H", take(file, 2, "JPEG"))[0] - 2
            take(file, max(length, 0), "JPEG")
        scans += marker == _SOS
        if scans > _MOST_SCANS:
            raise CorruptPhoto(f"This JPEG file has more than {_MOST_SCANS} scans; a photo has about ten.")
        marker = _end_of_scan(file) if marker == _SOS else _next_marker(file)
    raise CorruptPhoto("This JPEG file has more segments than any photo.")


def _end_of_scan(file: BinaryIO) -> int:
    """The first marker behind a scan's data; the file then stands behind it."""
    last = b""
    while step := file.read(_STEP):
        data = last + step
        if found := _IN_SCAN.search(data):
            file.seek(found.end() - len(data), io.SEEK_CUR)
            return data[found.end() - 1]
        last = data[-1:]
    raise truncated("JPEG")
