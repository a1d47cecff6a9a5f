"""Images as files, for tests of how they are stored."""

import struct

import cv2
import numpy as np

from tools.images.codec import Encoded, Pixels, encode_file
from tools.images.encoding import Encoding
from tools.images.guards import StderrCapture


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> Pixels:
    """Smooth noise: it has edges, and JPEG doesn't ruin it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, channels), np.uint8)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(pixels if channels > 1 else pixels.reshape(height, width), np.uint8)


def write(pixels: np.ndarray, suffix: str, *arguments: int) -> bytes:
    return cv2.imencode(suffix, pixels, arguments)[1].tobytes()


def read(data: bytes) -> Pixels:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


def encode(data: bytes, *, in_full: bool = True, **arguments: object) -> Encoded:
    with StderrCapture() as stderr:
        return encode_file(data, Encoding(**arguments), stderr, in_full=in_full)  # type: ignore[arg-type]


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    tiff = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def with_precision(jpeg: bytes, bits: int) -> bytes:
    offset = jpeg.index(b"\xff\xc0") + 4
    return jpeg[:offset] + bytes([bits]) + jpeg[offset + 1 :]


JPEG = write(picture(90, 120), ".jpg")
PNG = write(picture(90, 120), ".png")
SMALL_PNG = write(picture(32, 32), ".png")
GRAY_PNG = write(picture(32, 32, 1), ".png")
PROGRESSIVE = write(picture(90, 120), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
