"""Validate an image and encode it for storage. Runs in worker processes, which may die.

Stored images are upright, 8 bit, gray or RGB, a baseline JPEG or a PNG: decoders disagree about
everything else.
"""

from typing import NamedTuple

import cv2
import numpy as np

from tools.images.decoding import Pixels as Pixels
from tools.images.decoding import UnsoundImageError as UnsoundImageError
from tools.images.decoding import decode, normalized, upright_size, validate_header, verify
from tools.images.encoding import SMALL_PX, Encoding
from tools.images.guards import StderrCapture
from tools.images.headers import Header

# Raised when the same image and settings give other bytes, so that a run that an earlier version
# began is not continued. 2: JPEGs that are shrunk to half or less are decoded at a part of their
# size.
ENCODER = 2
# libjpeg's limit.
MAX_JPEG_PX = 65_500
# Run-length deflate is as small as the others to within 4 % on CIFAR-10 and on photographs, and
# the fastest on both.
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 3, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
# PNGs of at most this many bytes of pixels are not deflated: the sample grows by a block or two of
# the tar's 512 bytes to its 2,048, and encoding takes a third of the time.
STORED_BYTES = 1024
_STORED_PNG = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 0),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
)
# Sides that are divided by less than this are interpolated between two pixels.
_BILINEAR_STEP = 1.5
_JPEG = (
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420),
    *(cv2.IMWRITE_JPEG_PROGRESSIVE, 0),
)


class Encoded(NamedTuple):
    """`data`: the bytes to store, of an image of `height` x `width` px. `pixels`: the encoded
    pixels, uint8, (h, w) or BGR (h, w, 3); None if the source's bytes are stored without decoding
    them in full. `lossy`: the stored pixels differ from `pixels`."""

    component: str
    data: bytes
    height: int
    width: int
    pixels: Pixels | None
    lossy: bool


def encode_file(
    data: bytes, encoding: Encoding, stderr: StderrCapture, *, in_full: bool = True
) -> Encoded:
    """Validate a file's bytes and encode them; raises ``UnsoundImageError``.

    Without `in_full` an image that is stored as it is is only verified, as `encoding.verify` says,
    and a JPEG has no `pixels`.
    """
    header = validate_header(data, encoding.max_pixels)
    keeps = encoding.keeps(header)
    try:
        if keeps and not in_full:
            pixels = verify(data, header, stderr, in_full=encoding.verify == "decode")
            return keep_file(data, header, pixels)
        reduction = 1 if keeps else encoding.reduction(header)
        raw = decode(data, header, stderr, reduction=reduction)
        if keeps:
            return keep_file(data, header, raw)
        pixels = normalized(raw, header, encoding.alpha, encoding.pixel_range)
    except MemoryError as error:
        raise UnsoundImageError("decoding it takes more memory than its size needs") from error
    size = encoding.size(*upright_size(header)) if reduction > 1 else None
    return encode_pixels(pixels, encoding, source_format=header.format, size=size)


def keep_file(data: bytes, header: Header, pixels: Pixels | None) -> Encoded:
    """A JPEG or PNG file stored as it is."""
    component = "jpg" if header.format == "jpeg" else "png"
    return Encoded(component, data, header.height, header.width, pixels, lossy=False)


def encode_pixels(
    pixels: Pixels,
    encoding: Encoding,
    *,
    source_format: str = "",
    size: tuple[int, int] | None = None,
) -> Encoded:
    """Shrink to the limits and encode: uint8 of shape (h, w), or BGR (h, w, 3). `size`: (h, w) to
    store, for pixels that were decoded at a part of their size."""
    if size is not None:
        pixels = _shrink(pixels, size, _after_reduction(pixels, size))
    else:
        size = encoding.size(pixels.shape[0], pixels.shape[1])
        pixels = _shrink(pixels, size, cv2.INTER_AREA)
    component = encoding.component(*size, source_format=source_format)
    is_jpeg = component == "jpg"
    if is_jpeg and max(size) > MAX_JPEG_PX:
        limit = f"{MAX_JPEG_PX:,} px, the limit of JPEG"
        raise UnsoundImageError(f"{size[1]} x {size[0]} px is larger than {limit}")
    data = write_pixels(pixels, component, encoding.quality)
    return Encoded(component, data, *size, pixels, lossy=is_jpeg)


def _shrink(pixels: Pixels, size: tuple[int, int], interpolation: int) -> Pixels:
    if size == pixels.shape[:2]:
        return pixels
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=interpolation), np.uint8)


def _after_reduction(pixels: Pixels, size: tuple[int, int]) -> int:
    """The interpolation of the step after a reduced decode. Where that is small, bilinear weights
    reach nearly every pixel, and take a quarter of the time at 1 dB less."""
    steps = (before / after for before, after in zip(pixels.shape, size, strict=False))
    return cv2.INTER_LINEAR_EXACT if max(steps) < _BILINEAR_STEP else cv2.INTER_AREA


def write_pixels(pixels: Pixels, component: str, quality: int) -> bytes:
    """The bytes of a baseline JPEG with 4:2:0 chroma or of a PNG."""
    if component == "jpg":
        arguments: tuple[int, ...] = (*_JPEG, cv2.IMWRITE_JPEG_QUALITY, quality)
    else:
        arguments = _STORED_PNG if pixels.nbytes <= STORED_BYTES else _PNG
    done, buffer = cv2.imencode(f".{component}", pixels, arguments)
    if not done:
        raise UnsoundImageError(f"OpenCV can't encode its pixels as {component.upper()}")
    return buffer.tobytes()


def read_pixels(data: bytes) -> Pixels:
    """The pixels of a stored image."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return np.asarray(image, np.uint8)


def psnr_decibel(encoded: Encoded) -> float:
    """Peak signal-to-noise ratio of the stored pixels against the encoded ones."""
    if encoded.pixels is None:
        raise ValueError("the image wasn't decoded")
    return float(cv2.PSNR(encoded.pixels, read_pixels(encoded.data)))


def counted_rows(pixels: Pixels) -> Pixels:
    """The rows that enter mean and standard deviation: all of a small image, every fourth of
    others. All rows would cost a tenth of encoding, and neighboring rows are nearly equal."""
    return pixels[::4] if pixels.shape[0] > SMALL_PX else pixels


def channel_sums(pixels: Pixels) -> tuple[list[int], list[int]]:
    """Sums of the values and of their squares for R, G, B, exact; gray is three equal channels."""
    if pixels.ndim == 2:
        # Five times as fast as the code below, which matters where encoding takes 20 us.
        total, square = round(cv2.sumElems(pixels)[0]), round(cv2.norm(pixels, cv2.NORM_L2SQR))
        return [total] * 3, [square] * 3
    count = pixels.shape[0] * pixels.shape[1]
    # OpenCV's order is B, G, R.
    means, stds = cv2.meanStdDev(pixels)
    sums, squares = [], []
    for mean, std in zip(means[::-1, 0].tolist(), stds[::-1, 0].tolist(), strict=True):
        sums.append(round(mean * count))
        squares.append(round((std**2 + mean**2) * count))
    return sums, squares
