"""JPEG (ITU-T T.81): the marker segments up to the first scan, and whether the picture's end is there."""

import io
import math
import re
import struct
from dataclasses import dataclass, replace
from typing import BinaryIO, NamedTuple

from holdcheck.errors import CorruptPhoto, UnsupportedPhoto
from holdcheck.formats import exif
from holdcheck.formats.header import MAX_BLOCKS, MAX_PROFILE, PhotoHeader, take, truncated

_APP1, _SOI, _EOI, _SOS = 0xE1, 0xD8, 0xD9, 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # DHT, JPG and DAC are no frames
_DECODABLE = {0xC0, 0xC1, 0xC2}  # sequential and progressive; no browser shows arithmetic coding
_PROGRESSIVE = {0xC2}
_TABLES = {0xC4, 0xDB, 0xDD}  # DHT, DQT, DRI
_JFIF, _PROFILE, _ADOBE = 0xE0, 0xE2, 0xEE
_NAMED = {_JFIF: b"JFIF\0", _PROFILE: b"ICC_PROFILE\0", _ADOBE: b"Adobe"}
"""Application segments that a decoder makes use of, by how they begin."""
_ALONE = {0x01, *range(0xD0, 0xD8)}  # TEM and the restart markers: no length follows
_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""A marker that ends a scan's data: neither a stuffed byte, nor fill, nor a restart."""
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_STEP = 65_536
_MOST_SCANS = 100
"""Each scan takes time, however few its bytes: 20 MB of empty ones keep a decoder busy for minutes."""
_MOST_WORK = 3e9
"""Scans times samples; a decoder does 1e9 or more a second. A progressive photo of 100 megapixels: 1.5e9."""
_MOST_NEEDED = 1024
"""Tables, frame and profile; a profile comes in 255 pieces at most."""


class _Stretch(NamedTuple):
    """A segment, and where it lies in the file."""

    marker: int
    start: int
    end: int


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
    frame, orientation, needed = None, 1, [_Stretch(_SOI, 0, 2)]
    for _ in range(MAX_BLOCKS):
        marker = _next_marker(file)
        if marker in _ALONE:
            continue
        start = file.tell() - 2
        data = _segment(file, marker)
        if marker in _FRAMES:
            frame = _read_frame(marker, data)
        elif marker == _SOS:
            header = _finish(file, frame, orientation, data)
            picture = _Stretch(_SOS, start, file.tell())
            return replace(header, needed=_stretches([*needed, picture]))
        elif marker == _APP1 and orientation == 1 and data.startswith(b"Exif\0\0"):
            orientation = exif.orientation(data)
        if _is_needed(marker, data):
            needed.append(_Stretch(marker, start, file.tell()))
        if len(needed) > _MOST_NEEDED:
            break
    raise CorruptPhoto("This JPEG file has more segments than any photo.")


def _segment(file: BinaryIO, marker: int) -> bytes:
    if marker in (_SOI, _EOI):
        raise CorruptPhoto("This JPEG file has no picture in it.")
    length = struct.unpack(">H", take(file, 2, "JPEG"))[0] - 2
    if length < 0:
        raise CorruptPhoto("This JPEG file has a damaged segment.")
    return take(file, length, "JPEG")


def _stretches(parts: list[_Stretch]) -> tuple[tuple[int, int], ...]:
    """What is needed of the file. Of JFIF's and Adobe's segments the last counts; a huge profile does not."""
    last = {part.marker: part for part in parts}
    profile = sum(part.end - part.start for part in parts if part.marker == _PROFILE)
    return tuple(
        (part.start, part.end)
        for part in parts
        if (part is last[part.marker] or part.marker not in (_JFIF, _ADOBE))
        and (part.marker != _PROFILE or profile <= MAX_PROFILE)
    )


def _is_needed(marker: int, data: bytes) -> bool:
    return marker in _FRAMES | _TABLES or (marker in _NAMED and data.startswith(_NAMED[marker]))


def _next_marker(file: BinaryIO) -> int:
    two = take(file, 2, "JPEG")
    if _MARKER.match(two):
        return two[1]
    rest = two + file.read(_STEP)  # bytes between segments are skipped, as decoders do
    found = _MARKER.search(rest)
    if found:
        file.seek(found.end() - len(rest), io.SEEK_CUR)
        return rest[found.end() - 1]
    if len(rest) < _STEP:
        raise truncated("JPEG")
    raise CorruptPhoto("This JPEG file has a damaged segment.")


def _read_frame(marker: int, data: bytes) -> _Frame:
    if marker not in _DECODABLE or data[:1] != b"\x08":
        raise UnsupportedPhoto(
            "This is a JPEG of a kind for laboratories (lossless, 12-bit or arithmetic-coded); "
            "send an 8-bit, Huffman-coded one."
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
    if _walk_scans(file) * frame.samples > _MOST_WORK:
        raise CorruptPhoto(
            "This JPEG file has more scans than a photo of its size; send it as a baseline JPEG."
        )
    upright = (frame.height, frame.width) if orientation >= 5 else (frame.width, frame.height)
    several_scans = frame.progressive or scan[0] < len(frame.samplings)
    return PhotoHeader(
        "JPEG", *upright, orientation, several_scans, frame.samples, channels=len(frame.samplings)
    )


def _walk_scans(file: BinaryIO) -> int:
    """Walk from the first scan's data to behind the end-of-image marker, and count scans up to _MOST_SCANS.

    By segments, not by a search for the marker: a comment may hold its bytes, and a decoder would read on
    behind them. What phones append behind the end (a gain map, a video) is not looked at.
    """
    scans, marker = 1, _end_of_scan(file)
    for _ in range(MAX_BLOCKS):
        if marker == _EOI:
            return scans
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
