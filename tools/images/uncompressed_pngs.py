"""Encode many small images of one size as PNGs without compression.

The bytes equal those of OpenCV for each image, in a quarter of the time.
"""

import struct

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from tools.images.headers import PNG_START

_GRAY, _RGB = 0, 2
# The smallest window of zlib's format, and libpng's limit for stating a smaller one than the
# largest.
_MIN_WINDOW_BITS, _SMALL_BYTES = 8, 2**14


def stored_pngs(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`pixels`: uint8 (n, h, w) or RGB (n, h, w, 3), less than 16 KiB per image. Returns uint8 (n,
    bytes of a file)."""
    count, height, width = pixels.shape[:3]
    # The byte 0 before each line stands for "no filter".
    lines = np.zeros((count, height, pixels[0, 0].size + 1), np.uint8)
    lines[:, :, 1:] = pixels.reshape(count, height, -1)
    lines = lines.reshape(count, -1)
    sums = np.array([isal_zlib.adler32(line.data) for line in lines], ">u4")
    length = lines.shape[1]
    assert length <= _SMALL_BYTES
    # One last block of stored bytes.
    block = struct.pack("<BHH", 1, length, length ^ 0xFFFF)
    before = b"IDAT" + _zlib_header(length) + block
    data = np.concatenate([_repeated(before, count), lines, _four_bytes(sums)], axis=1)
    checks = np.array([isal_zlib.crc32(chunk.data) for chunk in data], ">u4")
    color = _GRAY if pixels.ndim == 3 else _RGB
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0))
    begin = PNG_START + header + struct.pack(">I", data.shape[1] - 4)
    end = _chunk(b"IEND", b"")
    return np.concatenate(
        [_repeated(begin, count), data, _four_bytes(checks), _repeated(end, count)], axis=1
    )


def _zlib_header(length: int) -> bytes:
    """RFC 1950: the smallest window; no compression; a multiple of 31."""
    window_bits = max(_MIN_WINDOW_BITS, (length - 1).bit_length())
    method = (window_bits - 8) << 4 | 8
    return bytes([method, 31 - method * 256 % 31])


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = isal_zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def _four_bytes(values: NDArray[np.uint32]) -> NDArray[np.uint8]:
    return values.view(np.uint8).reshape(len(values), 4)


def _repeated(data: bytes, count: int) -> NDArray[np.uint8]:
    return np.broadcast_to(np.frombuffer(data, np.uint8), (count, len(data)))
