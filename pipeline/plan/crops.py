"""Random crops: the part of an image that is used, and the part of the result that is erased.

Both draw area and ratio up to ten times, as torchvision's RandomResizedCrop and RandomErasing do,
and are pure functions of the samples' keys: `keys` are uint64 (B,), and each key's uniform numbers
from number `first` on are used.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Floats, Integers, Words
from pipeline.plan.rng import uniform, uniforms

# torchvision gives up after this many crops that don't fit.
ATTEMPTS = 10
# Uniform numbers per crop: areas, ratios, and the position (y, x).
CROP_UNIFORMS = 2 * ATTEMPTS + 2


def random_crops(
    keys: Words,
    first: int,
    *,
    heights: Integers,
    widths: Integers,
    area: tuple[float, float],
    ratio: tuple[float, float],
) -> tuple[Integers, Integers]:
    """The crops of RandomResizedCrop: (start, shape), int64 (B, 2) in px as (y, x).

    `area` is the range of the crop's fraction of the image, `ratio` of its width / height. If no
    attempt fits, the crop is the largest central one of an allowed ratio.
    """
    height, width = _random_shapes(keys, first, heights * widths, area, ratio)
    fits = (width > 0) & (height > 0) & (width <= widths[:, None]) & (height <= heights[:, None])
    valid, height, width = _first_valid(fits, height, width)
    central_height, central_width = _central_crops(heights, widths, ratio)
    height = np.where(valid, height, central_height)
    width = np.where(valid, width, central_width)
    y, x = uniforms(keys, first + 2 * ATTEMPTS, 2).T
    top = np.where(valid, y * (heights - height + 1), (heights - height) // 2)
    left = np.where(valid, x * (widths - width + 1), (widths - width) // 2)
    return np.stack([top, left], axis=1).astype(np.int64), np.stack([height, width], axis=1)


def random_erase_boxes(
    keys: Words,
    first: int,
    *,
    image_size_px: int,
    probability: float,
    area: tuple[float, float],
    ratio: tuple[float, float],
) -> tuple[Integers, Integers]:
    """The boxes that RandomErasing erases from square images: (start, shape), int64 (B, 2) in px as
    (y, x), of shape 0 where nothing is erased.

    `ratio` is the range of height / width, the inverse of a crop's.
    """
    pixels = np.full(len(keys), image_size_px**2, np.int64)
    width, height = _random_shapes(keys, first, pixels, area, ratio)
    fits = (width < image_size_px) & (height < image_size_px)
    valid, height, width = _first_valid(fits, height, width)
    valid &= uniform(keys, first + CROP_UNIFORMS) < probability
    shape = np.stack([height, width], axis=1) * valid[:, None]
    start = uniforms(keys, first + 2 * ATTEMPTS, 2) * (image_size_px - shape + 1)
    return start.astype(np.int64), shape


def _random_shapes(
    keys: Words, first: int, pixels: Integers, area: tuple[float, float], ratio: tuple[float, float]
) -> tuple[Integers, Integers]:
    """(height, width) of each attempt, int64 (B, ATTEMPTS)."""
    areas = _scale(uniforms(keys, first, ATTEMPTS), *area) * pixels[:, None]
    ratios = np.exp(_scale(uniforms(keys, first + ATTEMPTS, ATTEMPTS), *np.log(ratio)))
    width = np.round(np.sqrt(areas * ratios)).astype(np.int64)
    height = np.round(np.sqrt(areas / ratios)).astype(np.int64)
    return height, width


def _first_valid(
    fits: NDArray[np.bool_], height: Integers, width: Integers
) -> tuple[NDArray[np.bool_], Integers, Integers]:
    """Whether any attempt fits, and the height and width of the first that does; (B,) each."""
    rows, attempt = np.arange(len(fits)), fits.argmax(axis=1)
    return fits[rows, attempt], height[rows, attempt], width[rows, attempt]


def _central_crops(
    heights: Integers, widths: Integers, crop_ratio: tuple[float, float]
) -> tuple[Integers, Integers]:
    """(height, width) of the largest crop of an allowed ratio: torchvision's fallback."""
    narrow, wide = crop_ratio
    ratio = widths / heights
    height = np.where(ratio < narrow, np.round(widths / narrow), heights)
    width = np.where(ratio > wide, np.round(heights * wide), widths)
    return height.clip(1).astype(np.int64), width.clip(1).astype(np.int64)


def _scale(values: Floats, low: float, high: float) -> Floats:
    return low + values * (high - low)
