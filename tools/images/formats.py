"""The headers of all formats that are read. Only these formats reach a decoder, since only the
header tells how much memory an image takes. Sizes come from the fields that the decoders use.

Pillow's ``Image.open`` would not do: of 15,000 odd and damaged images it refuses 52 BMPs, WebPs,
JPEG 2000s and PNMs that OpenCV decodes, knows no PAM, and gives no size for oversized AVIFs.
"""

import re
import struct
from collections.abc import Callable, Iterator

from tools.images.headers import Header, read_header
from tools.images.tiff import exif_orientation, tiff_tags, xmp_orientation

Reader = Callable[[bytes], Header | None]

_VP8_KEYFRAME = b"\x9d\x01\x2a"
_VP8L_START = 0x2F
_JP2_START = b"\0\0\0\x0cjP  "
_BITFIELDS = 3
# EXIF orientations by an AVIF's mirror (none, top to bottom, left to right) and quarter turns
# counterclockwise, which are applied first.
_AVIF_ORIENTATIONS = ((1, 8, 3, 6), (4, 5, 2, 7), (2, 7, 4, 5))
# A text header must end within these first bytes.
_TEXT_BYTES = 4096
_GAP = rb"(?:#[^\n]*\n|\s)+"
_PNM = re.compile(rb"P[1-6]" + _GAP + rb"(?P<width>\d{1,10})" + _GAP + rb"(?P<height>\d{1,10})\s")
_PAM_HEAD = re.compile(rb"P7\n(.*?)ENDHDR\n", re.DOTALL)
_PAM_SIDES = re.compile(rb"^(WIDTH|HEIGHT)\s+(\d{1,10})\s*$", re.MULTILINE)


# TIFF tags and values, from TIFF 6.0 and its supplements.
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_SAMPLES, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA_SAMPLE, _SAMPLE_FORMAT = 277, 322, 323, 338, 339
_PREMULTIPLIED, _STRAIGHT = 1, 2
_SIGNED, _FLOAT = 2, 3
_GRAY, _PALETTE, _CIELAB = (0, 1), 3, (8, 9, 10)
_COMPRESSIONS = {34712: "JPEG 2000", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP"}
# Decoders allocate a whole tile, however small the picture.
_MAX_TILE_PIXELS = 2**24


def identify(data: bytes) -> tuple[str, Header | None]:
    """The format by the first bytes, "" if unknown, and the header, None if it is damaged or cut
    off."""
    for name, beginning, read in _FORMATS:
        if beginning.match(data):
            try:
                return name, read(data)
            except (struct.error, LookupError, ValueError, OverflowError):
                return name, None
    return "", None


def _read_gif(data: bytes) -> Header:
    width, height = struct.unpack_from("<HH", data, 6)
    return Header(format="gif", height=height, width=width)


def _read_bmp(data: bytes) -> Header:
    pixels_at, header_bytes = struct.unpack_from("<II", data, 10)
    if header_bytes == 12:
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
        packing = colors = 0
    else:
        width, height, _, depth, packing = struct.unpack_from("<iiHHI", data, 18)
        colors = struct.unpack_from("<I", data, 46)[0] if depth <= 8 else 0
    return Header(
        format="bmp",
        height=abs(height),
        width=abs(width),
        flaw="the header of the BMP says that its pixels begin within the header"
        if pixels_at < 14 + header_bytes + 4 * colors
        else "",
        # Without a mask for it, the fourth byte of a pixel is padding.
        alpha="straight" if depth == 32 and packing == _BITFIELDS else "unused",
    )


def _read_sun_raster(data: bytes) -> Header:
    width, height = struct.unpack_from(">II", data, 4)
    return Header(format="sun raster", height=height, width=width)


def _read_pnm(data: bytes) -> Header | None:
    match = _PNM.match(data[:_TEXT_BYTES])
    if match is None:
        return None
    return Header(format="pnm", height=int(match["height"]), width=int(match["width"]))


def _read_pam(data: bytes) -> Header | None:
    head = _PAM_HEAD.match(data[:_TEXT_BYTES])
    if head is None:
        return None
    sides = {name: int(size) for name, size in _PAM_SIDES.findall(head[1])}
    return Header(format="pam", height=sides[b"HEIGHT"], width=sides[b"WIDTH"])


def _read_tiff(data: bytes) -> Header:
    """`orientation` stays 1: OpenCV applies that of a TIFF itself."""
    tags = tiff_tags(data)
    extra, alpha = tags.get(_EXTRA_SAMPLE), "unused"
    if tags.get(_SAMPLES) == 4 and extra in (_PREMULTIPLIED, _STRAIGHT):
        # libtiff multiplies 8-bit colors itself.
        multiplied = extra == _PREMULTIPLIED or tags.get(_BITS) == 8
        alpha = "premultiplied" if multiplied else "straight"
    return Header(
        format="tiff", height=tags[_HEIGHT], width=tags[_WIDTH], alpha=alpha, flaw=_tiff_flaw(tags)
    )


def _tiff_flaw(tags: dict[int, int]) -> str:
    """Why OpenCV would read it wrongly or not at all; "" if it reads it."""
    colors, bits, samples = (tags.get(tag, 1) for tag in (_PHOTOMETRIC, _BITS, _SAMPLES))
    width, height = tags.get(_TILE_WIDTH, 1), tags.get(_TILE_HEIGHT, 1)
    packing = _COMPRESSIONS.get(tags.get(_COMPRESSION, 1))
    sample_format, is_thumbnail = tags.get(_SAMPLE_FORMAT), tags.get(_SUBFILE, 0) & 1
    few_bits = (colors == _PALETTE and bits < 4) or (colors in _GRAY and 1 < bits < 8)
    flaws = (
        (sample_format == _FLOAT, "of floating-point pixels: convert it to 8 or 16 bits first"),
        (sample_format == _SIGNED, "of signed pixels: convert it to unsigned integers first"),
        (colors in _CIELAB, "in L*a*b* colors: convert it to RGB first"),
        (colors in _GRAY and samples == 2, "of gray with transparency: save it as PNG first"),
        (few_bits, f"of {bits}-bit pixels: convert it to 8 bits first"),
        (width * height > _MAX_TILE_PIXELS, f"in tiles of {width} x {height} px"),
        (is_thumbnail, "whose first picture is a thumbnail: export the picture itself"),
        (packing, f"compressed with {packing}: save it with another compression, or as PNG"),
    )
    return next((f"a TIFF {text}" for applies, text in flaws if applies), "")


def _read_webp(data: bytes) -> Header | None:
    size = exif = xmp = None
    for name, start, end in _riff_chunks(data):
        if name == b"EXIF":
            exif = exif_orientation(data[start:end].removeprefix(b"Exif\0\0"))
        elif name == b"XMP ":
            xmp = xmp_orientation(data[start:end])
        elif size is None:
            size = _webp_size(name, data[start : start + 10])
    if size is None:
        return None
    return Header(format="webp", height=size[0], width=size[1], orientation=exif or xmp or 1)


def _webp_size(name: bytes, body: bytes) -> tuple[int, int] | None:
    """Height and width in a chunk: of the canvas, or of a lossless or lossy picture."""
    if name == b"VP8X":
        width, height = body[4:7] + b"\0", body[7:10] + b"\0"
        return struct.unpack("<I", height)[0] + 1, struct.unpack("<I", width)[0] + 1
    if name == b"VP8L" and body[0] == _VP8L_START:
        (bits,) = struct.unpack_from("<I", body, 1)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if name == b"VP8 " and body[3:6] == _VP8_KEYFRAME:
        width, height = struct.unpack_from("<HH", body, 6)
        return height & 0x3FFF, width & 0x3FFF
    return None


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        yield name, at + 8, at + 8 + size
        at += 8 + size + size % 2


def _read_avif(data: bytes) -> Header | None:
    """Color, alpha and tiles have a size each, of which the largest counts."""
    start = data.index(b"ipco")
    end = start - 4 + int.from_bytes(data[start - 4 : start], "big")
    height = width = mirror = turns = 0
    at = start + 4
    while at + 8 <= end:
        size_bytes, name = struct.unpack_from(">I4s", data, at)
        if name == b"ispe":
            sides = struct.unpack_from(">II", data, at + 12)
            width, height = max(width, sides[0]), max(height, sides[1])
        elif name == b"irot":
            turns = data[at + 8] & 3
        elif name == b"imir":
            mirror = 1 + (data[at + 8] & 1)
        at += max(8, size_bytes)
    orientation = _AVIF_ORIENTATIONS[mirror][turns]
    return Header(format="avif", height=height, width=width, orientation=orientation)


def _read_jpeg2000(data: bytes) -> Header:
    """The size in the codestream, which a JP2 file holds in a box."""
    at = 0
    if data.startswith(_JP2_START):
        while data[at + 4 : at + 8] != b"jp2c":
            at += max(8, struct.unpack_from(">I", data, at)[0])
        at += 8
    right, bottom, left, top = struct.unpack_from(">IIII", data, at + 8)
    (channels,) = struct.unpack_from(">H", data, at + 40)
    return Header(
        format="jpeg 2000",
        height=max(0, bottom - top),
        width=max(0, right - left),
        flaw=""
        if channels in (1, 3, 4)
        else f"a JPEG 2000 of {channels} channels: save it as PNG first",
    )


# Name, first bytes, and reader of the header.
_FORMATS: tuple[tuple[str, re.Pattern[bytes], Reader], ...] = tuple(
    (name, re.compile(beginning, re.DOTALL), read)
    for name, beginning, read in (
        ("JPEG", rb"\xff\xd8\xff", read_header),
        ("PNG", rb"\x89PNG\r\n\x1a\n", read_header),
        ("GIF", rb"GIF8[79]a", _read_gif),
        ("BMP", rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", _read_bmp),
        ("TIFF", rb"II[*+]\0|MM\0[*+]", _read_tiff),
        ("WebP", rb"RIFF.{4}WEBP", _read_webp),
        ("AVIF", rb".{4}ftypavi[fs]", _read_avif),
        ("JPEG 2000", rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", _read_jpeg2000),
        ("PNM", rb"P[1-6]\s", _read_pnm),
        ("PAM", rb"P7\n", _read_pam),
        ("Sun raster", rb"\x59\xa6\x6a\x95", _read_sun_raster),
    )
)
