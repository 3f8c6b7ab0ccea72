"""What is coded in one item of a HEIC or AVIF: how many pictures, by its units, without decoding any.

A still picture is one frame. An item of thousands, none of which is shown, keeps a decoder busy for hours.
"""

from typing import BinaryIO

MOST_UNITS = 64
"""Frames of an AV1 item (a layered picture has four), or slices of an HEVC item."""
_MOST_LOOKED_AT = 256
_AV1_FRAMES = {3, 6, 7}  # OBU_FRAME_HEADER, OBU_FRAME, OBU_REDUNDANT_FRAME_HEADER
_HEVC_NOT_CODED = 32
"""NAL unit types from here up hold parameters, not pictures (H.265, table 7-1)."""


def av1_frames(item: BinaryIO) -> int:
    """Frame headers in a sequence of OBUs (AV1 bitstream specification, 5.3); _MOST_LOOKED_AT where there are
    too many units to look at."""
    frames = 0
    for _ in range(_MOST_LOOKED_AT):
        header = item.read(1)
        if not header:
            return frames
        has_extension, has_size = header[0] >> 2 & 1, header[0] >> 1 & 1
        item.read(has_extension)
        frames += (header[0] >> 3 & 15) in _AV1_FRAMES
        if not has_size:  # the last one, to the end
            return frames
        item.seek(_leb128(item), 1)
    return _MOST_LOOKED_AT


def hevc_slices(item: BinaryIO, length_size: int) -> int:
    """Slice segments in a sequence of NAL units, each after its length (ISO/IEC 14496-15, 8.3); as above."""
    slices = 0
    for _ in range(_MOST_LOOKED_AT):
        unit = item.read(length_size + 1)
        if len(unit) <= length_size:
            return slices
        slices += (unit[-1] >> 1 & 63) < _HEVC_NOT_CODED
        item.seek(max(0, int.from_bytes(unit[:-1], "big") - 1), 1)
    return _MOST_LOOKED_AT


def _leb128(item: BinaryIO) -> int:
    value = 0
    for index in range(8):
        byte = (item.read(1) or b"\0")[0]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            break
    return value
