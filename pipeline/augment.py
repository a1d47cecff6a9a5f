"""(seed, visit, sample) -> crop window, flip, color, as pure vectorised functions.

A batch's ``Parameters`` is all that the graph is told: DALI draws nothing itself, so a sample looks
the same at any world size and after any resume.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.rng import random_words, uniform

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# RandomResizedCrop tries ten windows before it falls back on a central one (torchvision).
ATTEMPTS = 10


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What the graph does to each image of a batch of B, in pixels of the upright image.

    Attributes:
        start, shape: int32 (B, 2), the (y, x) window that is decoded.
        roi_start, roi_end: float32 (B, 2), the part of the window that is resized to the output.
        mirror: int32 (B,), 1 flips left to right.
        brightness, contrast, saturation: float32 (B,), factors; None without color jitter.
    """

    start: NDArray[np.int32]
    shape: NDArray[np.int32]
    roi_start: NDArray[np.float32]
    roi_end: NDArray[np.float32]
    mirror: NDArray[np.int32]
    brightness: NDArray[np.float32] | None = None
    contrast: NDArray[np.float32] | None = None
    saturation: NDArray[np.float32] | None = None


def train_parameters(
    *,
    seed: int,
    visits: Integers,
    samples: Integers,
    heights: Integers,
    widths: Integers,
    crop_area: tuple[float, float],
    crop_ratio: tuple[float, float],
    flip_probability: float,
    color_jitter: float,
) -> Parameters:
    """Random resized crop, flip and color of samples (B,) at visits (B,), which are the epochs
    unless samples come more than once in one.

    `crop_area` is the range of the window's share of the image, `crop_ratio` that of its width by
    height; `color_jitter` j draws each color factor from [1 - j, 1 + j].
    """
    keys = random_words(seed, visits, samples)
    top, left, height, width = _random_windows(keys, heights, widths, crop_area, crop_ratio)
    shape = np.stack([height, width], axis=1)
    mirror = uniform(keys, 2 * ATTEMPTS + 2) < flip_probability
    color = _color(keys, color_jitter) if color_jitter else {}
    return Parameters(
        start=np.stack([top, left], axis=1).astype(np.int32),
        shape=shape.astype(np.int32),
        roi_start=np.zeros_like(shape, np.float32),
        roi_end=shape.astype(np.float32),
        mirror=mirror.astype(np.int32),
        **color,
    )


def val_parameters(
    *, heights: Integers, widths: Integers, resize_px: int, image_size_px: int
) -> Parameters:
    """Shorter side to `resize_px`, then the central square of `image_size_px`.

    One resize of a region does both; its sizes and offsets are rounded as torchvision's ``Resize``
    and ``CenterCrop`` round them, which puts every output pixel where theirs is.
    """
    shape = np.stack([heights, widths], axis=1)
    shorter = shape.min(axis=1, keepdims=True)
    resized = resize_px * shape // shorter
    offset = np.round((resized - image_size_px) / 2)
    scale = shape / resized
    return Parameters(
        start=np.zeros_like(shape, np.int32),
        shape=shape.astype(np.int32),
        roi_start=(offset * scale).astype(np.float32),
        roi_end=((offset + image_size_px) * scale).astype(np.float32),
        mirror=np.zeros(len(shape), np.int32),
    )


def _color(keys: NDArray[np.uint64], jitter: float) -> dict[str, NDArray[np.float32]]:
    draws = _draws(keys, 2 * ATTEMPTS + 3, 3).astype(np.float32)
    factors = 1 + np.float32(jitter) * (2 * draws - 1)
    return dict(zip(("brightness", "contrast", "saturation"), factors.T.copy(), strict=True))


def _draws(keys: NDArray[np.uint64], first: int, count: int) -> Floats:
    return uniform(keys[:, None], np.arange(first, first + count))


def _random_windows(
    keys: NDArray[np.uint64],
    heights: Integers,
    widths: Integers,
    crop_area: tuple[float, float],
    crop_ratio: tuple[float, float],
) -> tuple[Integers, Integers, Integers, Integers]:
    """(top, left, height, width) of each image's window, drawn as RandomResizedCrop does."""
    area = _scale(_draws(keys, 0, ATTEMPTS), *crop_area) * (heights * widths)[:, None]
    ratio = np.exp(_scale(_draws(keys, ATTEMPTS, ATTEMPTS), *np.log(crop_ratio)))
    width = np.round(np.sqrt(area * ratio)).astype(np.int64)
    height = np.round(np.sqrt(area / ratio)).astype(np.int64)
    fits = (width > 0) & (height > 0) & (width <= widths[:, None]) & (height <= heights[:, None])
    rows, attempt = np.arange(len(keys)), fits.argmax(axis=1)
    found = fits[rows, attempt]
    central_height, central_width = _central_windows(heights, widths, crop_ratio)
    height = np.where(found, height[rows, attempt], central_height)
    width = np.where(found, width[rows, attempt], central_width)
    place = _draws(keys, 2 * ATTEMPTS, 2)
    top = np.where(found, place[:, 0] * (heights - height + 1), (heights - height) // 2)
    left = np.where(found, place[:, 1] * (widths - width + 1), (widths - width) // 2)
    return top.astype(np.int64), left.astype(np.int64), height, width


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
