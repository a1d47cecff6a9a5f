"""TIFF directories, which EXIF blocks also are, and the orientation in EXIF and XMP: 1 to 8 as in
the EXIF standard, tag 0x0112."""

import re
import struct

_ORIENTATION = 0x0112
_ORDERS = {b"II": "<", b"MM": ">"}
_XMP = re.compile(rb"tiff:Orientation(?:\s*=\s*[\"']|>)([1-8])")
_BIG_TIFF = 43
# Field types that hold whole numbers: struct's letter for each.
_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_MAX_TAGS = 4096


def exif_orientation(tiff: bytes) -> int | None:
    """The orientation in an EXIF block; None if it is missing or not 1 to 8. Runs for every JPEG of
    a camera, so it stops at the tag."""
    order = _ORDERS.get(tiff[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == _ORIENTATION:
                return int(value) if 1 <= value <= 8 else None
    except struct.error:
        pass
    return None


def xmp_orientation(packet: bytes) -> int | None:
    """The orientation in an XMP packet; like Pillow, callers use it where EXIF has none."""
    match = _XMP.search(packet)
    return int(match[1]) if match else None


def tiff_tags(data: bytes) -> dict[int, int]:
    """The integers of the first directory by tag, the first value of several; raises
    ``struct.error`` or ``KeyError`` for a damaged header."""
    order, is_big = _ORDERS[data[:2]], _BIG_TIFF in data[2:4]
    offset, number, step = ("Q", "Q", 20) if is_big else ("I", "H", 12)
    (start,) = struct.unpack_from(order + offset, data, 8 if is_big else 4)
    (count,) = struct.unpack_from(order + number, data, start)
    start += struct.calcsize(number)
    tags = {}
    for entry in range(start, start + step * min(count, _MAX_TAGS), step):
        tag, kind, length = struct.unpack_from(order + "HH" + offset, data, entry)
        if kind not in _INTEGERS or not length:
            continue
        layout, place = order + _INTEGERS[kind], entry + 4 + struct.calcsize(offset)
        if struct.calcsize(layout) * length > struct.calcsize(offset):
            (place,) = struct.unpack_from(order + offset, data, place)
        if place + struct.calcsize(layout) <= len(data):
            (tags[tag],) = struct.unpack_from(layout, data, place)
    return tags
