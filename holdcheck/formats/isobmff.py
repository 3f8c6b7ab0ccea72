"""HEIC and AVIF (ISO/IEC 23008-12 in the box structure of 14496-12): the primary item's properties."""

import io
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Literal

from holdcheck.errors import CorruptPhoto, UnsupportedPhoto
from holdcheck.formats import coded, excerpt
from holdcheck.formats.header import MAX_BLOCKS, PhotoHeader, take, truncated

_MAX_META = 2**20
"""Bytes; a phone's is about 5 KB."""
_TO_THE_END = 2**62
_MAX_CODED_ITEMS = 1024
"""Tiles; a phone's photo of 48 megapixels has 192."""
_MAX_PIECES = 16_384
"""Of all items together."""
_MAX_BOXES = 4096
"""Inside one box; what lies behind them is not looked at."""
_ALPHA_TYPES = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")

_ORIENTATIONS = {None: (1, 8, 3, 6), 0: (4, 5, 2, 7), 1: (2, 7, 4, 5)}
"""Mirroring (none, top to bottom, left to right) -> EXIF orientation by quarter turns."""

_Kind = Literal["HEIC", "AVIF"]
_Box = tuple[bytes, bytes]
"""Type and content."""


def read_header(file: BinaryIO, kind: _Kind) -> PhotoHeader:
    """Walk the top-level boxes and read the primary item's size and rotation.

    Raises:
        TruncatedPhoto: a box ends behind the file. CorruptPhoto: no picture can be found in it.
        UnsupportedPhoto: an image sequence without a still picture.
    """
    meta = _find_meta(file, kind)
    try:
        header = replace(_describe(kind, meta), held_bytes=file.seek(0, io.SEEK_END))
        _check_items(file, kind, meta)
        return header
    except (struct.error, IndexError, KeyError):
        raise CorruptPhoto(f"This {kind} file has a damaged description.") from None


def _find_meta(file: BinaryIO, kind: _Kind) -> bytes:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    meta = None
    for _ in range(MAX_BLOCKS):
        start = file.tell()
        if start + 8 > size:
            break
        length, name = struct.unpack(">I4s", take(file, 8, kind))
        if length == 1:
            (length,) = struct.unpack(">Q", take(file, 8, kind))
        end = size if length == 0 else start + length
        if end > size:
            raise truncated(kind)
        if end < file.tell():
            raise CorruptPhoto(f"This {kind} file has a damaged box.")
        if name == b"meta" and end - file.tell() <= _MAX_META:
            meta = take(file, end - file.tell(), kind)
        file.seek(end)
    if meta is None:
        raise UnsupportedPhoto(f"This {kind} file holds no still picture; send a photo.")
    return meta


def _describe(kind: _Kind, meta: bytes) -> PhotoHeader:
    boxes = dict(_boxes(meta[4:]))  # version and flags come first
    primary = _number(boxes[b"pitm"], 4, 4 if boxes[b"pitm"][0] else 2)
    properties = list(_boxes(dict(_boxes(boxes[b"iprp"]))[b"ipco"]))
    associations = [data for name, data in _boxes(boxes[b"iprp"]) if name == b"ipma"]
    own = [
        properties[index - 1]
        for data in associations
        for owner, index in _associations(data)
        if owner == primary and index
    ]
    values = dict(own)
    width, height = struct.unpack_from(">II", values[b"ispe"], 4)
    if not (width and height):
        raise CorruptPhoto(f"This {kind} file has a damaged description.")
    if sum(data[0] & 3 for name, data in own if name == b"irot") % 2:
        width, height = height, width
    # libheif turns a HEIC upright by itself; Pillow leaves an AVIF as it is stored.
    orientation = _orientation(own) if kind == "AVIF" else 1
    depths = values.get(b"pixi", bytes([0, 0, 0, 0, 3, 8, 8, 8]))
    alpha = any(name == b"auxC" and data[4:].startswith(_ALPHA_TYPES) for name, data in properties)
    return PhotoHeader(
        kind, width, height, orientation, channels=3 + alpha, bits=max(depths[5:], default=8), alpha=alpha
    )


def _orientation(properties: list[_Box]) -> int:
    """The EXIF orientation that says the same as a rotation and then a mirroring."""
    values = dict(properties)
    angle = values[b"irot"][0] & 3 if b"irot" in values else 0  # counter-clockwise quarters
    axis = values[b"imir"][0] & 1 if b"imir" in values else None
    return _ORIENTATIONS[axis][angle]


def _boxes(data: bytes) -> Iterator[_Box]:
    at = 0
    for _ in range(_MAX_BOXES):
        if at + 8 > len(data):
            return
        length, name = struct.unpack_from(">I4s", data, at)
        if length < 8:
            return
        yield name, data[at + 8 : at + length]
        at += length


def _check_items(file: BinaryIO, kind: _Kind, meta: bytes) -> None:
    """Refuse more frames or slices in one item than a still picture can have."""
    boxes = dict(_boxes(meta[4:]))
    properties = list(_boxes(dict(_boxes(boxes[b"iprp"]))[b"ipco"]))
    configured = {
        owner: properties[index - 1][1]
        for name, data in _boxes(boxes[b"iprp"])
        if name == b"ipma"
        for owner, index in _associations(data)
        if index and properties[index - 1][0] in (b"hvcC", b"av1C")
    }
    if len(configured) > _MAX_CODED_ITEMS:
        raise CorruptPhoto(f"This {kind} file has more tiles than any photo.")
    end = file.seek(0, io.SEEK_END)
    for item, in_idat, stretches in _locations(boxes[b"iloc"]):
        if item not in configured:
            continue
        with _item(file, boxes.get(b"idat", b"") if in_idat else None, stretches, end) as data:
            if kind == "AVIF":
                units = coded.av1_frames(data)
            else:
                units = coded.hevc_slices(data, (configured[item][21] & 3) + 1)
        if units > coded.MOST_UNITS:
            raise CorruptPhoto(f"This {kind} file has more frames in a picture than any photo.")


def _item(file: BinaryIO, idat: bytes | None, stretches: list[tuple[int, int]], end: int) -> BinaryIO:
    if idat is not None:
        if sum(stop - start for start, stop in stretches) > len(idat):
            raise IndexError
        return io.BytesIO(b"".join(idat[start:stop] for start, stop in stretches))
    bounded = [(min(start, end), min(stop, end)) for start, stop in stretches]
    return excerpt.opened(Path(file.name), bounded)


def _locations(iloc: bytes) -> Iterator[tuple[int, bool, list[tuple[int, int]]]]:
    """Each item's number, whether it lies in `idat` or in the file, and (start, end) of its pieces."""
    version, reader = iloc[0], io.BytesIO(iloc)

    def number(size: int) -> int:
        data = reader.read(size)
        if len(data) < size:
            raise IndexError
        return int.from_bytes(data, "big")

    reader.seek(4)
    sizes, more = number(1), number(1)
    left = _MAX_PIECES
    offset_size, length_size, base_size, index_size = sizes >> 4, sizes & 15, more >> 4, more & 15
    for _ in range(number(4 if version == 2 else 2)):
        item = number(4 if version == 2 else 2)
        method = number(2) & 15 if version else 0
        number(2)  # in which file: this one
        base = number(base_size)
        pieces = []
        count = number(2)
        left -= count
        if left < 0:  # where their numbers have no bytes, nothing else would end this
            raise IndexError
        for _ in range(count):
            number(index_size if version else 0)
            start = base + number(offset_size)
            length = number(length_size)
            pieces.append((start, start + length if length else _TO_THE_END))
        yield item, method == 1, pieces


def _associations(ipma: bytes) -> Iterator[tuple[int, int]]:
    """Items, and the numbers, from 1, of the properties that `ipma` gives them."""
    wide_ids, wide_indices = ipma[0] > 0, ipma[3] & 1
    id_size, index_size = (4 if wide_ids else 2), (2 if wide_indices else 1)
    at = 8
    for _ in range(_number(ipma, 4, 4)):
        owner, count = _number(ipma, at, id_size), ipma[at + id_size]
        at += id_size + 1
        for _ in range(count):
            yield owner, _number(ipma, at, index_size) & (0x7FFF if wide_indices else 0x7F)
            at += index_size


def _number(data: bytes, at: int, size: int) -> int:
    return int(struct.unpack_from({1: ">B", 2: ">H", 4: ">I"}[size], data, at)[0])
