"""Inflate PNGs for libpng, in half the time of its zlib.

ISA-L inflates the pixels, and libpng gets them as deflate blocks that are stored: it still checks
and decodes everything else. A file in which anything is unusual stays as it is, so that libpng
alone decides about damage.
"""

import struct

from isal import isal_zlib

from tools.images.headers import PNG_START

# Smaller files take as long as the work below.
MIN_BYTES = 2**12
# Filtered pixels are held twice more.
_MAX_INFLATED_BYTES = 2**27
# Channels by color type.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEFLATE, _PRESET_DICTIONARY = 8, 0x20
_STORED_BYTES = 0xFFFF
# RFC 1950: a window of 32 KiB.
_ZLIB_START = b"\x78\x01"


def without_deflate(data: bytes) -> bytes | bytearray:
    """A PNG with the same chunks and pixels whose IDAT chunks are one that isn't deflated; `data`
    itself if it is small or if it isn't certain that libpng accepts its pixels."""
    if len(data) < MIN_BYTES:
        return data
    try:
        found = _find_pixels(data)
        if found is None:
            return data
        start, end, deflated = found
        size_bytes = _inflated_bytes(data)
        if not _is_plain_zlib(deflated, size_bytes):
            return data
        inflater = isal_zlib.decompressobj()
        pixels = inflater.decompress(deflated, max_length=size_bytes + 1)
    except (struct.error, KeyError, isal_zlib.error):  # type: ignore[misc] # its stub says: object
        return data
    if len(pixels) != size_bytes or not inflater.eof or inflater.unused_data:
        return data
    return _with_stored(data[:start], pixels, deflated[-4:], data[end:])


def _find_pixels(data: bytes) -> tuple[int, int, bytes] | None:
    """Start and end of the IDAT chunks, and their contents; None unless they follow each other with
    the right checksums."""
    contents, at, start = [], len(PNG_START), 0
    view = memoryview(data)
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if name == b"IDAT":
            start = start or at
            (stated,) = struct.unpack_from(">I", data, end - 4)
            if isal_zlib.crc32(view[at + 4 : end - 4]) != stated:
                return None
            contents.append(view[at + 8 : end - 4])
        elif start:
            return start, at, b"".join(contents)
        at = end
    return None


def _inflated_bytes(data: bytes) -> int:
    """Of all lines with their filters; raises ``KeyError`` for an interlaced PNG or too large a
    one."""
    width, height, depth, color, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    size_bytes = height * (1 + -(-width * depth * _CHANNELS[color] // 8))
    if interlaced or not 0 < size_bytes <= _MAX_INFLATED_BYTES:
        raise KeyError
    return int(size_bytes)


def _is_plain_zlib(deflated: bytes, size_bytes: int) -> bool:
    """Whether zlib takes the header too. It refuses distances beyond the window that is stated,
    which ISA-L does not look at; a window of all pixels has none."""
    method, flags = deflated[:2] if len(deflated) > 6 else b"\0\0"
    window_bytes = 1 << (method >> 4) + 8
    return (
        method & 15 == _DEFLATE
        and not flags & _PRESET_DICTIONARY
        and window_bytes <= 2**15
        and window_bytes >= min(2**15, size_bytes)
    )


def _with_stored(before: bytes, pixels: bytes, checksum: bytes, after: bytes) -> bytearray:
    """The chunks `before`, one IDAT of `pixels` with the Adler-32 `checksum`, those `after`."""
    view = memoryview(pixels)
    pieces: list[bytes | memoryview] = [b"IDAT", _ZLIB_START]
    for first in range(0, len(pixels), _STORED_BYTES):
        block = view[first : first + _STORED_BYTES]
        pieces += (_block_header(block, first + _STORED_BYTES >= len(pixels)), block)
    content = bytearray().join((*pieces, checksum))
    length, check = len(content) - 4, isal_zlib.crc32(content)
    return bytearray().join(
        (before, struct.pack(">I", length), content, struct.pack(">I", check), after)
    )


def _block_header(part: memoryview, is_last: bool) -> bytes:
    """RFC 1951, 3.2.4."""
    return struct.pack("<BHH", is_last, len(part), len(part) ^ 0xFFFF)
