"""Files made to cost a decoder as much as they can, and the containers to pack them in."""

import random
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

import numpy as np
from PIL import Image

from bench import fuzz_photos
from bench.fuzz_photos import png_chunk

_Make = Callable[[random.Random], bytes]
_SIZES = ((64, 64), (1600, 1200), (5000, 4000), (8000, 6000), (12_000, 9000), (65_500, 1800), (64, 65_500))


def make(name: str, rng: random.Random) -> bytes:
    """The bomb of that name, in a size that `rng` chooses."""
    return _MAKERS[name](rng)


# --- what hides in every format ---------------------------------------------------------------------------


def tiff(rng: random.Random) -> bytes:
    """An EXIF block that lies: orientations out of range, directories that loop, values that overlap."""
    match rng.randrange(5):
        case 0:
            return _directory([(0x0112, 3, 1, rng.choice((0, 9, 65_535)))], 0)
        case 1:  # a directory that follows itself
            return _directory([(0x8769, 4, 1, 8), (0x0112, 3, 1, 6)], 8)
        case 2:  # each value is the same many bytes
            count = rng.choice((10, 400, 4000))
            values = [(tag, 1, 30_000, 8) for tag in range(count)]
            return _directory(values, 0) + bytes(30_000 if count < 1000 else 10_000)
        case 3:
            return b"MM\0*" + struct.pack(">I", rng.choice((0, 8, 2**32 - 1))) + b"\xff" * 40
        case _:
            return rng.choice((b"", b"II", b"II*\0", rng.randbytes(60)))


def _directory(entries: Sequence[tuple[int, int, int, int]], following: int) -> bytes:
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed + struct.pack("<I", following)


def profile(rng: random.Random) -> bytes:
    """A colour profile that lies about its parts, or is not one."""
    whole = bytearray(fuzz_photos.srgb_profile())
    match rng.randrange(5):
        case 0:
            return bytes(whole)
        case 1:
            for _ in range(rng.choice((1, 8, 40))):
                whole[rng.randrange(len(whole))] = rng.choice((0, 1, 0x7F, 0xFF))
            return bytes(whole)
        case 2:  # many tags on the same large data
            size = rng.choice((1000, 500_000))
            tags = b"".join(struct.pack(">III", rng.getrandbits(32), 1340, size) for _ in range(100))
            return bytes(whole[:128]) + struct.pack(">I", 100) + tags + b"curv" + bytes(size)
        case 3:
            return bytes(whole) + bytes(whole) * rng.choice((1, 50))
        case _:
            return rng.randbytes(rng.choice((0, 100, 200_000)))


# --- JPEG -------------------------------------------------------------------------------------------------

_DC_TABLE = b"\x00" + bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, *[0] * 7]) + bytes(range(12))
_AC_TABLE = b"\x10" + bytes([1, 1, 1, *[0] * 13]) + b"\xf0\x00\xe0"
"""End of a run of 16384 blocks, or of one; and sixteen zeroes."""


def jpeg(
    size: tuple[int, int], scans: Sequence[tuple[bytes, bytes]], frame: int = 0xC0,
    samplings: Sequence[int] = (0x22, 0x11, 0x11), extra: bytes = b"",
) -> bytes:  # fmt: skip
    """A JPEG from its scans: the header of each (from its number of components on) and its data."""
    components = b"".join(bytes([number, sampling, 0]) for number, sampling in enumerate(samplings, 1))
    header = struct.pack(">BHHB", 8, size[1], size[0], len(samplings)) + components
    segments = [(0xDB, b"\0" + b"\1" * 64), (0xC4, _DC_TABLE), (0xC4, _AC_TABLE), (frame, header)]
    start = b"\xff\xd8" + extra + b"".join(segment(marker, data) for marker, data in segments)
    return start + b"".join(segment(0xDA, head) + data for head, data in scans) + b"\xff\xd9"


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def scan_of(components: int, first: int = 0, last: int = 63, bits: int = 0) -> bytes:
    """A scan's header; `bits`: previous and next bit position in two nibbles."""
    chosen = b"".join(bytes([number, 0]) for number in range(1, components + 1))
    return bytes([components]) + chosen + bytes([first, last, bits])


def _jpeg_empty(rng: random.Random) -> bytes:
    samplings = rng.choice(
        ((0x22, 0x11, 0x11), (0x11,), (0x11,) * 3, (0x11,) * 4, (0x44, 0x11, 0x11), (0x14, 0x41, 0x11))
    )
    data = rng.choice((b"", bytes(1000), rng.randbytes(2000).replace(b"\xff", b"\0")))
    return jpeg(
        rng.choice(_SIZES), [(scan_of(len(samplings)), data)], rng.choice((0xC0, 0xC1, 0xC2)), samplings
    )


def _jpeg_scans(rng: random.Random) -> bytes:
    """Up to a hundred scans, each over every coefficient."""
    last = 0xCA if rng.random() < 0.4 else 0xC2
    count = rng.choice((30, 99, 1000))
    refine = [
        (scan_of(1, 1, 63, 0x10 if number % 2 else 0x01), bytes(rng.choice((0, 3))))
        for number in range(count)
    ]
    samplings = rng.choice(((0x11,), (0x22, 0x11, 0x11)))
    return jpeg(rng.choice(_SIZES[1:4]), [(scan_of(len(samplings), 0, 0), b""), *refine], last, samplings)


def _jpeg_noise_scans(rng: random.Random) -> bytes:
    """Scan after scan over coefficients of which none is zero."""
    whole = _noisy_progressive()
    last_scan = whole.rindex(b"\xff\xda")
    return whole[:last_scan] + whole[last_scan:-2] * rng.choice((5, 60)) + b"\xff\xd9"


@cache
def _noisy_progressive() -> bytes:
    pixels = np.random.default_rng(1).integers(0, 255, (500, 600), dtype=np.uint8)
    return fuzz_photos.saved("JPEG", Image.fromarray(pixels), progressive=True, quality=98)()


def _jpeg_arithmetic(rng: random.Random) -> bytes:
    """Arithmetic coding goes on for ever on zeroes where the data has ended."""
    samplings = rng.choice(((0x11,), (0x22, 0x11, 0x11)))
    data = rng.choice((b"", bytes(50), rng.randbytes(3000).replace(b"\xff", b"\0")))
    frame = rng.choice((0xC9, 0xCA))
    scans = [(scan_of(len(samplings), 0, 63 if frame == 0xC9 else 0), data)]
    if frame == 0xCA:
        scans += [(scan_of(1, 1, 63), data)] * rng.choice((1, 40))
    return jpeg(rng.choice(_SIZES), scans, frame, samplings)


def _jpeg_exif(rng: random.Random) -> bytes:
    """Thousands of values that are all the same large block: read one by one, they are gigabytes."""
    count, size = rng.choice(((1000, 40_000), (4000, 10_000), (4500, 60_000)))
    entries = _directory([(tag + 1, 1, size, 8) for tag in range(count)], 0)
    pieces = [entries.ljust(60_000, b"\0"), *[bytes(60_000)] * rng.choice((0, 3, 60))]
    extra = b"".join(segment(0xE1, b"Exif\0\0" + piece) for piece in pieces)
    return jpeg((640, 480), [(scan_of(3), bytes(100))], extra=extra)


def _jpeg_segments(rng: random.Random) -> bytes:
    marker = rng.choice((0xE0, 0xE1, 0xE2, 0xE5, 0xED, 0xFE))
    head = {0xE1: b"Exif\0\0", 0xE2: b"ICC_PROFILE\0\1\1", 0xED: b"Photoshop 3.0\0"}.get(marker, b"")
    count, size = rng.choice(((60_000, 4), (250, 60_000), (70_000, 2)))
    extra = segment(marker, (head + bytes(size))[: max(size, len(head))]) * count
    return jpeg((640, 480), [(scan_of(3), bytes(100))], extra=extra)


def _jpeg_filling(rng: random.Random) -> bytes:
    filling = rng.choice((b"\xff\0", b"\xff", b"\0", b"\xff\xd0", b"\0" * 60_000 + segment(0xFE, b"")))
    extra = filling * (rng.choice((1000, 60_000, 3_000_000)) // len(filling))
    return jpeg((640, 480), [(scan_of(3), bytes(100))], extra=extra)


def _jpeg_restarts(rng: random.Random) -> bytes:
    restarts = b"".join(bytes([0xFF, 0xD0 + number % 8]) for number in range(rng.choice((8, 400_000))))
    extra = segment(0xDD, struct.pack(">H", rng.choice((1, 3, 65_535))))
    return jpeg(rng.choice(_SIZES), [(scan_of(3), restarts)], rng.choice((0xC0, 0xC9)), extra=extra)


def _jpeg_profile(rng: random.Random) -> bytes:
    parts = rng.choice((3, 200))
    pieces = (b"ICC_PROFILE\0" + bytes([number + 1, parts]) + bytes(60_000) for number in range(parts))
    extra = b"".join(segment(0xE2, piece) for piece in pieces)
    return jpeg((640, 480), [(scan_of(3), bytes(100))], extra=extra)


# --- PNG --------------------------------------------------------------------------------------------------


def png(
    size: tuple[int, int], colour: int, bits: int, *between: bytes, interlaced: bool = False, rows: int = -1
) -> bytes:
    """A PNG of zeroes; `rows` of them, or as many as it says."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = 1 + -(-size[0] * bits * channels // 8)
    packer = zlib.compressobj(1)
    packed = b""
    left = row * (size[1] if rows < 0 else rows) * (2 if interlaced else 1)
    while left > 0:
        packed += packer.compress(bytes(min(left, 2**20)))
        left -= 2**20
    header = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, interlaced)
    palette = png_chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    parts = (png_chunk(b"IHDR", header), palette, *between, png_chunk(b"IDAT", packed + packer.flush()))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + png_chunk(b"IEND", b"")


def _png_rows(rng: random.Random) -> bytes:
    colour, bits = rng.choice(
        ((0, 1), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 8), (4, 8), (6, 8), (6, 16))
    )
    size = rng.choice(((64, 64), (5000, 4000), (8000, 5000), (12_000, 9000), (64, 500_000), (1_000_000, 64)))
    if colour != 0 and size[0] * size[1] > 4e7:
        size = (4000, 3000)
    return png(size, colour, bits, interlaced=rng.random() < 0.4, rows=rng.choice((-1, -1, 3)))


def _png_more_rows(_rng: random.Random) -> bytes:
    return png((100, 100), 2, 8, rows=200_000)


def _png_texts(rng: random.Random) -> bytes:
    kind = rng.choice((b"zTXt", b"iTXt", b"tEXt"))
    size = rng.choice((60_000, 1_000_000))
    head = {b"zTXt": b"\0\0", b"iTXt": b"\0\1\0\0\0", b"tEXt": b"\0"}[kind]
    text = bytes(size // 20) if kind == b"tEXt" else zlib.compress(bytes(size))
    chunks = (png_chunk(kind, b"note%d" % number + head + text) for number in range(rng.choice((3, 63, 80))))
    return png((100, 100), 2, 8, *chunks)


def _png_profile(rng: random.Random) -> bytes:
    inner = zlib.compress(bytes(rng.choice((900_000, 50_000_000))))
    packed = zlib.compress(inner) if rng.random() < 0.3 else inner
    return png((100, 100), 2, 8, png_chunk(b"iCCP", b"name\0\0" + packed))


def _png_chunks(rng: random.Random) -> bytes:
    kind = rng.choice((b"IDAT", b"teSt", b"eXIf", b"tRNS", b"fcTL"))
    return png((100, 100), 2, 8, png_chunk(kind, b"") * rng.choice((1000, 60_000, 70_000)))


def _png_frames(rng: random.Random) -> bytes:
    size = rng.choice(((100, 100), (4000, 3000)))
    control = struct.pack(">IIIIIHHBB", 0, *size, 0, 0, 1, 1, rng.randrange(4), rng.randrange(3))
    chunks = (png_chunk(b"acTL", struct.pack(">II", 1000, 0)), png_chunk(b"fcTL", control))
    return png(size, rng.choice((2, 6)), 8, *chunks)


# --- WebP -------------------------------------------------------------------------------------------------


def riff(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(riff_chunk(name, data) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def riff_chunk(name: bytes, data: bytes) -> bytes:
    return name[:4].ljust(4) + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def lossless(width: int, height: int, *, alpha: bool = False) -> bytes:
    """The content of a VP8L chunk of any size in a dozen bytes: each code has one symbol, of no bits."""
    bits, at = 0x2F, 8
    one_symbol = (1 | 0 << 1 | 0 << 2 | 0 << 3, 4)
    fields = [
        (width - 1, 14),
        (height - 1, 14),
        (alpha, 1),
        (0, 3),
        (0, 1),
        (0, 1),
        (0, 1),
        *[one_symbol] * 5,
    ]
    for value, size in fields:
        bits |= int(value) << at
        at += size
    return bits.to_bytes(at // 8 + 8, "little")


def canvas(width: int, height: int, flags: int) -> bytes:
    return struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def frame(width: int, height: int, picture: bytes, flags: int = 0) -> bytes:
    sides = b"".join(side.to_bytes(3, "little") for side in (0, 0, width - 1, height - 1))
    return sides + b"\x64\0\0" + bytes([flags]) + picture


def _webp_lossless(rng: random.Random) -> bytes:
    width, height = rng.choice(
        ((64, 64), (3000, 2000), (6000, 5000), (8000, 6000), (16_383, 7000), (16_384, 64))
    )
    alpha = rng.random() < 0.5
    chunks = [(b"VP8L", lossless(width, height, alpha=alpha))]
    if rng.random() < 0.5:
        lie = rng.choice((1, 1, 2))
        chunks.insert(0, (b"VP8X", canvas(max(1, width // lie), height, rng.choice((0, 0x10)))))
    return riff(chunks)


def _webp_lossy(rng: random.Random) -> bytes:
    data = bytearray(
        next(part for name, part in riff_parts(fuzz_photos.photos("WebP")["webp-lossy"]) if name == b"VP8 ")
    )
    data[6:10] = struct.pack("<HH", *rng.choice(((640, 480), (4000, 3000), (9000, 6000), (16_383, 7000))))
    alpha = (
        [(b"ALPH", bytes([rng.choice((0, 1))]) + bytes(rng.choice((0, 100))))] if rng.random() < 0.4 else []
    )
    size = struct.unpack_from("<HH", data, 6)
    extended = [(b"VP8X", canvas(size[0], size[1], rng.choice((0, 0x10))))] if alpha else []
    return riff([*extended, *alpha, (b"VP8 ", bytes(data))])


def _webp_frames(rng: random.Random) -> bytes:
    width, height = rng.choice(((64, 64), (2000, 1500), (4000, 3000), (9000, 9000)))
    side = rng.choice(((1, 1), (width, height)))
    picture = frame(*side, riff_chunk(b"VP8L", lossless(*side, alpha=True)))
    frames = [(b"ANMF", picture)] * rng.choice((1, 2, 5000, 60_000, 70_000))
    return riff([(b"VP8X", canvas(width, height, 0x12)), (b"ANIM", bytes(6)), *frames])


def _webp_metadata(rng: random.Random) -> bytes:
    kind = rng.choice((b"ICCP", b"EXIF", b"XMP "))
    data = rng.choice((tiff(rng), profile(rng), bytes(10_000_000)))
    order = [(kind, data)] * rng.choice((1, 3)) + [(b"VP8L", lossless(640, 480))]
    return riff([(b"VP8X", canvas(640, 480, 0x2C)), *order])


def riff_parts(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


# --- HEIC and AVIF ----------------------------------------------------------------------------------------

_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"iref": 4, b"iinf": 6, b"moov": 0, b"trak": 0, b"mdia": 0,
               b"minf": 0, b"stbl": 0, b"dinf": 0}  # fmt: skip
"""Boxes of boxes, and how many bytes come before the first."""


def leaves(data: bytes) -> list[tuple[bytes, bytes]]:
    """(path, content) of all boxes that hold no others, in their order; what precedes a container's boxes is
    its `.`. Offsets into the file count from the first mdat."""
    found = list(_leaves(data, b""))
    start = data.find(b"mdat") + 4
    return [(path, shift(path, leaf, -start)) for path, leaf in found]


def _leaves(data: bytes, above: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        length = max(8, length) if length else len(data) - at
        content, path = data[at + 8 : at + length], above + name
        if name in _CONTAINERS:
            prefix = _CONTAINERS[name]
            yield path + b"/.", content[:prefix]
            yield from _leaves(content[prefix:], path + b"/")
        else:
            yield path, content
        at += length


def tree(parts: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Boxes from their leaves; neighbours with the same container share it."""
    listed = list(parts)
    start = _packed(listed).find(b"mdat") + 4
    return _packed([(path, shift(path, leaf, start)) for path, leaf in listed])


def _packed(parts: Sequence[tuple[bytes, bytes]]) -> bytes:
    out, at = [], 0
    while at < len(parts):
        path, leaf = parts[at]
        name, slash, _ = path.partition(b"/")
        if name == b".":
            out.append(leaf)
        elif not slash:
            out.append(box(name, leaf))
        else:
            inside = []
            while at < len(parts) and parts[at][0].startswith(name + b"/"):
                inside.append((parts[at][0][len(name) + 1 :], parts[at][1]))
                at += 1
            out.append(box(name, _packed(inside)))
            continue
        at += 1
    return b"".join(out)


def box(name: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I", len(data) + 8) + name[:4].ljust(4) + data


def shift(path: bytes, leaf: bytes, by: int) -> bytes:
    """An iloc or stco whose offsets are moved; as it is where it cannot be read."""
    try:
        if path.endswith(b"iloc"):
            return _shifted_iloc(bytearray(leaf), by)
        if path.endswith(b"stco"):
            count = min(struct.unpack_from(">I", leaf, 4)[0], (len(leaf) - 8) // 4)
            offsets = struct.unpack_from(f">{count}I", leaf, 8)
            moved = struct.pack(f">{count}I", *((offset + by) % 2**32 for offset in offsets))
            return leaf[:8] + moved + leaf[8 + 4 * count :]
    except (struct.error, IndexError):
        pass
    return leaf


def _shifted_iloc(leaf: bytearray, by: int) -> bytes:
    version, offset_size, length_size = leaf[0], leaf[4] >> 4, leaf[4] & 15
    base_size, index_size = leaf[5] >> 4, leaf[5] & 15 if version else 0
    wide = version == 2
    (count,) = struct.unpack_from(">I" if wide else ">H", leaf, 6)
    at = 10 if wide else 8
    for _ in range(min(count, 1000)):
        at += 4 if wide else 2
        in_file = not version or not leaf[at + 1] & 15
        at += (2 if version else 0) + 2 + base_size
        (extents,) = struct.unpack_from(">H", leaf, at)
        at += 2
        for _ in range(min(extents, 1000)):
            at += index_size
            if in_file and offset_size == 4:
                moved = (struct.unpack_from(">I", leaf, at)[0] + by) % 2**32
                struct.pack_into(">I", leaf, at, moved)
            at += offset_size + length_size
    return bytes(leaf)


def coded(photo: bytes) -> tuple[bytes, bytes, bytes]:
    """Of a HEIC or AVIF with one picture: its configuration box's name and content, and its data."""
    found = {path.rpartition(b"/")[2]: leaf for path, leaf in _leaves(photo, b"")}
    name = b"hvcC" if b"hvcC" in found else b"av1C"
    return name, found[name], found[b"mdat"]


def grid(
    photo: bytes, tile: tuple[int, int], tiles: tuple[int, int], size: tuple[int, int],
    references: Sequence[int] | None = None, kind: bytes = b"grid",
) -> bytes:  # fmt: skip
    """The picture of `photo` again and again, as the tiles (columns, rows) of one of `size`; item 2 is the
    grid, item 1 the tile."""
    name, configuration, data = coded(photo)
    codec = b"hvc1" if name == b"hvcC" else b"av01"
    wanted = [1] * (tiles[0] * tiles[1]) if references is None else list(references)
    layout = struct.pack(">BBBBII", 0, 1, tiles[1] - 1, tiles[0] - 1, *size)
    if kind == b"iovl":
        layout = struct.pack(">BB4HII", 0, 1, 0, 0, 0, 0xFFFF, *size) + bytes(8 * len(wanted))
    entries = [
        box(b"infe", b"\2\0\0\0", struct.pack(">HH", number, 0), which, b"\0")
        for number, which in ((1, codec), (2, kind))
    ]
    ipco = box(
        b"ipco", box(name, configuration), _ispe(tile), _ispe(size), box(b"pixi", bytes(4), b"\3\x08\x08\x08")
    )
    ipma = box(b"ipma", bytes(4), struct.pack(">I", 2), b"\0\1\3\x81\x02\x04", b"\0\2\2\3\x04")
    links = struct.pack(">HH", 2, len(wanted)) + b"".join(struct.pack(">H", number) for number in wanted)
    iloc = bytes([1, 0, 0, 0, 0x44, 0]) + struct.pack(">H", 2)
    iloc += struct.pack(">HHHHII", 1, 0, 0, 1, 0, len(data)) + struct.pack(
        ">HHHHII", 2, 1, 0, 1, 0, len(layout)
    )
    brand = b"heic" if codec == b"hvc1" else b"avif"
    parts = [
        (b"ftyp", brand + bytes(4) + brand + b"mif1"),
        (b"meta/.", bytes(4)),
        (b"meta/hdlr", bytes(8) + b"pict" + bytes(13)),
        (b"meta/pitm", bytes(4) + b"\0\2"),
        (b"meta/iinf", bytes(4) + b"\0\2" + b"".join(entries)),
        (b"meta/iref", bytes(4) + box(b"dimg", links)),
        (b"meta/iprp", ipco + ipma),
        (b"meta/iloc", iloc),
        (b"meta/idat", layout),
        (b"mdat", data),
    ]
    return tree(parts)


def _ispe(size: tuple[int, int]) -> bytes:
    return box(b"ispe", bytes(4), struct.pack(">II", *size))


def lie_about_size(photo: bytes, size: tuple[int, int]) -> bytes:
    """Every ispe says this size; the coded picture keeps its own."""
    said = bytes(4) + struct.pack(">II", *size)
    return tree((path, said if path.endswith(b"ispe") else leaf) for path, leaf in leaves(photo))


def _heic_grid(rng: random.Random) -> bytes:
    photo, tile = rng.choice(((_heic("quarters"), (160, 120)), (_heic("large"), (2048, 1536))))
    return _grid(rng, photo, tile)


def _grid(rng: random.Random, photo: bytes, tile: tuple[int, int]) -> bytes:
    tiles = rng.choice(((1, 1), (2, 2), (4, 4), (20, 20), (255, 256)))
    whole = (tiles[0] * tile[0], tiles[1] * tile[1])
    size = rng.choice((whole, whole, (100, 100), (tile[0] + 1, tile[1] + 1), (60_000, 60_000)))
    references = rng.choice((None, None, None, [2] * 4, [1], [1, 2], [9] * 4))
    return grid(photo, tile, tiles, size, references, rng.choice((b"grid", b"grid", b"iovl", b"iden")))


def _heic(name: str) -> bytes:
    return fuzz_photos.photos("HEIC")[f"heic-{name}"]


def _heic_lie(rng: random.Random) -> bytes:
    photo = rng.choice((_heic("quarters"), _heic("large"), fuzz_photos.huge_heic()))
    return lie_about_size(photo, rng.choice(((64, 64), (640, 480), (2048, 1536), (8192, 8192))))


def _heic_huge(_rng: random.Random) -> bytes:
    return fuzz_photos.huge_heic()


def _heic_extents(rng: random.Random) -> bytes:
    return _extents(rng, _heic("quarters"))


def _extents(rng: random.Random, photo: bytes) -> bytes:
    """One item from thousands of pieces that are all the same large one."""
    size, count = rng.choice(((1_000_000, 1000), (5_000_000, 60_000)))
    extents = struct.pack(">II", 0, size) * count
    iloc = bytes(4) + b"\x44\0" + struct.pack(">H", 1) + struct.pack(">HHH", 1, 0, count) + extents
    parts = [(path, iloc if path.endswith(b"iloc") else leaf) for path, leaf in leaves(photo)]
    return tree([(path, leaf.ljust(size, b"\0") if path == b"mdat" else leaf) for path, leaf in parts])


def _heic_properties(rng: random.Random) -> bytes:
    return _properties(rng, _heic("quarters"))


def _properties(rng: random.Random, photo: bytes) -> bytes:
    count = rng.choice((1000, 100_000))
    parts = leaves(photo)
    at = next(index for index, (path, _) in enumerate(parts) if path.endswith(b"ispe"))
    return tree([*parts[:at], *[(b"meta/iprp/ipco/free", b"")] * count, *parts[at:]])


@cache
def large_avif() -> bytes:
    """3000 x 3000 grey pixels."""
    return fuzz_photos.saved("AVIF", Image.new("RGB", (3000, 3000), (90, 90, 90)), speed=10, max_threads=1)()


def _avif_lie(rng: random.Random) -> bytes:
    photo = rng.choice((large_avif(), fuzz_photos.photos("AVIF")["avif"]))
    return lie_about_size(photo, rng.choice(((64, 64), (640, 480), (3000, 3000), (8192, 8192))))


def _avif_grid(rng: random.Random) -> bytes:
    photo, tile = rng.choice(((fuzz_photos.photos("AVIF")["avif"], (200, 160)), (large_avif(), (3000, 3000))))
    return _grid(rng, photo, tile)


def _avif_extents(rng: random.Random) -> bytes:
    return _extents(rng, fuzz_photos.photos("AVIF")["avif"])


def _avif_properties(rng: random.Random) -> bytes:
    return _properties(rng, fuzz_photos.photos("AVIF")["avif"])


def _avif_exif(rng: random.Random) -> bytes:
    entries = _directory([(tag + 1, 1, 60_000, 8) for tag in range(rng.choice((100, 4000)))], 0)
    block = entries.ljust(60_100, b"\0")
    picture = Image.new("RGB", (100, 100))
    return fuzz_photos.saved("AVIF", picture, speed=10, max_threads=1, exif=fuzz_photos.exif())().replace(
        fuzz_photos.exif()[6:], block
    )


_MAKERS: dict[str, _Make] = {
    "JPEG bomb: no data": _jpeg_empty,
    "JPEG bomb: scans": _jpeg_scans,
    "JPEG bomb: scans of noise": _jpeg_noise_scans,
    "JPEG bomb: arithmetic": _jpeg_arithmetic,
    "JPEG bomb: EXIF": _jpeg_exif,
    "JPEG bomb: segments": _jpeg_segments,
    "JPEG bomb: filling": _jpeg_filling,
    "JPEG bomb: restarts": _jpeg_restarts,
    "JPEG bomb: profile": _jpeg_profile,
    "PNG bomb: rows": _png_rows,
    "PNG bomb: more rows": _png_more_rows,
    "PNG bomb: texts": _png_texts,
    "PNG bomb: profile": _png_profile,
    "PNG bomb: chunks": _png_chunks,
    "PNG bomb: frames": _png_frames,
    "WebP bomb: lossless": _webp_lossless,
    "WebP bomb: lossy": _webp_lossy,
    "WebP bomb: frames": _webp_frames,
    "WebP bomb: metadata": _webp_metadata,
    "HEIC bomb: grid": _heic_grid,
    "HEIC bomb: lie": _heic_lie,
    "HEIC bomb: huge": _heic_huge,
    "HEIC bomb: extents": _heic_extents,
    "HEIC bomb: properties": _heic_properties,
    "AVIF bomb: grid": _avif_grid,
    "AVIF bomb: lie": _avif_lie,
    "AVIF bomb: extents": _avif_extents,
    "AVIF bomb: properties": _avif_properties,
    "AVIF bomb: EXIF": _avif_exif,
}
NAMES: dict[str, list[str]] = {
    kind: [name for name in _MAKERS if name.startswith(kind)] for kind in fuzz_photos.FORMATS
}
"""Format -> its bombs."""
