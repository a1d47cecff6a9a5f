"""(seed, visit, sample) -> crop, flip, color ..., as pure vectorized functions.

The graph gets all random values from a batch's ``Parameters`` and draws none itself, so a sample
looks the same at any world size and after any resume.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Integers, Words
from pipeline.config import PipelineConfig
from pipeline.plan.auto_augment import random_operations
from pipeline.plan.crops import CROP_UNIFORMS, random_crops, random_erase_boxes
from pipeline.plan.rng import random_words, uniform, uniforms

# The first of a sample's uniform numbers that each augmentation uses: no option changes the numbers
# of another.
_CROP = 0
_FLIP = CROP_UNIFORMS
_COLOR = _FLIP + 1
_HUE = _COLOR + 3
_HOLE = _HUE + 1
_OPERATIONS = 64

GEOMETRY: tuple[str, ...] = ("start", "shape", "roi_start", "roi_end", "size", "mirror")
COLOR = ("brightness", "contrast", "saturation")
OPERATIONS = ("operation", "matrix", "amount")
HOLE = ("hole_start", "hole_shape")


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The augmentation of each image of a batch of B; None for augmentations that are off.

    Attributes:
        start, shape: int32 (B, 2), the (y, x) crop that is decoded, in px of the upright image.
        roi_start, roi_end: float32 (B, 2), the region of the crop that is resized.
        size: float32 (B, 2), the output's (height, width) in px, equal for the whole batch.
        mirror: int32 (B,), 1 flips horizontally.
        brightness, contrast, saturation: float32 (B,), factors.
        hue: float32 (B,), in degrees.
        operation: int32 (B, S), S operations of ``auto_augment.Operation``, in order.
        matrix, amount: float32 (B, S, 2, 3) and float32 (B, S), the operations' arguments.
        hole_start, hole_shape: float32 (B, 2), the (y, x) box of the output that is erased.
    """

    start: NDArray[np.int32]
    shape: NDArray[np.int32]
    roi_start: NDArray[np.float32]
    roi_end: NDArray[np.float32]
    size: NDArray[np.float32]
    mirror: NDArray[np.int32]
    brightness: NDArray[np.float32] | None = None
    contrast: NDArray[np.float32] | None = None
    saturation: NDArray[np.float32] | None = None
    hue: NDArray[np.float32] | None = None
    operation: NDArray[np.int32] | None = None
    matrix: NDArray[np.float32] | None = None
    amount: NDArray[np.float32] | None = None
    hole_start: NDArray[np.float32] | None = None
    hole_shape: NDArray[np.float32] | None = None


def train_parameter_names(config: PipelineConfig) -> tuple[str, ...]:
    """The fields of ``Parameters`` that aren't None in training with `config`."""
    # The names of the parameters of no samples.
    return (*GEOMETRY, *_optional(np.empty(0, np.uint64), config, image_size_px=1))


def train_parameters(
    config: PipelineConfig,
    *,
    visits: Integers,
    samples: Integers,
    heights: Integers,
    widths: Integers,
    image_size_px: int,
) -> Parameters:
    """The augmentation of `samples` (B,) at `visits` (B,), which equal the epochs if each epoch has
    each sample once; `heights` and `widths` (B,) are the images' in px, `image_size_px` is the side
    of the result."""
    keys = random_words(config.seed, visits, samples)
    start, shape = random_crops(
        keys, _CROP, heights=heights, widths=widths, area=config.crop_area, ratio=config.crop_ratio
    )
    mirror = uniform(keys, _FLIP) < config.flip_probability
    return Parameters(
        start=start.astype(np.int32),
        shape=shape.astype(np.int32),
        roi_start=np.zeros_like(shape, np.float32),
        roi_end=shape.astype(np.float32),
        size=np.full_like(shape, image_size_px, np.float32),
        mirror=mirror.astype(np.int32),
        **_optional(keys, config, image_size_px),
    )


def _optional(keys: Words, config: PipelineConfig, image_size_px: int) -> dict[str, Any]:
    """The parameters of augmentations that are off by default."""
    out: dict[str, Any] = {}
    if config.color_jitter:
        factors = 1 + np.float32(config.color_jitter) * _to_signed(uniforms(keys, _COLOR, 3))
        out |= zip(COLOR, factors.T.copy(), strict=True)
    if config.hue_jitter:
        out["hue"] = np.float32(config.hue_jitter) * _to_signed(uniform(keys, _HUE))
    if config.operations:
        out |= random_operations(keys, _OPERATIONS, config, image_size_px)
    if config.erase_probability:
        hole = random_erase_boxes(
            keys,
            _HOLE,
            image_size_px=image_size_px,
            probability=config.erase_probability,
            area=config.erase_area,
            ratio=config.erase_ratio,
        )
        out |= zip(HOLE, (part.astype(np.float32) for part in hole), strict=True)
    return out


def _to_signed(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """[0, 1) -> [-1, 1)."""
    return 2 * values.astype(np.float32) - 1


def val_parameters(
    heights: Integers, widths: Integers, *, resize_px: int, image_size_px: int
) -> Parameters:
    """Resize the shorter side to `resize_px`, then crop the central square of `image_size_px`.

    One resize of a region does both. Its sizes and offsets are rounded as torchvision's ``Resize``
    and ``CenterCrop`` round them, so that every output pixel has the same position.
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
        size=np.full_like(shape, image_size_px, np.float32),
        mirror=np.zeros(len(shape), np.int32),
    )
