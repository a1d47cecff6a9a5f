"""The bytes of an image file -> upright pixels of 8 bits, or why not. Runs in worker processes,
which may die.

Content decides the format, never the name. Of several frames or pages the first counts; ICC
profiles are ignored, as decoders do; CMYK becomes RGB without a profile.
"""

import re
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.images.formats import identify
from tools.images.headers import JPEG_END, PNG_END, Header
from tools.images.memory_limit import memory_bounded
from tools.images.non_images import describe_non_image
from tools.images.stderr_capture import StderrCapture

Pixels = NDArray[np.uint8]

# Entropy-coded data is read in full, but the inverse cosine transform is that of a pixel a block.
_CHEAPEST = cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_IGNORE_ORIENTATION
# What libjpeg says of data it had to guess; it says only the first thing it finds. Stray bytes
# before the end marker (D9) are harmless and frequent.
_JPEG_DAMAGE = re.compile(
    r"premature end|bad Huffman|bad arithmetic|instead of RST|Inconsistent progression"
    r"|extraneous bytes before marker 0x(?!d9)[0-9a-f]+",
    re.IGNORECASE,
)
_TIFF_DAMAGE = re.compile(r"TIFF_Error|IO error")
# Formats with one place that tells the size. An AVIF that says 16 x 16 px may take gigabytes; the
# hungriest decoder, of JPEG 2000, takes half of this.
_HONEST = frozenset({"jpeg", "png", "gif", "bmp"})
_ROOM_BYTES, _ROOM_BYTES_A_PIXEL = 2**28, 32
_SPELLINGS = {"webp": "WebP", "sun raster": "Sun raster"}
# Of a stripe in which alpha is applied, to bound the memory for 16-bit products.
_STRIPE_PIXELS = 2**20


class UnsoundImageError(Exception):
    """The image can't be used; the text says why."""


def validate_header(data: bytes, max_pixels: int) -> Header:
    """The header of an image that may be decoded; raises ``UnsoundImageError``."""
    name, header = identify(data)
    if header is None:
        damaged = f"the {name} is damaged or cut off within its header"
        raise UnsoundImageError(damaged if name else describe_non_image(data))
    if not 0 < header.height * header.width <= max_pixels:
        raise UnsoundImageError(_size_flaw(header, max_pixels))
    if header.flaw:
        raise UnsoundImageError(header.flaw)
    return header


def upright_size(header: Header) -> tuple[int, int]:
    """(h, w) of the image as it is meant to be seen."""
    size = header.height, header.width
    return size[::-1] if header.orientation >= 5 else size


def _size_flaw(header: Header, max_pixels: int) -> str:
    size = f"{header.width:,} x {header.height:,} px"
    if header.height < 1 or header.width < 1:
        return f"its header says that it has {size}"
    return f"{size} are more than --max-pixels {max_pixels / 1e6:g} allows"


def verify(data: bytes, header: Header, stderr: StderrCapture, *, in_full: bool) -> None:
    """Raise ``UnsoundImageError`` for a JPEG or PNG that is cut off or, `in_full`, damaged. The
    pixels are not of interest."""
    if not in_full:
        _check_end(data, header)
    elif header.format == "jpeg":
        _decode(data, header, stderr, _CHEAPEST)
    else:
        decode(data, header, stderr)


def decode(data: bytes, header: Header, stderr: StderrCapture) -> NDArray[Any]:
    """Decode in full, EXIF ignored; raises ``UnsoundImageError`` for what is damaged."""
    raw = _decode(data, header, stderr, cv2.IMREAD_UNCHANGED)
    if header.format in ("jpeg", "png") and raw.shape[:2] != (header.height, header.width):
        raise UnsoundImageError("its header contradicts itself about its size")
    return raw


def _decode(data: bytes, header: Header, stderr: StderrCapture, flags: int) -> NDArray[Any]:
    if header.format == "jpeg":
        _check_end(data, header)
    try:
        if header.format in _HONEST:
            raw = _imdecode(data, flags)
        else:
            with memory_bounded(_ROOM_BYTES + header.height * header.width * _ROOM_BYTES_A_PIXEL):
                raw = _imdecode(data, flags)
    except cv2.error as error:
        raise UnsoundImageError(f"OpenCV can't decode it: {error.err}") from error
    finally:
        said = stderr.read()
    name = _SPELLINGS.get(header.format, header.format.upper())
    if raw is None:
        other = (
            "" if header.format in ("jpeg", "png") else ", or of a kind that OpenCV doesn't read"
        )
        raise UnsoundImageError(f"the {name} is damaged or cut off{other}")
    if said and header.format == "jpeg" and (damage := _JPEG_DAMAGE.search(said)):
        raise UnsoundImageError(f"the JPEG is damaged: {damage.group()}")
    if said and header.format == "tiff" and _TIFF_DAMAGE.search(said):
        raise UnsoundImageError("the TIFF is damaged or cut off")
    return raw


def _imdecode(data: bytes, flags: int) -> NDArray[Any] | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)


def _check_end(data: bytes, header: Header) -> None:
    if header.format == "jpeg":
        is_cut = data.rfind(JPEG_END) < header.content_offset
    else:
        is_cut = data.rfind(PNG_END) < 0
    if is_cut:
        raise UnsoundImageError(
            f"the {header.format.upper()} is cut off: its end marker is missing"
        )


def normalized(raw: NDArray[Any], header: Header, alpha: str) -> Pixels:
    """Decoded pixels as they are stored: upright, uint8, (h, w) or BGR (h, w, 3). `alpha` as in
    ``Encoding``."""
    clear = None if header.transparent is None else raw == header.transparent
    pixels = eight_bit(raw)
    if clear is not None and pixels.ndim == 2 and alpha != "drop":
        pixels[clear] = _background(alpha)
    return upright(flatten(pixels, alpha, header.alpha), header.orientation)


def eight_bit(raw: NDArray[Any]) -> Pixels:
    """Integers of 16 bits scaled to 8: 65535 becomes 255. Raises for all but unsigned integers."""
    if raw.dtype == np.uint16:
        return np.asarray(cv2.convertScaleAbs(raw, alpha=1 / 257), np.uint8)
    if raw.dtype != np.uint8:
        raise UnsoundImageError(f"its pixels are {raw.dtype}, not integers of 8 or 16 bits")
    return raw


def flatten(pixels: Pixels, alpha: str, kind: str = "straight") -> Pixels:
    """(h, w, 4) over white or black, or its colors alone; the rest stays. `alpha` as in
    ``Encoding``, `kind` as `alpha` in ``Header``."""
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    if pixels.shape[2] != 4:
        raise UnsoundImageError(f"it has {pixels.shape[2]} channels, not 1, 3 or 4")
    if alpha == "drop" or kind == "unused":
        return np.ascontiguousarray(pixels[:, :, :3])
    flat = np.empty((*pixels.shape[:2], 3), np.uint8)
    rows = max(1, _STRIPE_PIXELS // pixels.shape[1])
    for first in range(0, len(pixels), rows):
        stripe = pixels[first : first + rows].astype(np.uint16)
        color, opacity = stripe[:, :, :3], stripe[:, :, 3:]
        seen = color * opacity if kind == "straight" else np.minimum(color, opacity) * 255
        flat[first : first + rows] = (seen + _background(alpha) * (255 - opacity) + 127) // 255
    return flat


def _background(alpha: str) -> np.uint16:
    return np.uint16(255 if alpha == "white" else 0)


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation (1 to 8, as in the EXIF standard, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
