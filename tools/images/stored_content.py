"""Checksums and perceptual hashes of stored images, by which equal and similar ones are found."""

import cv2
import numpy as np
from isal import isal_zlib

from tools.images.decoding import Pixels
from tools.images.encoding import SMALL_PX
from tools.images.headers import JPEG_END

# Of images higher than SMALL_PX every 16th row is hashed: all rows of a photograph would take 2 %
# of its encoding.
_HASHED_EVERY = 16
# APP0 to APP15 and COM: what cameras and editors note.
_NOTES = frozenset({*range(0xE0, 0xF0), 0xFE})
_HASH_PX, _LOW = 32, 8
# Below this standard deviation, in gray levels, an image has no contours to compare.
_MIN_CONTRAST = 2.0


def content_crc32(component: str, data: bytes, pixels: Pixels | None) -> int:
    """CRC-32 of the content of a stored image: of a JPEG the compressed pixels without the notes
    before them, of a PNG its `pixels`, uint8 (h, w) or (h, w, 3), or all bytes without these."""
    if component == "jpg":
        return isal_zlib.crc32(_without_notes(data))
    return isal_zlib.crc32(data) if pixels is None else pixels_crc32(pixels)


def pixels_crc32(pixels: Pixels) -> int:
    """CRC-32 of the rows that are hashed."""
    rows = pixels[::_HASHED_EVERY] if pixels.shape[0] > SMALL_PX else pixels
    return isal_zlib.crc32(np.ascontiguousarray(rows).data)


def _without_notes(data: bytes) -> memoryview:
    """A JPEG from the first segment that is no note to its end marker."""
    at = 2
    while data[at] == 0xFF and data[at + 1] in _NOTES:
        at += 2 + (data[at + 2] << 8) + data[at + 3]
    return memoryview(data)[at : data.rfind(JPEG_END)]


def perceptual_hash(pixels: Pixels) -> int:
    """A hash of 64 bits that few changes of size, quality or brightness alter; 0 for an image
    without contours.

    A bit for each of the 8 x 8 lowest cosine coefficients of 32 x 32 gray levels: whether it is
    above the median (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions",
    2010). `pixels`: uint8 (h, w) or BGR (h, w, 3).
    """
    gray = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    if gray.shape != (_HASH_PX, _HASH_PX):
        gray = cv2.resize(gray, (_HASH_PX, _HASH_PX), interpolation=cv2.INTER_AREA)
    levels = gray.astype(np.float32)
    if levels.std() < _MIN_CONTRAST:
        return 0
    low = cv2.dct(levels)[:_LOW, :_LOW]
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "little")
