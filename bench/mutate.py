"""Damaged photos, by number: file N of seed S is always the same.

A photo is taken apart as its format has it (segments, chunks, boxes), parts are dropped, repeated, swapped,
cut or patched, and it is put together again with right lengths and checksums, so that a decoder gets past
them. Some files are only damaged as bytes, and some are made from nothing to cost as much as they can
(`bench.bombs`).
"""

import random
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bench import bombs, fuzz_photos
from bench.fuzz_photos import png_chunk

_EDGES = (0, 1, 2, 7, 8, 63, 64, 127, 128, 255, 256, 0x3FFF, 0x4000, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 10_000)
_WIDE_EDGES = (*_EDGES, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF0, 20_000, 120_000_000)
_RAW, _BOMB = 0.15, 0.12
"""Shares of the files that are damaged as bytes, and that are bombs."""
_EDITS = (1, 1, 1, 2, 3)
_MOST_BYTES = 20 * 2**20
"""The service takes no more (MAX_UPLOAD_MB)."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One damaged photo, and what was done to it."""

    kind: str
    """Format of the photo that it was made from."""
    recipe: str
    data: bytes


@dataclass(slots=True)
class Part:
    """A segment, chunk or box; a file is a list of them."""

    name: bytes
    data: bytes


class Layout(Protocol):
    """How a format is taken apart and put together again."""

    def split(self, data: bytes) -> list[Part]: ...

    def join(self, parts: Sequence[Part]) -> bytes: ...

    def edit(self, rng: random.Random, parts: list[Part]) -> str:
        """Do to the parts what only this format knows; answer what it was."""
        ...


def mutant(seed: int, number: int) -> Mutant:
    """File `number` of the series `seed`."""
    made = _mutant(seed, number)
    return replace(made, data=made.data[:_MOST_BYTES])


def _mutant(seed: int, number: int) -> Mutant:
    rng = random.Random(f"{seed}:{number}")  # noqa: S311 - repeatable, not secret
    kind = rng.choice(list(fuzz_photos.FORMATS))
    draw = rng.random()
    if draw < _BOMB:
        name = rng.choice(bombs.NAMES[kind])
        return Mutant(kind, name, bombs.make(name, rng))
    name, data = rng.choice(list(fuzz_photos.photos(kind).items()))
    if draw < _BOMB + _RAW:
        steps, data = _damage(rng, data)
        return Mutant(kind, f"{name}: {steps}", data)
    layout = LAYOUTS[kind]
    parts = layout.split(data)
    done = [_edit(rng, layout, parts) for _ in range(rng.choice(_EDITS))]
    data = layout.join(parts)
    if rng.random() < 0.15:
        steps, data = _damage(rng, data)
        done.append(steps)
    return Mutant(kind, f"{name}: {', '.join(done)}", data)


def _edit(rng: random.Random, layout: Layout, parts: list[Part]) -> str:
    if rng.random() < 0.6 or not parts:
        return layout.edit(rng, parts)
    at = rng.randrange(len(parts))
    name = parts[at].name.decode("latin-1")
    match rng.randrange(6):
        case 0:
            del parts[at]
            return f"drop {name}"
        case 1:
            parts.insert(rng.randrange(len(parts)), Part(parts[at].name, parts[at].data))
            return f"repeat {name}"
        case 2:
            other = rng.randrange(len(parts))
            parts[at], parts[other] = parts[other], parts[at]
            return f"swap {name}"
        case 3:
            parts[at].data = parts[at].data[: rng.randrange(len(parts[at].data) + 1)]
            return f"cut {name}"
        case 4:
            parts[at].data += rng.randbytes(rng.choice((1, 4, 100, 5000)))
            return f"lengthen {name}"
        case _:
            parts[at].data = patch(rng, parts[at].data)
            return f"patch {name}"


def patch(rng: random.Random, data: bytes) -> bytes:
    """A few bytes or numbers set to what programs trip over, mostly near the start."""
    if not data:
        return data
    patched = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        size = rng.choice((1, 1, 2, 4))
        reach = len(patched) if rng.random() < 0.5 else min(len(patched), 40)
        at = rng.randrange(reach)
        value = (
            rng.choice(_WIDE_EDGES if size == 4 else _EDGES) if rng.random() < 0.7 else rng.getrandbits(32)
        )
        number = (value & (1 << 8 * size) - 1).to_bytes(size, rng.choice(("big", "little")))
        patched[at : at + size] = number[: len(patched) - at]
    return bytes(patched)


def _damage(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    """Damage that knows nothing of the format."""
    match rng.randrange(7):
        case 0:
            return "cut file", data[: rng.randrange(len(data) + 1)]
        case 1:
            return "flip bits", _flip(rng, data)
        case 2:
            return "append", data + rng.randbytes(rng.choice((1, 1000, 100_000)))
        case 3:
            start = rng.randrange(len(data) + 1)
            return "leave out", data[:start] + data[start + rng.randrange(1, 500) :]
        case 4:
            other = _any_photo(rng)
            return "another photo behind", data[: rng.randrange(len(data) + 1)] + other
        case 5:
            other = _any_photo(rng)
            return "another photo's start", other[: rng.choice((2, 8, 12, 30, 200))] + data[
                rng.choice((0, 12)) :
            ]
        case _:
            return "patch", patch(rng, data)


def _flip(rng: random.Random, data: bytes) -> bytes:
    flipped = bytearray(data)
    for _ in range(rng.choice((1, 3, 10, 60))):
        if flipped:
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _any_photo(rng: random.Random) -> bytes:
    return rng.choice(list(fuzz_photos.photos(rng.choice(list(fuzz_photos.FORMATS))).values()))


# --- JPEG -------------------------------------------------------------------------------------------------


class _Jpeg:
    """Parts are named by their marker; what follows SOS up to the next segment belongs to it."""

    def split(self, data: bytes) -> list[Part]:
        parts, at = [], 2
        while at + 4 <= len(data):
            marker, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
            end = at + 2 + length
            if marker == 0xD9 or data[at] != 0xFF:
                break
            if marker == 0xDA:
                end = _scan_end(data, end)
            parts.append(Part(bytes([marker]), data[at + 4 : end]))
            at = end
        return parts

    def join(self, parts: Sequence[Part]) -> bytes:
        return b"\xff\xd8" + b"".join(_segment(part) for part in parts) + b"\xff\xd9"

    def edit(self, rng: random.Random, parts: list[Part]) -> str:
        edits: list[Callable[[random.Random, list[Part]], str]] = [
            _jpeg_size, _jpeg_frame, _jpeg_scans, _jpeg_insert, _jpeg_tables, _jpeg_entropy,
        ]  # fmt: skip
        return rng.choice(edits)(rng, parts)


def _segment(part: Part) -> bytes:
    marker = part.name[0]
    if 0xD0 <= marker <= 0xD9 or marker == 1:
        return b"\xff" + part.name + part.data
    if marker == 0xDA and part.data:  # its header says by itself how long it is
        header = 3 + 2 * part.data[0] + 1
        return b"\xff\xda" + struct.pack(">H", header + 2) + part.data
    return b"\xff" + part.name + struct.pack(">H", min(65_535, len(part.data) + 2)) + part.data[:65_533]


def _scan_end(data: bytes, at: int) -> int:
    while at + 1 < len(data):
        if data[at] == 0xFF and data[at + 1] not in (0, 0xFF, *range(0xD0, 0xD8)):
            return at
        at += 1
    return len(data)


def _frames(parts: Sequence[Part]) -> list[Part]:
    return [part for part in parts if 0xC0 <= part.name[0] <= 0xCF and part.name[0] not in (0xC4, 0xC8, 0xCC)]


def _jpeg_size(rng: random.Random, parts: list[Part]) -> str:
    for part in _frames(parts):
        size = [rng.choice((0, 1, 64, 100, 640, 3000, 10_000, 65_500, 65_535)) for _ in range(2)]
        part.data = part.data[:1] + struct.pack(">HH", *size) + part.data[5:]
    return "lie about the size"


def _jpeg_frame(rng: random.Random, parts: list[Part]) -> str:
    for part in _frames(parts):
        match rng.randrange(4):
            case 0:
                part.name = bytes([rng.choice((0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC9, 0xCA, 0xCB))])
            case 1:
                part.data = bytes([rng.choice((0, 8, 12, 16))]) + part.data[1:]
            case 2:
                count = rng.choice((0, 1, 2, 3, 4, 5, 255))
                part.data = part.data[:5] + bytes([count]) + (part.data[6:] * 90)[: 3 * count]
            case _:
                fields = bytearray(part.data)
                for at in range(7, len(fields), 3):
                    fields[at] = rng.choice(
                        (0x11, 0x22, 0x21, 0x12, 0x44, 0x41, 0x14, 0x10, 0x01, 0xFF, 0x33, 0x13)
                    )
                part.data = bytes(fields)
    return "patch the frame"


def _jpeg_scans(rng: random.Random, parts: list[Part]) -> str:
    scans = [at for at, part in enumerate(parts) if part.name == b"\xda"]
    if not scans:
        return "no scan"
    at = rng.choice(scans)
    data = parts[at].data
    match rng.randrange(4):
        case 0:
            parts[at + 1 : at + 1] = [Part(b"\xda", data) for _ in range(rng.choice((1, 20, 90, 200)))]
            return "many scans"
        case 1:
            parts.insert(at, Part(b"\xdd", struct.pack(">H", rng.choice((0, 1, 7, 65_535)))))
            return "restart interval"
        case 2:
            markers = b"".join(bytes([0xFF, 0xD0 + number % 8]) for number in range(rng.choice((1, 2000))))
            cut = rng.randrange(len(data) + 1)
            parts[at].data = data[:cut] + markers + data[cut:]
            return "restart markers"
        case _:
            parts.insert(at + 1, Part(b"\xdc", struct.pack(">H", rng.choice((0, 1, 100, 65_535)))))
            return "DNL"


def _jpeg_insert(rng: random.Random, parts: list[Part]) -> str:
    name, data = rng.choice((
        (0xE1, b"Exif\0\0" + bombs.tiff(rng)),
        (0xE1, b"Exif\0\0" + bombs.tiff(rng)),
        (0xE2, b"ICC_PROFILE\0" + rng.choice((b"\1\1", b"\1\xff", b"\0\0", b"\2\1")) + bombs.profile(rng)),
        (0xE2, b"MPF\0" + bombs.tiff(rng)),
        (0xED, b"Photoshop 3.0\0" + b"8BIM\x03\xed\0\0\0\0\0\x10" + rng.randbytes(30)),
        (0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([rng.choice((0, 1, 2, 9))])),
        (0xFE, b"\xff\xd9" + rng.randbytes(rng.choice((0, 60_000)))),
        (0xE0, b"JFIF\0\1\2" + rng.randbytes(7)),
    ))  # fmt: skip
    where = rng.randrange(len(parts) + 1) if rng.random() < 0.3 else 0
    parts[where:where] = [Part(bytes([name]), data) for _ in range(rng.choice((1, 1, 2, 40)))]
    return f"insert {name:x}"


def _jpeg_tables(rng: random.Random, parts: list[Part]) -> str:
    tables = [part for part in parts if part.name in (b"\xc4", b"\xdb", b"\xcc")]
    if tables:
        part = rng.choice(tables)
        part.data = rng.choice((patch(rng, part.data), bytes(len(part.data)), part.data * 8))
    return "patch a table"


def _jpeg_entropy(rng: random.Random, parts: list[Part]) -> str:
    for part in parts:
        if part.name == b"\xda":
            part.data = part.data[:10] + _flip(rng, part.data[10:])
    return "flip bits of scans"


# --- PNG --------------------------------------------------------------------------------------------------


class _Png:
    """Parts are chunks; their checksums are always right."""

    def split(self, data: bytes) -> list[Part]:
        parts, at = [], 8
        while at + 12 <= len(data):
            (length,) = struct.unpack_from(">I", data, at)
            parts.append(Part(data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
            at += 12 + length
        return parts

    def join(self, parts: Sequence[Part]) -> bytes:
        return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(part.name, part.data) for part in parts)

    def edit(self, rng: random.Random, parts: list[Part]) -> str:
        return rng.choice((_png_header, _png_insert, _png_pixels))(rng, parts)


def _png_header(rng: random.Random, parts: list[Part]) -> str:
    for part in parts:
        if part.name == b"IHDR" and len(part.data) == 13:
            fields = list(struct.unpack(">IIBBBBB", part.data))
            at = rng.randrange(7)
            sizes = (0, 1, 63, 64, 1000, 10_000, 65_536, 1_000_000, 2**31 - 1, 2**32 - 1)
            others = ((1, 2, 4, 8, 16, 0, 32), (0, 2, 3, 4, 6, 1, 255), (0, 1), (0, 1), (0, 1, 2))
            fields[at] = rng.choice(sizes if at < 2 else others[at - 2])
            part.data = struct.pack(">IIBBBBB", *fields)
    return "patch IHDR"


def _png_insert(rng: random.Random, parts: list[Part]) -> str:
    name, data = rng.choice((
        (b"eXIf", bombs.tiff(rng)),
        (b"iCCP", b"name\0\0" + zlib.compress(bombs.profile(rng))),
        (b"iCCP", b"name\0\0" + zlib.compress(bytes(rng.choice((1000, 3_000_000))))),
        (b"zTXt", b"note\0\0" + zlib.compress(bytes(rng.choice((1000, 900_000, 3_000_000))))),
        (b"iTXt", b"note\0\1\0\0\0" + zlib.compress(bytes(rng.choice((1000, 900_000))))),
        (b"tEXt", b"note\0" + bytes(rng.choice((10, 500_000)))),
        (b"tRNS", rng.randbytes(rng.choice((0, 1, 2, 6, 256)))),
        (b"PLTE", rng.randbytes(rng.choice((0, 3, 5, 768, 3000)))),
        (b"acTL", struct.pack(">II", rng.choice((0, 1, 2**31)), 0)),
        (b"fcTL", rng.randbytes(26)),
        (b"fcTL", struct.pack(">IIIIIHHBB", 0, *rng.choices((0, 1, 50, 2**31), k=4), 1, 1, 1, 1)),
        (b"fdAT", rng.randbytes(40)),
        (b"IDAT", rng.randbytes(rng.choice((0, 5, 500)))),
        (b"IEND", b""),
        (b"cICP", rng.randbytes(4)),
        (b"pHYs", bytes(9)),
        (b"gAMA", rng.randbytes(4)),
        (b"CgBI", rng.randbytes(4)),
        (rng.randbytes(4), b""),
    ))  # fmt: skip
    where = rng.randrange(len(parts) + 1) if rng.random() < 0.5 else min(1, len(parts))
    parts[where:where] = [Part(name, data) for _ in range(rng.choice((1, 1, 1, 30)))]
    return f"insert {name.decode('latin-1')}"


def _png_pixels(rng: random.Random, parts: list[Part]) -> str:
    """Other rows behind a whole zlib stream, or another stream of the same rows."""
    pictures = [at for at, part in enumerate(parts) if part.name == b"IDAT"]
    if not pictures:
        return "no IDAT"
    first = pictures[0]
    packed = b"".join(parts[at].data for at in pictures)
    try:
        rows = zlib.decompress(packed)
    except zlib.error:
        return "IDAT is broken"
    rows = rng.choice((_flip(rng, rows), patch(rng, rows), rows[: rng.randrange(len(rows) + 1)], rows * 3))
    packed = zlib.compress(rows, rng.choice((0, 1)))
    step = rng.choice((len(packed), len(packed), 1 + len(packed) // 50))
    for at in reversed(pictures):
        del parts[at]
    parts[first:first] = [Part(b"IDAT", packed[at : at + step]) for at in range(0, len(packed), step)]
    return "other rows"


# --- WebP -------------------------------------------------------------------------------------------------


class _WebP:
    """Parts are chunks; their lengths and RIFF's are right, but for a few lies about RIFF's."""

    def split(self, data: bytes) -> list[Part]:
        parts, at = [], 12
        while at + 8 <= len(data):
            (length,) = struct.unpack_from("<I", data, at + 4)
            parts.append(Part(data[at : at + 4], data[at + 8 : at + 8 + length]))
            at += 8 + length + length % 2
        return parts

    def join(self, parts: Sequence[Part]) -> bytes:
        return bombs.riff((part.name, part.data) for part in parts)

    def edit(self, rng: random.Random, parts: list[Part]) -> str:
        return rng.choice((_webp_canvas, _webp_insert, _webp_bits, _webp_frames))(rng, parts)


def _webp_canvas(rng: random.Random, parts: list[Part]) -> str:
    size = [rng.choice((0, 63, 99, 299, 999, 9999, 16_383, 2**24 - 1)) for _ in range(2)]
    canvas = struct.pack("<I", rng.getrandbits(6)) + b"".join(side.to_bytes(3, "little") for side in size)
    extended = next((part for part in parts if part.name == b"VP8X"), None)
    if extended is None:
        parts.insert(0, Part(b"VP8X", canvas))
        return "a canvas of another size"
    flags = rng.random() < 0.5
    extended.data = canvas[:4] + extended.data[4:] if flags else extended.data[:4] + canvas[4:]
    return "other flags" if flags else "a canvas of another size"


def _webp_insert(rng: random.Random, parts: list[Part]) -> str:
    still = fuzz_photos.photos("WebP")[rng.choice(("webp-lossy", "webp-lossless-alpha", "webp-alpha"))]
    name, data = rng.choice((
        (b"EXIF", bombs.tiff(rng)),
        (b"ICCP", bombs.profile(rng)),
        (b"XMP ", bytes(rng.choice((0, 10, 100_000)))),
        (b"ALPH", rng.randbytes(rng.choice((0, 1, 300)))),
        (b"ANIM", rng.randbytes(6)),
        (b"ANMF", bytes(16) + still[12:]),
        *((part.name, part.data) for part in _WebP().split(still)),
    ))  # fmt: skip
    where = rng.randrange(len(parts) + 1)
    parts[where:where] = [Part(name, data) for _ in range(rng.choice((1, 1, 1, 300)))]
    return f"insert {name.decode()}"


def _webp_bits(rng: random.Random, parts: list[Part]) -> str:
    for part in parts:
        if part.name in (b"VP8 ", b"VP8L", b"ALPH", b"ANMF"):
            part.data = rng.choice((_flip(rng, part.data), patch(rng, part.data)))
    return "patch the picture"


def _webp_frames(rng: random.Random, parts: list[Part]) -> str:
    for part in parts:
        if part.name == b"ANMF" and len(part.data) > 16:
            sides = b"".join(rng.choice((0, 1, 100, 9999, 2**24 - 1)).to_bytes(3, "little") for _ in range(4))
            part.data = (
                sides + part.data[12:] if rng.random() < 0.5 else part.data[:15] + b"\3" + part.data[16:]
            )
    return "frames elsewhere"


# --- HEIC and AVIF ----------------------------------------------------------------------------------------


_WANTED = b"ispe iloc ipma pitm hvcC av1C iinf infe mdat irot imir iref pixi colr ftyp auxC iprp".split()


class _Boxes:
    """Parts are the leaves of the box tree, named by their path; offsets move with what comes before them."""

    def split(self, data: bytes) -> list[Part]:
        return [Part(path, leaf) for path, leaf in bombs.leaves(data)]

    def join(self, parts: Sequence[Part]) -> bytes:
        return bombs.tree((part.name, part.data) for part in parts)

    def edit(self, rng: random.Random, parts: list[Part]) -> str:
        names = sorted({part.name for part in parts})
        wanted = rng.choice(_WANTED)
        found = [part for part in parts if part.name.endswith(wanted)]
        if not found or rng.random() < 0.15:
            return _insert_box(rng, parts, names)
        part = rng.choice(found)
        if wanted == b"ispe":
            size = [rng.choice((0, 1, 63, 64, 96, 1000, 8192, 20_000, 2**31, 2**32 - 1)) for _ in range(2)]
            part.data = bytes(4) + struct.pack(">II", *size)
        elif wanted in (b"mdat", b"hvcC", b"av1C"):
            part.data = rng.choice((_flip(rng, part.data), patch(rng, part.data)))
        else:
            part.data = patch(rng, part.data)
        return f"patch {wanted.decode()}"


def _insert_box(rng: random.Random, parts: list[Part], names: Sequence[bytes]) -> str:
    properties = b"meta/iprp/ipco/"
    name, data = rng.choice((
        (properties + b"irot", bytes([rng.getrandbits(8)])),
        (properties + b"imir", bytes([rng.getrandbits(8)])),
        (properties + b"clap", rng.randbytes(32)),
        (properties + b"ispe", bytes(4) + struct.pack(">II", 9000, 9000)),
        (properties + b"colr", b"prof" + bombs.profile(rng)),
        (properties + b"colr", b"nclx" + rng.randbytes(7)),
        (properties + b"auxC", bytes(4) + b"urn:mpeg:hevc:2015:auxid:1\0"),
        (b"meta/iref/dimg", struct.pack(">HHHH", 1, 2, 1, 1)),
        (b"meta/iref/thmb", struct.pack(">HHH", 1, 1, 1)),
        (b"meta/idat", rng.randbytes(60)),
        (b"free", bytes(rng.choice((0, 100_000)))),
        (b"moov", rng.randbytes(40)),
        (rng.choice(names) if names else b"meta", rng.randbytes(20)),
    ))  # fmt: skip
    where = next((at for at, part in enumerate(parts) if part.name.startswith(name[:9])), len(parts))
    parts[where:where] = [Part(name, data) for _ in range(rng.choice((1, 1, 300)))]
    return f"insert {name.decode('latin-1')}"


LAYOUTS: dict[str, Layout] = {
    "JPEG": _Jpeg(),
    "PNG": _Png(),
    "WebP": _WebP(),
    "AVIF": _Boxes(),
    "HEIC": _Boxes(),
}
