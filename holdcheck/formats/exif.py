"""EXIF, of which only the orientation is read: nothing else of it, GPS least of all, is ever kept."""

import struct

_ORIENTATION_TAG = 0x0112
_SHORT = 3


def orientation(tiff: bytes) -> int:
    """EXIF orientation 1..8 from a TIFF block (EXIF 2.32, section 4.6); 1 where it says nothing sensible.

    Args:
        tiff: from the byte-order mark on; an `Exif\\0\\0` before it is skipped.
    """
    tiff = tiff.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, directory)
        for index in range(count):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, directory + 2 + 12 * index)
            if tag == _ORIENTATION_TAG:
                return int(value) if kind == _SHORT and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
