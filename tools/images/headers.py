"""Headers of JPEG and PNG files, read without decoding."""

import struct
from typing import NamedTuple

from tools.images.tiff import exif_orientation, xmp_orientation

JPEG_START = b"\xff\xd8\xff"
JPEG_END = b"\xff\xd9"
PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_END = b"IEND\xaeB`\x82"

# Start-of-frame markers: every 0xC? but DHT (C4), JPG (C8) and DAC (CC).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BASELINE = 0xC0
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
# Frames of 8 x 8 cosine coefficients: of these libjpeg decodes a part. C3, C7, CB, CF are lossless.
_COSINE = _FRAMES - {0xC3, 0xC7, 0xCB, 0xCF}
_SCAN = 0xDA
_EXIF, _ADOBE = 0xE1, 0xEE
# Markers without a length: a stuffed zero, TEM and RSTn.
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})
_EXIF_START = b"Exif\0\0"
_XMP_START = b"http://ns.adobe.com/xap/1.0/\0"
# Horizontal and vertical sampling factors of luma that GPUs decode, where chroma has 1 x 1.
_SAMPLINGS = frozenset({0x11, 0x21, 0x22, 0x12, 0x41, 0x42})
# A progressive JPEG has about ten; each costs a pass over the whole image.
_MAX_SCANS = 200

_GRAY, _RGB = 0, 2
# Transparency, animation frames, and compressed text, which may be a decompression bomb.
_SPECIAL_CHUNKS = (b"tRNS", b"acTL", b"zTXt", b"iTXt")
_XMP_KEY = b"XML:com.adobe.xmp\0"


class Header(NamedTuple):
    """Facts from an image's header; sizes are in pixels as stored, before rotation.

    `format`: "jpeg", "png" or another that OpenCV reads. `plain`: any decoder, also that of a GPU,
    gives the same 8-bit gray or RGB pixels: a baseline JPEG of one scan with one or three
    components in YCbCr, or a gray or RGB PNG of 8 bits without transparency. `content_offset`: the
    first byte of a JPEG's first scan. `flaw`: why no decoder should open it, or "". `transparent`:
    the transparent gray value, of 16 bits in a PNG of 16 bits, else of 8. `alpha`: the meaning of
    the fourth channel, "straight", "premultiplied" or "unused". `cosine`: the number of components
    of a JPEG that can be decoded at a part of its size, else 0.
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
    cosine: int = 0


def read_header(data: bytes) -> Header | None:
    """The header of a JPEG or PNG; None for other or damaged data."""
    try:
        if data.startswith(JPEG_START):
            return _read_jpeg(data)
        if data.startswith(PNG_START):
            return _read_png(data)
    except (struct.error, IndexError):
        pass
    return None


def _walk_jpeg(data: bytes) -> tuple[bool, tuple[int, int] | None, int, int, int, int | None]:
    """The segments before the first scan: whether nothing is between them, marker and offset of the
    frame, bounds of the scan's header, orientation, transform of an Adobe segment.

    One loop with few steps per segment, since it runs for every image. Like libjpeg it skips
    bytes between segments."""
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
            return tidy, frame, start, end, exif or xmp or 1, adobe_transform
        at = end


def _read_jpeg(data: bytes) -> Header | None:
    tidy, frame, scan_start, scan_end, orientation, adobe_transform = _walk_jpeg(data)
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
        and (count == 1 or (count == 3 and is_ycc and _gpu_decodable(samplings)))
        and data[scan_start] == count
    )
    return Header(
        format="jpeg",
        height=height,
        width=width,
        plain=plain,
        orientation=orientation,
        content_offset=scan_end,
        flaw=_jpeg_flaw(data, precision, height, scan_end if kind != _BASELINE else None),
        progressive=kind in _PROGRESSIVE,
        cosine=count if kind in _COSINE else 0,
    )


def _gpu_decodable(samplings: bytes) -> bool:
    return samplings[0] in _SAMPLINGS and samplings[1:] == b"\x11\x11"


def _jpeg_flaw(data: bytes, precision: int, height: int, scans_from: int | None) -> str:
    if precision != 8:
        return f"a JPEG of {precision} bits a sample: convert it to 8 bits first"
    if height == 0:
        return "the header of the JPEG holds no height"
    if scans_from is not None and (count := data.count(b"\xff\xda", scans_from)) > _MAX_SCANS:
        return f"the JPEG has {count + 1} scans, more than the {_MAX_SCANS} that are decoded"
    return ""


def _read_png(data: bytes) -> Header:
    width, height, depth, color = struct.unpack_from(">IIBB", data, 16)
    plain, exif, xmp, transparent = depth == 8 and color in (_GRAY, _RGB), None, None, None
    at = len(PNG_START)
    while at + 8 <= len(data):
        name, start = data[at + 4 : at + 8], at + 8
        end = start + int.from_bytes(data[at : at + 4], "big")
        if name != b"IDAT":
            if name in _SPECIAL_CHUNKS:
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
