"""(seed, visit, sample) -> crop window, flip, color ..., as pure vectorised functions.

A batch's ``Parameters`` is all that the graph is told: DALI draws nothing itself, so a sample looks
the same at any world size and after any resume.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import PipelineConfig
from pipeline.plan.auto_augment import random_operations
from pipeline.plan.crops import WINDOW_DRAWS, draws, random_erase_boxes, random_windows
from pipeline.plan.rng import Words, random_words, uniform

Integers = NDArray[np.int64]

# Where in a sample's endless row of draws each part takes its own: what one part is set to never
# changes what another draws.
_WINDOW = 0
_FLIP = WINDOW_DRAWS
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
    """What the graph does to each image of a batch of B; what isn't done is None.

    Attributes:
        start, shape: int32 (B, 2), the (y, x) window that is decoded, in px of the upright image.
        roi_start, roi_end: float32 (B, 2), the part of the window that is resized.
        size: float32 (B, 2), the output's (height, width) in px, the same for the whole batch.
        mirror: int32 (B,), 1 flips left to right.
        brightness, contrast, saturation: float32 (B,), factors.
        hue: float32 (B,), in degrees.
        operation: int32 (B, S), the S operations of ``auto_augment.Operation``, one after the
            other; matrix: float32 (B, S, 2, 3) and amount: float32 (B, S), how they are done.
        hole_start, hole_shape: float32 (B, 2), the (y, x) window of the output that is erased.
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
    """The fields of ``Parameters`` that aren't None in training."""
    names = GEOMETRY
    names += COLOR if config.color_jitter else ()
    names += ("hue",) if config.hue_jitter else ()
    names += OPERATIONS if config.operations else ()
    names += HOLE if config.erase_probability else ()
    return names


def train_parameters(
    config: PipelineConfig,
    *,
    visits: Integers,
    samples: Integers,
    heights: Integers,
    widths: Integers,
    image_size_px: int,
) -> Parameters:
    """What is done to samples (B,) at visits (B,), which are the epochs unless samples come more
    than once in one; `image_size_px` is the side of the result."""
    keys = random_words(config.seed, visits, samples)
    start, shape = random_windows(
        keys,
        _WINDOW,
        heights=heights,
        widths=widths,
        area=config.crop_area,
        ratio=config.crop_ratio,
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
    """The parameters of what `config` switches on."""
    out: dict[str, Any] = {}
    if config.color_jitter:
        factors = 1 + np.float32(config.color_jitter) * _to_signed(draws(keys, _COLOR, 3))
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


def _to_signed(draws: NDArray[np.float64]) -> NDArray[np.float32]:
    """[0, 1) -> [-1, 1)."""
    return 2 * draws.astype(np.float32) - 1


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
        size=np.full_like(shape, image_size_px, np.float32),
        mirror=np.zeros(len(shape), np.int32),
    )
