"""Which way up an image is, by its EXIF or XMP: 1 to 8 as in the EXIF standard, tag 0x0112."""

import re
import struct

_TAG = 0x0112
_XMP = re.compile(rb"tiff:Orientation(?:\s*=\s*[\"']|>)([1-8])")


def exif_orientation(tiff: bytes) -> int | None:
    """What an EXIF block says, which is a TIFF; None where it says nothing that makes sense."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == _TAG:
                return int(value) if 1 <= value <= 8 else None
    except struct.error:
        pass
    return None


def xmp_orientation(packet: bytes) -> int | None:
    """What an XMP packet says; it counts where EXIF says nothing, as for Pillow."""
    found = _XMP.search(packet)
    return int(found[1]) if found else None
