"""Convert the pixels of mask files to class indices."""

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.storage.manifest import VOID
from tools.images.codec import write_pixels
from tools.images.decoding import (
    Pixels,
    UnsoundImageError,
    decode,
    eight_bit,
    upright,
    validate_header,
)
from tools.images.guards import StderrCapture
from tools.images.mask_files import decode_runs, is_run_lengths, unpack

# Distances to all classes are computed for this many distinct colors at once, to bound the memory.
_COLORS_AT_ONCE = 2**14


@dataclass(frozen=True, kw_only=True)
class MaskColors:
    """How the pixels of a mask file become class indices.

    `colors`: RGB of each class, at most 255 classes; a pixel gets the class of the nearest color,
    the first of equally near ones. `numbers`: gray values, or indices `from_palette`, below it are
    classes, 255 is none. Without either, gray values from `threshold` on are class 1, others 0.
    """

    colors: tuple[tuple[int, int, int], ...] | None
    threshold: int = 128
    numbers: int = 0
    from_palette: bool = False


# A gray mask without a pixel as bright as this looks black: its values are class numbers.
_MIN_BRIGHTEST = 32


def encode_mask(
    data: bytes,
    colors: MaskColors,
    size: tuple[int, int],
    stderr: StderrCapture,
    *,
    stored_size: tuple[int, int] | None = None,
) -> tuple[bytes, Pixels]:
    """Encode a mask file as a PNG of class indices; also returns the indices, uint8 (h, w).

    The mask must have the `size` (h, w) of the upright image; it is shrunk to `stored_size`, that
    of the stored image, if given. Raises ``UnsoundImageError``.
    """
    if is_run_lengths(data):
        indices = decode_runs(data, size)
    else:
        indices = _union([_class_indices(file, colors, size, stderr) for file in unpack(data)])
    if stored_size is not None and stored_size != size:
        # Samples at pixel centers, as INTER_AREA does for images; INTER_NEAREST samples corners.
        shrunk = cv2.resize(indices, stored_size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        indices = np.asarray(shrunk, np.uint8)
    return write_pixels(indices, "png", quality=0), indices


def _class_indices(
    data: bytes, colors: MaskColors, size: tuple[int, int], stderr: StderrCapture
) -> Pixels:
    """Class indices, uint8 (h, w), of one file."""
    if colors.from_palette:
        return _check_numbers(_palette_indices(data, size), colors.numbers)
    pixels = _read(data, size, stderr)
    if colors.colors is not None:
        return nearest_classes(pixels, colors.colors)
    gray = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    if colors.numbers:
        return _check_numbers(np.asarray(gray, np.uint8), colors.numbers)
    brightest = int(np.max(np.asarray(gray)))
    if 0 < brightest < min(_MIN_BRIGHTEST, colors.threshold):
        raise UnsoundImageError(
            f"its brightest pixel is {brightest}, below --mask-threshold {colors.threshold}: "
            f"if its values are class numbers, list them in a CSV with columns name,r,g,b and "
            f"give it to --mask-colors"
        )
    return (np.asarray(gray) >= colors.threshold).astype(np.uint8)


def _check_numbers(indices: Pixels, numbers: int) -> Pixels:
    wrong = indices[(indices >= numbers) & (indices != VOID)]
    if len(wrong):
        raise UnsoundImageError(
            f"a pixel has the value {int(wrong[0])}, and the classes are 0 to {numbers - 1}"
        )
    return indices


def _palette_indices(data: bytes, size: tuple[int, int]) -> Pixels:
    """The places in the palette, which OpenCV replaces by colors."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode not in ("P", "L"):
                raise UnsoundImageError(f"the mask has no palette: its mode is {image.mode}")
            indices = np.array(image, np.uint8)
    except (OSError, ValueError, SyntaxError) as error:
        raise UnsoundImageError(f"the mask can't be decoded: {error}") from error
    if indices.shape != size:
        _reject_size((indices.shape[0], indices.shape[1]), size)
    return indices


def _union(masks: Sequence[Pixels]) -> Pixels:
    """One mask of several, each with an object: the later ones lie above the former."""
    union = masks[0]
    for mask in masks[1:]:
        union = np.where(mask > 0, mask, union)
    return union


def _read(data: bytes, size: tuple[int, int], stderr: StderrCapture) -> Pixels:
    """Upright gray (h, w) or BGR (h, w, 3) of a mask of `size`."""
    header = validate_header(data, max_pixels=sys.maxsize)
    # Before it is decoded, since a mask may be huge; its orientation is known afterwards.
    if sorted((header.height, header.width)) != sorted(size):
        _reject_size((header.height, header.width), size)
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
        _reject_size((pixels.shape[0], pixels.shape[1]), size)
    return pixels


def _reject_size(mask: tuple[int, int], image: tuple[int, int]) -> NoReturn:
    raise UnsoundImageError(
        f"the mask has {mask[1]} x {mask[0]} px, its image {image[1]} x {image[0]} px"
    )


def nearest_classes(pixels: Pixels, colors: tuple[tuple[int, int, int], ...]) -> Pixels:
    """The class whose RGB is nearest to each pixel: uint8 (h, w) of gray (h, w) or BGR (h, w, 3).

    The distances of a color are computed once: masks hold few colors, and noisy ones repeat them.
    """
    table = _class_table(colors)
    codes = _codes(pixels)
    classes = table[codes]
    missing = np.unique(codes[classes == 0])
    for first in range(0, len(missing), _COLORS_AT_ONCE):
        part = missing[first : first + _COLORS_AT_ONCE]
        rgb = np.stack([part >> 16, part >> 8 & 255, part & 255], axis=1)[:, None]
        distances = ((rgb - np.array(colors, np.int32)) ** 2).sum(axis=2)
        table[part] = distances.argmin(axis=1) + 1
    if len(missing):
        classes = table[codes]
    return (classes - 1).astype(np.uint8)


def _codes(pixels: Pixels) -> NDArray[np.int32]:
    """The color of each pixel as 0xRRGGBB."""
    if pixels.ndim == 2:
        return pixels.astype(np.int32) * 0x010101
    wide = pixels.astype(np.int32)
    return wide[:, :, 2] << 16 | wide[:, :, 1] << 8 | wide[:, :, 0]


@lru_cache(maxsize=1)
def _class_table(colors: tuple[tuple[int, int, int], ...]) -> NDArray[np.uint16]:
    """Class + 1 by 0xRRGGBB; 0 if not computed yet."""
    return np.zeros(2**24, np.uint16)
