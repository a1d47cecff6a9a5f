"""What the header of a JPEG or PNG says, read without decoding. The file's name says nothing."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

JPEG_START = b"\xff\xd8\xff"
JPEG_END = b"\xff\xd9"
PNG_START = b"\x89PNG\r\n\x1a\n"
# Start-of-frame markers: every 0xC? but DHT (C4), JPG (C8) and DAC (CC).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BASELINE_FRAMES = (0xC0, 0xC1)
_SCAN = 0xDA
# Markers that carry no length: TEM and RSTn.
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
_ORIENTATION_TAG = 0x0112
# Transparency, an animation's frames, and compressed text, which may be a bomb for its readers.
_UNPLAIN_CHUNKS = (b"tRNS", b"acTL", b"zTXt", b"iTXt")


@dataclass(frozen=True, kw_only=True)
class Header:
    """`format` is "jpeg" or "png"; sizes are in pixels as stored, before EXIF rotation.

    `plain`: any decoder, also a GPU's, reads it to the same 8-bit gray or RGB picture: a baseline
    JPEG of one or three components in YCbCr, or a gray or RGB PNG of 8 bits without transparency.
    `content_offset` is where a JPEG's first scan begins, in bytes.
    """

    format: str
    height: int
    width: int
    plain: bool
    orientation: int = 1
    content_offset: int = 0


def read_header(data: bytes) -> Header | None:
    """The header of a JPEG or PNG; None for anything else, or if it makes no sense."""
    try:
        if data.startswith(JPEG_START):
            return _read_jpeg(data)
        if data.startswith(PNG_START):
            return _read_png(data)
    except (struct.error, IndexError):
        pass
    return None


def _read_jpeg(data: bytes) -> Header | None:
    orientation, adobe_transform, frame = 1, None, None
    for marker, start, end in _segments(data):
        body = data[start:end]
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            orientation = exif_orientation(body[6:])
        elif marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            adobe_transform = body[11]
        elif marker in _FRAMES:
            frame = (marker, body)
        elif marker == _SCAN and frame is not None:
            marker, body = frame
            precision, height, width, components = struct.unpack_from(">BHHB", body)
            names = bytes(body[6 : 6 + 3 * components : 3])
            is_rgb = components == 3 and (adobe_transform == 0 or names == b"RGB")
            plain = (
                marker in _BASELINE_FRAMES
                and precision == 8
                and components in (1, 3)
                and not is_rgb
                and height > 0
            )
            return Header(
                format="jpeg",
                height=height,
                width=width,
                plain=plain,
                orientation=orientation,
                content_offset=end,
            )
    return None


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment's body up to and with the first scan's header."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _BARE:
            at += 2
        else:
            end = at + 2 + int(struct.unpack_from(">H", data, at + 2)[0])
            yield marker, at + 4, end
            if marker == _SCAN:
                return
            at = end


def _read_png(data: bytes) -> Header:
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    # Colour types 0 and 2 are gray and RGB.
    orientation, plain = 1, depth == 8 and colour in (0, 2)
    at = len(PNG_START)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"eXIf":
            orientation = exif_orientation(data[at + 8 : at + 8 + length])
        plain &= name not in _UNPLAIN_CHUNKS
        at += 12 + length
    return Header(format="png", height=height, width=width, plain=plain, orientation=orientation)


def exif_orientation(tiff: bytes) -> int:
    """EXIF tag 0x0112 of a TIFF block: 1 to 8, 1 where it is missing or makes no sense."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == _ORIENTATION_TAG:
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
