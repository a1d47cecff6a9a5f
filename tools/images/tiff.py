"""What the header of a TIFF says: its first picture's size, and why it had better not be read."""

import struct

from tools.images.headers import Header

Tags = dict[int, int]

# Numbers of the TIFF 6.0 specification and its supplements.
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PACKING, _COLORS = 254, 256, 257, 258, 259, 262
_SAMPLES, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA_SAMPLE, _NUMBERS = 277, 322, 323, 338, 339
_PREMULTIPLIED, _STRAIGHT = 1, 2
_SIGNED, _FLOATING = 2, 3
_GRAY, _PALETTE, _CIELAB = (0, 1), 3, (8, 9, 10)
_PACKINGS = {34712: "JPEG 2000", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP"}
# The types of field that hold whole numbers: bytes each and struct's letters.
_TYPES = {1: (1, "B"), 3: (2, "H"), 4: (4, "I"), 16: (8, "Q")}
_MAX_TAGS = 4096
# Decoders keep room for a whole tile, however small the picture.
_MAX_TILE_PIXELS = 2**24


def read_tiff(data: bytes) -> Header:
    """Raises ``struct.error`` or ``KeyError`` where it makes no sense.

    `orientation` stays 1: OpenCV turns a TIFF itself.
    """
    tags = _tags(data)
    return Header(
        format="tiff",
        height=tags[_HEIGHT],
        width=tags[_WIDTH],
        alpha=_alpha(tags),
        flaw=_flaw(tags),
    )


def _alpha(tags: Tags) -> str:
    extra = tags.get(_EXTRA_SAMPLE)
    if tags.get(_SAMPLES) != 4 or extra not in (_PREMULTIPLIED, _STRAIGHT):
        return "unused"
    # libtiff multiplies 8-bit colors itself.
    return "premultiplied" if extra == _PREMULTIPLIED or tags.get(_BITS) == 8 else "straight"


def _flaw(tags: Tags) -> str:
    colors, bits = tags.get(_COLORS, 1), tags.get(_BITS, 1)
    if tags.get(_NUMBERS) == _FLOATING:
        return "a TIFF of floating-point pixels: convert it to 8 or 16 bits first"
    if tags.get(_NUMBERS) == _SIGNED:
        return "a TIFF of signed pixels: convert it to 8 or 16 bits without sign first"
    if colors in _CIELAB:
        return "a TIFF in L*a*b* colors: convert it to RGB first"
    if colors in _GRAY and tags.get(_SAMPLES, 1) == 2:
        return "a TIFF of gray with transparency: save it as PNG first"
    if (colors == _PALETTE and bits < 4) or (colors in _GRAY and 1 < bits < 8):
        return f"a TIFF of {bits}-bit pixels: convert it to 8 bits first"
    if tags.get(_TILE_WIDTH, 1) * tags.get(_TILE_HEIGHT, 1) > _MAX_TILE_PIXELS:
        return f"a TIFF in tiles of {tags[_TILE_WIDTH]} x {tags[_TILE_HEIGHT]} px"
    if tags.get(_SUBFILE, 0) & 1:
        return "the first picture of the TIFF is a thumbnail: export the picture itself"
    if packing := _PACKINGS.get(tags.get(_PACKING, 1)):
        return f"a TIFF packed by {packing}: save it by another, or as PNG"
    return ""


def _tags(data: bytes) -> Tags:
    """The whole numbers of the first directory; the first one of several."""
    order = "<" if data[:2] == b"II" else ">"
    is_big = 43 in data[2:4]
    offset, number, step = ("Q", "Q", 20) if is_big else ("I", "H", 12)
    (start,) = struct.unpack_from(order + offset, data, 8 if is_big else 4)
    (count,) = struct.unpack_from(order + number, data, start)
    start += struct.calcsize(number)
    tags = {}
    for entry in range(start, start + step * min(count, _MAX_TAGS), step):
        tag, kind, length = struct.unpack_from(order + "HH" + offset, data, entry)
        if kind not in _TYPES or not length:
            continue
        size, letter = _TYPES[kind]
        place = entry + 4 + struct.calcsize(offset)
        if size * length > struct.calcsize(offset):
            (place,) = struct.unpack_from(order + offset, data, place)
        if place + size <= len(data):
            (tags[tag],) = struct.unpack_from(order + letter, data, place)
    return tags
