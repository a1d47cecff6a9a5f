"""Decode an image file to upright pixels of 8 bits, or tell why it can't be used. Runs in worker
processes, which may die.

The content decides the format, not the name. Only the first frame or page is read; ICC profiles are
ignored, as decoders do; CMYK becomes RGB without a profile.
"""

import re
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.images.formats import identify
from tools.images.guards import StderrCapture, memory_bounded
from tools.images.headers import JPEG_END, PNG_END, Header
from tools.images.inflated_pngs import without_deflate
from tools.images.non_images import describe_non_image
from tools.images.pixel_range import PixelRange

Pixels = NDArray[np.uint8]

# Reads all entropy-coded data, but computes only one pixel per block.
_CHEAPEST = cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_IGNORE_ORIENTATION
# Reduction -> flags for one channel and for several.
_REDUCED = {
    2: (cv2.IMREAD_REDUCED_GRAYSCALE_2, cv2.IMREAD_REDUCED_COLOR_2),
    4: (cv2.IMREAD_REDUCED_GRAYSCALE_4, cv2.IMREAD_REDUCED_COLOR_4),
    8: (cv2.IMREAD_REDUCED_GRAYSCALE_8, cv2.IMREAD_REDUCED_COLOR_8),
}
# libjpeg's warnings about data that it had to guess; it prints only the first. Stray bytes before
# the end marker (D9) are harmless and frequent.
_JPEG_DAMAGE = re.compile(
    r"premature end|bad Huffman|bad arithmetic|instead of RST|Inconsistent progression"
    r"|extraneous bytes before marker 0x(?!d9)[0-9a-f]+",
    re.IGNORECASE,
)
_TIFF_DAMAGE = re.compile(r"TIFF_Error|IO error")
# Formats that hold the size only once. An AVIF whose header says 16 x 16 px may take gigabytes. The
# decoder that needs most, that of JPEG 2000, takes half of this limit.
_ONE_SIZE = frozenset({"jpeg", "png", "gif", "bmp"})
_ROOM_BYTES, _ROOM_BYTES_A_PIXEL = 2**28, 32
_SPELLINGS = {"webp": "WebP", "sun raster": "Sun raster"}
_MAX_UINT16 = 65535
# Alpha is applied in stripes of this size, to bound the memory for 16-bit products.
_STRIPE_PIXELS = 2**20


class UnsoundImageError(Exception):
    """The image can't be used; the text says why."""


def validate_header(data: bytes, max_pixels: int) -> Header:
    """The header of an image that may be decoded; raises ``UnsoundImageError``."""
    name, header = identify(data)
    if header is None:
        damaged = f"the {name} is damaged or cut off within its header"
        raise UnsoundImageError(damaged if name else describe_non_image(data))
    size = f"{header.width:,} x {header.height:,} px"
    if header.height < 1 or header.width < 1:
        raise UnsoundImageError(f"its header gives the size {size}")
    if header.height * header.width > max_pixels:
        raise UnsoundImageError(f"{size} are more than --max-pixels {max_pixels / 1e6:g} allows")
    if header.flaw:
        raise UnsoundImageError(header.flaw)
    return header


def upright_size(header: Header) -> tuple[int, int]:
    """(h, w) of the image after its orientation is applied."""
    size = header.height, header.width
    return size[::-1] if header.orientation >= 5 else size


def verify(
    data: bytes, header: Header, stderr: StderrCapture, *, in_full: bool
) -> NDArray[Any] | None:
    """Raise ``UnsoundImageError`` for a JPEG or PNG that is cut off or, with `in_full`, damaged.
    Returns the pixels of a PNG that was decoded."""
    if not in_full:
        _check_end(data, header)
    elif header.format == "jpeg":
        _decode(data, header, stderr, _CHEAPEST)
    else:
        return decode(data, header, stderr)
    return None


def decode(
    data: bytes, header: Header, stderr: StderrCapture, *, reduction: int = 1
) -> NDArray[Any]:
    """All pixels, before the orientation is applied; raises ``UnsoundImageError`` for a damaged
    file. With a `reduction` of 2, 4 or 8 a JPEG is decoded at this part of its height and width,
    rounded up: of its cosine coefficients all are read, and only the lower ones are computed."""
    flags = int(cv2.IMREAD_UNCHANGED)
    if reduction > 1:
        flags = _REDUCED[reduction][header.cosine > 1] | cv2.IMREAD_IGNORE_ORIENTATION
    raw = _decode(data, header, stderr, flags)
    size = -(-header.height // reduction), -(-header.width // reduction)
    if header.format in ("jpeg", "png") and raw.shape[:2] != size:
        raise UnsoundImageError("its header contradicts itself about its size")
    return raw


def _decode(data: bytes, header: Header, stderr: StderrCapture, flags: int) -> NDArray[Any]:
    if header.format == "jpeg":
        _check_end(data, header)
    contents = without_deflate(data) if header.format == "png" else data
    array = np.frombuffer(contents, np.uint8)
    try:
        if header.format in _ONE_SIZE:
            raw = cv2.imdecode(array, flags)
        else:
            with memory_bounded(_ROOM_BYTES + header.height * header.width * _ROOM_BYTES_A_PIXEL):
                raw = cv2.imdecode(array, flags)
    except cv2.error as error:
        raise UnsoundImageError(f"OpenCV can't decode it: {error.err}") from error
    finally:
        warnings = stderr.read()
    if raw is None:
        name = _SPELLINGS.get(header.format, header.format.upper())
        is_common = header.format in ("jpeg", "png")
        variant = "" if is_common else ", or is a variant that OpenCV doesn't read"
        raise UnsoundImageError(f"the {name} is damaged or cut off{variant}")
    if warnings and header.format == "jpeg" and (damage := _JPEG_DAMAGE.search(warnings)):
        raise UnsoundImageError(f"the JPEG is damaged: {damage.group()}")
    if warnings and header.format == "tiff" and _TIFF_DAMAGE.search(warnings):
        raise UnsoundImageError("the TIFF is damaged or cut off")
    return raw


def _check_end(data: bytes, header: Header) -> None:
    end, first = (JPEG_END, header.content_offset) if header.format == "jpeg" else (PNG_END, 0)
    if data.rfind(end) < first:
        name = header.format.upper()
        raise UnsoundImageError(f"the {name} is cut off: its end marker is missing")


def normalized(
    raw: NDArray[Any], header: Header, alpha: str, pixel_range: PixelRange | None = None
) -> Pixels:
    """Decoded pixels in the form that is stored: upright, uint8, (h, w) or BGR (h, w, 3). `alpha`
    and `pixel_range` as in ``Encoding``."""
    clear = None if header.transparent is None else raw == header.transparent
    pixels = eight_bit(raw, pixel_range)
    if clear is not None and pixels.ndim == 2 and alpha != "drop":
        pixels[clear] = _background(alpha)
    return upright(flatten(pixels, alpha, header.alpha), header.orientation)


def eight_bit(raw: NDArray[Any], pixel_range: PixelRange | None = None) -> Pixels:
    """Scale 16 bits to 8, so the end of the range, by default 65535, becomes 255; raises
    ``UnsoundImageError`` for other types and for values beyond a range that was measured."""
    if raw.dtype == np.uint16 and pixel_range is not None and pixel_range.high < _MAX_UINT16:
        if pixel_range.outside(raw[None]).any():
            raise UnsoundImageError(
                f"its pixels have values up to {int(raw.max()):,}, beyond the range of "
                f"{pixel_range.low:g} to {pixel_range.high:g}: pass --pixel-range LOW HIGH"
            )
        return pixel_range.to_uint8(raw)
    if raw.dtype == np.uint16:
        return np.asarray(cv2.convertScaleAbs(raw, alpha=1 / 257), np.uint8)
    if raw.dtype != np.uint8:
        raise UnsoundImageError(f"its pixels are {raw.dtype}, not integers of 8 or 16 bits")
    return raw


def flatten(pixels: Pixels, alpha: str, kind: str = "straight") -> Pixels:
    """Blend (h, w, 4) with white or black, or drop the alpha channel; other shapes stay. `alpha` as
    in ``Encoding``, `kind` as `alpha` in ``Header``."""
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
