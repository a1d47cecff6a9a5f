"""Random windows: the part of an image that is kept, the part of the result that is erased.

Both draw area and ratio, up to ten times, as torchvision's RandomResizedCrop and RandomErasing do,
and are pure functions of the samples' keys: `keys` are uint64 (B,), and draws from the `first`-th
of each key on are used.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.plan.rng import Words, uniform

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Windows that are tried before torchvision gives up.
ATTEMPTS = 10
# Draws of a window: areas, ratios, and its place.
WINDOW_DRAWS = 2 * ATTEMPTS + 2


def random_windows(
    keys: Words,
    first: int,
    *,
    heights: Integers,
    widths: Integers,
    area: tuple[float, float],
    ratio: tuple[float, float],
) -> tuple[Integers, Integers]:
    """(start, shape), int64 (B, 2) in px as (y, x): the windows that RandomResizedCrop would take.

    `area` is the range of the window's share of the image, `ratio` that of its width by height.
    Where no window fits, the largest central one of an allowed ratio.
    """
    height, width = _drawn_shapes(keys, first, heights * widths, area, ratio)
    fits = (width > 0) & (height > 0) & (width <= widths[:, None]) & (height <= heights[:, None])
    found, height, width = _first_valid(fits, height, width)
    central_height, central_width = _central_windows(heights, widths, ratio)
    height = np.where(found, height, central_height)
    width = np.where(found, width, central_width)
    place = draws(keys, first + 2 * ATTEMPTS, 2)
    top = np.where(found, place[:, 0] * (heights - height + 1), (heights - height) // 2)
    left = np.where(found, place[:, 1] * (widths - width + 1), (widths - width) // 2)
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
    """(start, shape), int64 (B, 2) in px as (y, x): what RandomErasing would erase of square
    images; a shape of 0 where nothing is.

    `ratio` is the range of the hole's height by width, unlike a window's.
    """
    pixels = np.full(len(keys), image_size_px**2, np.int64)
    width, height = _drawn_shapes(keys, first, pixels, area, ratio)
    fits = (width < image_size_px) & (height < image_size_px)
    found, height, width = _first_valid(fits, height, width)
    found &= uniform(keys, first + WINDOW_DRAWS) < probability
    shape = np.stack([height, width], axis=1) * found[:, None]
    start = draws(keys, first + 2 * ATTEMPTS, 2) * (image_size_px - shape + 1)
    return start.astype(np.int64), shape


def draws(keys: Words, first: int, count: int) -> Floats:
    """Uniform in [0, 1), (B, count)."""
    return uniform(keys[:, None], np.arange(first, first + count))


def _drawn_shapes(
    keys: Words,
    first: int,
    pixels: Integers,
    area: tuple[float, float],
    ratio: tuple[float, float],
) -> tuple[Integers, Integers]:
    """(height, width) of each attempt, int64 (B, ATTEMPTS)."""
    areas = _scale(draws(keys, first, ATTEMPTS), *area) * pixels[:, None]
    ratios = np.exp(_scale(draws(keys, first + ATTEMPTS, ATTEMPTS), *np.log(ratio)))
    width = np.round(np.sqrt(areas * ratios)).astype(np.int64)
    height = np.round(np.sqrt(areas / ratios)).astype(np.int64)
    return height, width


def _first_valid(
    fits: NDArray[np.bool_], height: Integers, width: Integers
) -> tuple[NDArray[np.bool_], Integers, Integers]:
    """Whether an attempt fits, and the height and width of the first that does; each (B,)."""
    rows, attempt = np.arange(len(fits)), fits.argmax(axis=1)
    return fits[rows, attempt], height[rows, attempt], width[rows, attempt]


def _central_windows(
    heights: Integers, widths: Integers, crop_ratio: tuple[float, float]
) -> tuple[Integers, Integers]:
    """The largest window of an allowed ratio: torchvision's fallback."""
    narrow, wide = crop_ratio
    ratio = widths / heights
    height = np.where(ratio < narrow, np.round(widths / narrow), heights)
    width = np.where(ratio > wide, np.round(heights * wide), widths)
    return height.clip(1).astype(np.int64), width.clip(1).astype(np.int64)


def _scale(draws: Floats, low: float, high: float) -> Floats:
    return low + draws * (high - low)
