"""One image: is it sound, and the bytes to store. Runs in worker processes, which may die.

What is stored is upright, 8 bit, gray or RGB, a baseline JPEG or a PNG: decoders disagree about
everything else.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np

from tools.images.decoding import Pixels as Pixels
from tools.images.decoding import UnsoundImageError as UnsoundImageError
from tools.images.decoding import decode, normalized, validate_header, verify
from tools.images.encoding import SMALL_PX, Encoding
from tools.images.headers import Header
from tools.images.stderr_capture import StderrCapture

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


class Encoded(NamedTuple):
    """`data` are the bytes to store of an image of `height` x `width` px; `pixels` what was
    encoded: uint8, (h, w) or BGR (h, w, 3), or None where the source's bytes were stored and not
    decoded in full.

    `lossy`: the stored picture differs from `pixels`.
    """

    component: str
    data: bytes
    height: int
    width: int
    pixels: Pixels | None
    lossy: bool


def encode_file(
    data: bytes, encoding: Encoding, stderr: StderrCapture, *, in_full: bool = True
) -> Encoded:
    """Judge a file's bytes and encode them; raises ``UnsoundImageError``.

    `in_full`: `pixels` are wanted also of an image that is stored as it is, which else is read as
    `encoding.verify` says.
    """
    header = validate_header(data, encoding.max_pixels)
    keeps = encoding.keeps(header)
    try:
        if keeps and not in_full:
            verify(data, header, stderr, in_full=encoding.verify == "decode")
            return untouched(data, header, None)
        raw = decode(data, header, stderr)
        if keeps:
            return untouched(data, header, raw)
        pixels = normalized(raw, header, encoding.alpha)
    except MemoryError as error:
        raise UnsoundImageError("it takes more memory than its size explains") from error
    return encode_pixels(pixels, encoding, source_format=header.format)


def untouched(data: bytes, header: Header, pixels: Pixels | None) -> Encoded:
    """A JPEG or PNG file stored as it is."""
    return Encoded(
        component="jpg" if header.format == "jpeg" else "png",
        data=data,
        height=header.height,
        width=header.width,
        pixels=pixels,
        lossy=False,
    )


def encode_pixels(pixels: Pixels, encoding: Encoding, *, source_format: str = "") -> Encoded:
    """Shrink to the limits and encode: uint8 of shape (h, w), or BGR (h, w, 3)."""
    height, width = pixels.shape[:2]
    size = encoding.size(height, width)
    if size != (height, width):
        pixels = _pixels(cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA))
    component = encoding.component(*size, source_format=source_format)
    if component == "jpg" and max(size) > MAX_JPEG_PX:
        raise UnsoundImageError(f"{size[1]} x {size[0]} px is more than a JPEG holds")
    return Encoded(
        component,
        write_pixels(pixels, component, encoding.quality),
        *size,
        pixels,
        component == "jpg",
    )


def write_pixels(pixels: Pixels, component: str, quality: int) -> bytes:
    """A baseline JPEG of 4:2:0 or a PNG: the bytes."""
    if component == "jpg":
        arguments: tuple[int, ...] = (*_JPEG, cv2.IMWRITE_JPEG_QUALITY, quality)
    else:
        arguments = _STORED_PNG if pixels.nbytes <= STORED_BYTES else _PNG
    done, buffer = cv2.imencode(f".{component}", pixels, arguments)
    if not done:
        raise UnsoundImageError(f"OpenCV can't encode its pixels as {component.upper()}")
    return buffer.tobytes()


def read_pixels(data: bytes) -> Pixels:
    """What was stored."""
    return _pixels(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))


def psnr_decibel(encoded: Encoded) -> float:
    """Peak signal-to-noise ratio of what is stored against what was encoded."""
    if encoded.pixels is None:
        raise ValueError("the image wasn't decoded")
    return float(cv2.PSNR(encoded.pixels, read_pixels(encoded.data)))


def counted_rows(pixels: Pixels) -> Pixels:
    """What enters mean and deviation: all rows, every fourth of photographs. All of them would cost
    a tenth of encoding, and neighbors say nearly the same."""
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
