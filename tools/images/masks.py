"""Segmentation masks: the pixels of a mask file -> class indices."""

import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.images.codec import write_pixels
from tools.images.decoding import (
    Pixels,
    UnsoundImageError,
    decode,
    eight_bit,
    upright,
    validate_header,
)
from tools.images.stderr_capture import StderrCapture

# Of the distinct colors whose distances to all classes are held at once, to bound the memory.
_COLORS_AT_ONCE = 2**14


@dataclass(frozen=True, kw_only=True)
class MaskColors:
    """How the pixels of a mask file become class indices.

    `colors`: RGB of each class, 255 at most, the nearest counts, of equally near ones the first;
    or None: a gray value from `threshold` on is class 1, below it class 0.
    """

    colors: tuple[tuple[int, int, int], ...] | None
    threshold: int = 128


# A gray mask whose brightest pixel is darker numbers its classes: nobody would see it.
_DARK = 32


def encode_mask(
    data: bytes,
    colors: MaskColors,
    size: tuple[int, int],
    stderr: StderrCapture,
    *,
    stored_size: tuple[int, int] | None = None,
) -> tuple[bytes, Pixels]:
    """A mask file as a PNG of class indices, and the indices: uint8 (h, w).

    `size` is the upright image's (h, w), which the mask must share; `stored_size` what the image is
    stored at, if that differs. Raises ``UnsoundImageError``.
    """
    pixels = _read(data, size, stderr)
    if colors.colors is None:
        gray = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        brightest = int(np.max(np.asarray(gray)))
        if 0 < brightest < min(_DARK, colors.threshold):
            raise UnsoundImageError(
                f"its brightest pixel is {brightest}, below --mask-threshold {colors.threshold}: "
                f"if its values number the classes, name them in a CSV name,r,g,b and give that as "
                f"--mask-colors"
            )
        indices = (np.asarray(gray) >= colors.threshold).astype(np.uint8)
    else:
        indices = nearest_classes(pixels, colors.colors)
    if stored_size is not None and stored_size != size:
        # The pixel centers of INTER_AREA, by which images shrink; INTER_NEAREST has corners.
        shrunk = cv2.resize(indices, stored_size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        indices = np.asarray(shrunk, np.uint8)
    return write_pixels(indices, "png", quality=0), indices


def _read(data: bytes, size: tuple[int, int], stderr: StderrCapture) -> Pixels:
    """Upright gray (h, w) or BGR (h, w, 3) of a mask of `size`."""
    header = validate_header(data, max_pixels=sys.maxsize)
    # Before it is decoded; which way round it lies is seen afterwards.
    if sorted((header.height, header.width)) != sorted(size):
        _refuse_size((header.height, header.width), size)
    raw = decode(data, header, stderr)
    if raw.dtype == np.uint16 and np.any(raw % 257):
        raise UnsoundImageError("the mask has 16 bits a pixel: convert it to 8 bits first")
    pixels = eight_bit(raw)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        if np.ptp(pixels[:, :, 3]):
            raise UnsoundImageError("the mask is partly transparent: save it without transparency")
        pixels = np.ascontiguousarray(pixels[:, :, :3])
    pixels = upright(pixels, header.orientation)
    if pixels.shape[:2] != size:
        _refuse_size((pixels.shape[0], pixels.shape[1]), size)
    return pixels


def _refuse_size(found: tuple[int, int], wanted: tuple[int, int]) -> NoReturn:
    raise UnsoundImageError(
        f"the mask has {found[1]} x {found[0]} px, its image {wanted[1]} x {wanted[0]} px"
    )


def nearest_classes(pixels: Pixels, colors: tuple[tuple[int, int, int], ...]) -> Pixels:
    """The class whose RGB is nearest to each pixel: uint8 (h, w) of gray (h, w) or BGR (h, w, 3).

    A color's distances are computed once: masks hold few, and noisy ones the same again.
    """
    table = _known_classes(colors)
    codes = _codes(pixels)
    found = table[codes]
    new = np.unique(codes[found == 0])
    if len(new):
        for first in range(0, len(new), _COLORS_AT_ONCE):
            some = new[first : first + _COLORS_AT_ONCE]
            rgb = np.stack([some >> 16, some >> 8 & 255, some & 255], axis=1)[:, None]
            distances = ((rgb - np.array(colors, np.int32)) ** 2).sum(axis=2)
            table[some] = distances.argmin(axis=1) + 1
        found = table[codes]
    return (found - 1).astype(np.uint8)


def _codes(pixels: Pixels) -> NDArray[np.int32]:
    """Each pixel's color as one number, 0xRRGGBB."""
    if pixels.ndim == 2:
        return pixels.astype(np.int32) * 0x010101
    wide = pixels.astype(np.int32)
    return wide[:, :, 2] << 16 | wide[:, :, 1] << 8 | wide[:, :, 0]


@lru_cache(maxsize=1)
def _known_classes(colors: tuple[tuple[int, int, int], ...]) -> NDArray[np.uint16]:
    """Class + 1 by 0xRRGGBB, 0 where that isn't known yet."""
    return np.zeros(2**24, np.uint16)
