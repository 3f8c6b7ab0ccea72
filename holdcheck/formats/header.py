"""What every format's header comes down to."""

from dataclasses import dataclass
from typing import BinaryIO, Literal

from holdcheck.errors import TruncatedPhoto

PhotoFormat = Literal["JPEG", "PNG", "WebP", "HEIC", "AVIF"]

MAX_PROFILE = 4 * 2**20
"""Bytes of a colour profile that is looked at; one for a printing press has 2 MiB, a phone's 4 KiB."""
MAX_BLOCKS = 65_536
"""Chunks, boxes or markers that a photo may have: a file made of empty ones would keep a parser busy."""


@dataclass(frozen=True, slots=True)
class PhotoHeader:
    """A photo as its container describes it. Sizes are pixels of the upright original."""

    format: PhotoFormat
    width: int
    height: int
    orientation: int = 1
    """EXIF orientation (1..8) that is still to be applied. HEIC and AVIF say it otherwise, and 1 here."""
    progressive: bool = False
    """A JPEG in several scans, progressive or not: its decoder has to keep every coefficient."""
    samples: int = 0
    """Values of all components before upsampling: what a progressive JPEG's coefficients are counted in."""
    channels: int = 3
    """Channels of the decoded picture, alpha included; 1 for grey and palette."""
    bits: int = 8
    """Bits per channel."""
    alpha: bool = False
    animated: bool = False
    profile_at: tuple[int, int] | None = None
    """Offset and length of the colour profile in the file, where the decoder does not hand it over (WebP)."""
    needed: tuple[tuple[int, int], ...] = ()
    """Start and end of all that the decoder has to read of the file (JPEG, PNG)."""
    held_bytes: int = 0
    """What of the file itself lies in memory while it is decoded, copies included."""

    @property
    def megapixels(self) -> float:
        return self.width * self.height / 1e6


def take(file: BinaryIO, count: int, name: PhotoFormat) -> bytes:
    """Read exactly `count` bytes.

    Raises:
        TruncatedPhoto: the file ends before.
    """
    data = file.read(count)
    if len(data) < count:
        raise truncated(name)
    return data


def truncated(name: PhotoFormat) -> TruncatedPhoto:
    return TruncatedPhoto(f"This {name} file ends before its picture does; send the whole file.")
