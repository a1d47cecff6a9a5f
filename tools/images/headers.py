"""What the header of a JPEG or PNG says, read without decoding. The file's name says nothing."""

import struct
from typing import NamedTuple

from tools.images.orientation import exif_orientation, xmp_orientation

JPEG_START = b"\xff\xd8\xff"
JPEG_END = b"\xff\xd9"
PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_END = b"IEND\xaeB`\x82"

# Start-of-frame markers: every 0xC? but DHT (C4), JPG (C8) and DAC (CC).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BASELINE = 0xC0
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SCAN = 0xDA
_EXIF, _ADOBE = 0xE1, 0xEE
# Markers that carry no length: a stuffed zero, TEM and RSTn.
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})
_EXIF_START = b"Exif\0\0"
_XMP_START = b"http://ns.adobe.com/xap/1.0/\0"
# Sampling factors, horizontal and vertical, of luma where chroma has 1 x 1: what GPUs decode.
_SAMPLINGS = frozenset({0x11, 0x21, 0x22, 0x12, 0x41, 0x42})
# A progressive JPEG has about ten; each costs a walk over all of the image.
_MAX_SCANS = 200

_GRAY, _RGB = 0, 2
# Transparency, an animation's frames, and compressed text, which may be a bomb for its readers.
_UNPLAIN_CHUNKS = (b"tRNS", b"acTL", b"zTXt", b"iTXt")
_XMP_KEY = b"XML:com.adobe.xmp\0"


class Header(NamedTuple):
    """What a header says; sizes are in pixels as stored, before rotation.

    `format` is "jpeg", "png" or the name of another that OpenCV reads. `plain`: any decoder, also a
    GPU's, reads it to the same 8-bit gray or RGB picture: a baseline JPEG of one scan, of one or
    three components in YCbCr, or a gray or RGB PNG of 8 bits without transparency.
    `content_offset` is where a JPEG's first scan begins, in bytes. `flaw`: why no decoder should
    see it, or "". `transparent`: the gray value that is transparent, of 16 bits in a PNG of 16
    bits, else of 8. `alpha`: what the fourth channel means, "straight", "premultiplied" or
    "unused".
    """

    format: str
    height: int
    width: int
    plain: bool = False
    orientation: int = 1
    content_offset: int = 0
    flaw: str = ""
    transparent: int | None = None
    alpha: str = "straight"
    progressive: bool = False


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
    """One loop, as few steps a segment as can be: it runs once an image. Like libjpeg it skips what
    lies between segments."""
    exif = xmp = adobe_transform = frame = None
    tidy, at = True, 2
    while True:
        if data[at] != 0xFF:
            tidy, at = False, data.index(b"\xff", at)
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _BARE:
            tidy, at = False, at + 2
            continue
        start, end = at + 4, at + 2 + (data[at + 2] << 8) + data[at + 3]
        if marker in _FRAMES:
            frame = (marker, start)
        elif marker == _EXIF:
            if exif is None and data.startswith(_EXIF_START, start):
                exif = exif_orientation(data[start + 6 : end])
            elif xmp is None and data.startswith(_XMP_START, start):
                xmp = xmp_orientation(data[start:end])
        elif marker == _ADOBE and end - start >= 12 and data.startswith(b"Adobe", start):
            adobe_transform = data[start + 11]
        elif marker == _SCAN:
            break
        at = end
    if frame is None:
        return None
    kind, body = frame
    precision, height, width, count = struct.unpack_from(">BHHB", data, body)
    components = data[body + 6 : body + 6 + 3 * count]
    names, samplings = components[::3], components[1::3]
    is_ycc = adobe_transform != 0 and names != b"RGB"
    plain = (
        tidy
        and kind == _BASELINE
        and (count == 1 or (count == 3 and is_ycc and _is_usual(samplings)))
        and data[start] == count
    )
    return Header(
        format="jpeg",
        height=height,
        width=width,
        plain=plain,
        orientation=exif or xmp or 1,
        content_offset=end,
        flaw=_jpeg_flaw(data, precision, height, end if kind != _BASELINE else None),
        progressive=kind in _PROGRESSIVE,
    )


def _is_usual(samplings: bytes) -> bool:
    return samplings[0] in _SAMPLINGS and samplings[1:] == b"\x11\x11"


def _jpeg_flaw(data: bytes, precision: int, height: int, scans_from: int | None) -> str:
    if precision != 8:
        return f"a JPEG of {precision} bits a sample: convert it to 8 bits first"
    if height == 0:
        return "the JPEG doesn't say its height"
    if scans_from is not None and (count := data.count(b"\xff\xda", scans_from)) > _MAX_SCANS:
        return f"the JPEG has {count + 1} scans, which keeps a decoder busy for ever"
    return ""


def _read_png(data: bytes) -> Header:
    width, height, depth, color = struct.unpack_from(">IIBB", data, 16)
    plain, exif, xmp, transparent = depth == 8 and color in (_GRAY, _RGB), None, None, None
    at = len(PNG_START)
    while at + 8 <= len(data):
        name, start = data[at + 4 : at + 8], at + 8
        end = start + int.from_bytes(data[at : at + 4], "big")
        if name != b"IDAT":
            if name in _UNPLAIN_CHUNKS:
                plain = False
            if name == b"eXIf":
                exif = exif_orientation(data[start:end])
            elif name == b"iTXt" and data.startswith(_XMP_KEY, start):
                xmp = xmp_orientation(data[start:end])
            elif name == b"tRNS" and color == _GRAY:
                (value,) = struct.unpack_from(">H", data, start)
                transparent = value if depth == 16 else value * 255 // (2**depth - 1)
        at = end + 4
    return Header(
        format="png",
        height=height,
        width=width,
        plain=plain,
        orientation=exif or xmp or 1,
        transparent=transparent,
    )
