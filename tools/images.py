"""One image: is it sound, and the bytes to store. Runs in worker processes, which may die.

Content decides the format, never the name. What is stored is upright, 8 bit, gray or RGB, a
baseline JPEG or a PNG: decoders disagree about everything else.
"""

import re
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.complaints import Complaints
from tools.encoding import SMALL_PX, Encoding
from tools.headers import JPEG_END, Header, read_header

Pixels = NDArray[np.uint8]
Triple = tuple[int, int, int]

# libjpeg's limit.
MAX_JPEG_PX = 65_500
# Run-length deflate is as small as the others to within 4 % on CIFAR-10 and on photographs, and
# the fastest on both.
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 3, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
# Up to this many bytes of pixels a PNG isn't deflated: its sample grows by a block or two of the
# tar's 512 bytes to its 2,048, and it is encoded in a third of the time.
STORED_BYTES = 1024
_STORED_PNG = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 0),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
)
_JPEG = (
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    cv2.IMWRITE_JPEG_PROGRESSIVE,
    0,
)
# What libjpeg says of data it had to guess; it says only the first thing it finds. Stray bytes
# before the end marker (D9) are harmless and frequent.
_DAMAGE = re.compile(
    r"premature end|bad Huffman|bad arithmetic|instead of RST|Inconsistent progression"
    r"|extraneous bytes before marker 0x(?!d9)[0-9a-f]+",
    re.IGNORECASE,
)


class UnsoundImageError(Exception):
    """The image can't be used; the text says why."""


class Encoded(NamedTuple):
    """`data` are the bytes to store; `pixels` what was encoded: uint8, (h, w) or BGR (h, w, 3).

    `lossy`: the stored picture differs from `pixels`.
    """

    component: str
    data: bytes
    height: int
    width: int
    pixels: Pixels | None
    lossy: bool


def encode_file(
    data: bytes, encoding: Encoding, complaints: Complaints, *, in_full: bool = True
) -> Encoded:
    """Judge a file's bytes and encode them; raises ``UnsoundImageError``."""
    if not data:
        raise UnsoundImageError("the file is empty")
    header = read_header(data)
    raw = decode(data, header, complaints)
    if header is not None and raw.dtype == np.uint8 and encoding.keeps(header):
        component = "jpg" if header.format == "jpeg" else "png"
        return Encoded(component, data, raw.shape[0], raw.shape[1], raw, False)
    pixels = upright(flatten(eight_bit(raw)), header.orientation if header else 1)
    return encode_pixels(pixels, encoding, source_format=header.format if header else "")


def encode_pixels(pixels: Pixels, encoding: Encoding, *, source_format: str = "") -> Encoded:
    """Shrink to the limits and encode: uint8 of shape (h, w), or BGR (h, w, 3)."""
    height, width = pixels.shape[:2]
    size = encoding.size(height, width)
    if size != (height, width):
        pixels = _pixels(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA))
    component = encoding.component(*size, source_format=source_format)
    if component == "jpg" and max(size) > MAX_JPEG_PX:
        raise UnsoundImageError(f"{size[1]} x {size[0]} px is more than a JPEG holds")
    if component == "jpg":
        arguments: tuple[int, ...] = (*_JPEG, cv2.IMWRITE_JPEG_QUALITY, encoding.quality)
    else:
        arguments = _STORED_PNG if pixels.nbytes <= STORED_BYTES else _PNG
    _, buffer = cv2.imencode(f".{component}", pixels, arguments)
    return Encoded(component, buffer.tobytes(), *size, pixels, component == "jpg")


def decode(data: bytes, header: Header | None, complaints: Complaints) -> NDArray[Any]:
    """Decode in full, EXIF ignored; raises ``UnsoundImageError`` for what is damaged."""
    is_jpeg = header is not None and header.format == "jpeg"
    if is_jpeg and data.rfind(JPEG_END) < header.content_offset:  # type: ignore[union-attr]
        raise UnsoundImageError("the JPEG is cut off: its end marker is missing")
    try:
        raw: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise UnsoundImageError(f"OpenCV can't decode it: {error.err}") from error
    said = complaints.take()
    if raw is None:
        known = header.format.upper() if header else "image that OpenCV knows"
        raise UnsoundImageError(
            f"the {known} is damaged or cut off" if header else f"not an {known}"
        )
    if is_jpeg and (damage := _DAMAGE.search(said)):
        raise UnsoundImageError(f"the JPEG is damaged: {damage.group()}")
    return raw


def eight_bit(raw: NDArray[Any]) -> Pixels:
    """Integers of 16 bits scaled to 8: 65535 becomes 255. Raises for floating point."""
    if raw.dtype == np.uint16:
        return ((raw.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if raw.dtype != np.uint8:
        raise UnsoundImageError(f"its pixels are {raw.dtype}, not integers of 8 or 16 bits")
    return raw


def flatten(pixels: Pixels) -> Pixels:
    """Alpha over white; (h, w, 4) becomes (h, w, 3), the rest stays."""
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    if pixels.shape[2] != 4:
        raise UnsoundImageError(f"it has {pixels.shape[2]} channels, not 1, 3 or 4")
    alpha = pixels[:, :, 3:].astype(np.uint16)
    colour = pixels[:, :, :3].astype(np.uint16)
    return ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation (1 to 8, as in the EXIF standard, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def psnr_decibel(encoded: Encoded) -> float:
    """Peak signal-to-noise ratio of what is stored against what was encoded."""
    stored = cv2.imdecode(np.frombuffer(encoded.data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert encoded.pixels is not None
    return float(cv2.PSNR(encoded.pixels, _pixels(stored)))


def counted_rows(pixels: Pixels) -> Pixels:
    """What enters mean and deviation: all rows, every fourth of photographs. All of them would cost
    a tenth of encoding, and neighbours say nearly the same."""
    return pixels[::4] if pixels.shape[0] > SMALL_PX else pixels


def channel_sums(pixels: Pixels) -> tuple[Triple, Triple]:
    """Sums of the values and of their squares for R, G, B, exact; gray is three equal channels."""
    if pixels.ndim == 2:
        # A fifth of what follows, which counts where encoding takes 20 us.
        total, square = round(cv2.sumElems(pixels)[0]), round(cv2.norm(pixels, cv2.NORM_L2SQR))
        return (total, total, total), (square, square, square)
    means, deviations = cv2.meanStdDev(pixels)
    count = pixels.shape[0] * pixels.shape[1]
    sums, squares = [], []
    # OpenCV's order is B, G, R.
    for mean, deviation in zip(means[::-1, 0].tolist(), deviations[::-1, 0].tolist(), strict=True):
        sums.append(round(mean * count))
        squares.append(round((deviation**2 + mean**2) * count))
    return _triple(sums), _triple(squares)


def _triple(values: list[int]) -> Triple:
    red, green, blue = values if len(values) == 3 else values * 3
    return red, green, blue


def _pixels(array: Any) -> Pixels:
    return np.asarray(array, np.uint8)
