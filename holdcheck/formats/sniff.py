"""What a file is, by its first bytes; its name proves nothing."""

from holdcheck.errors import UnsupportedPhoto
from holdcheck.formats.header import PhotoFormat

SNIFFED_BYTES = 64

ACCEPTED = "JPEG, PNG, WebP, HEIC and AVIF"
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}
_OTHERS = {
    b"GIF8": "a GIF",
    b"%PDF": "a PDF",
    b"II*\0": "a TIFF or a camera's raw file",
    b"MM\0*": "a TIFF or a camera's raw file",
    b"BM": "a BMP",
    b"\xff\x0a": "a JPEG XL",
    b"\0\0\0\x0cJXL ": "a JPEG XL",
    b"\0\0\0\x0cjP  ": "a JPEG 2000",
    b"8BPS": "a Photoshop file",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1a\x45\xdf\xa3": "a video",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML document",
    b"<!DOCTYPE html": "a web page",
    b"<!doctype html": "a web page",
    b"<html": "a web page",
}


def sniff(start: bytes) -> PhotoFormat:
    """The format of a file that begins with `start` (SNIFFED_BYTES of it, or all).

    Raises:
        UnsupportedPhoto: none of the accepted ones; the message names what it is, where that is known.
    """
    if start.startswith(b"\xff\xd8"):
        return "JPEG"
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "WebP"
    if start[4:8] == b"ftyp":
        return _by_brand(start)
    raise _refusal(next((name for magic, name in _OTHERS.items() if start.startswith(magic)), None))


def _by_brand(start: bytes) -> PhotoFormat:
    size = int.from_bytes(start[:4], "big")
    brands = {start[at : at + 4] for at in (8, *range(16, min(size, len(start)), 4))}
    major = start[8:12]
    # mif1 and msf1 only say "an image of some codec"; the compatible brands then say which.
    if major in _AVIF_BRANDS or (major not in _HEIC_BRANDS and brands & _AVIF_BRANDS):
        return "AVIF"
    if brands & _HEIC_BRANDS:
        return "HEIC"
    raise _refusal("a camera's raw file" if major == b"crx " else "a video")


def _refusal(what: str | None) -> UnsupportedPhoto:
    named = (
        f"This is {what}, not a photo that can be read" if what else "This is not a photo that can be read"
    )
    return UnsupportedPhoto(f"{named}; {ACCEPTED} are accepted.")
