"""TrivialAugment and RandAugment as numbers: operation and strength for each image.

Operations and ranges are torchvision's (``v2.TrivialAugmentWide``, ``v2.RandAugment``), which
follow Müller & Hutter 2021, "TrivialAugment", arXiv:2103.10158, table "wide", and Cubuk et al.
2020, "RandAugment", arXiv:1909.13719. A strength is an integer from 0 to 30; the magnitude
is proportional to it. ``augment_ops.py`` applies the operations.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Floats, Integers, Words
from pipeline.config import PipelineConfig
from pipeline.plan.rng import uniforms

STRENGTHS = 31
# Uniform numbers per operation: operation, strength, sign.
OPERATION_UNIFORMS = 3


class Operation(IntEnum):
    IDENTITY = 0
    SHEAR_X = 1
    SHEAR_Y = 2
    TRANSLATE_X = 3
    TRANSLATE_Y = 4
    ROTATE = 5
    BRIGHTNESS = 6
    COLOR = 7
    CONTRAST = 8
    SHARPNESS = 9
    POSTERIZE = 10
    SOLARIZE = 11
    AUTOCONTRAST = 12
    EQUALIZE = 13


def largest_magnitudes(policy: str, image_size_px: int) -> Floats:
    """The magnitude of each operation at strength 30, float64 (operations,).

    Shears in px per px, translations in px, rotations in degrees; the relative change of
    brightness, color, contrast and sharpness; the bits that posterize drops; how many of the 255
    brightest levels solarize inverts. All but the last two take either sign; autocontrast and
    equalize have no magnitude.
    """
    wide = policy == "trivial"
    shear, rotation, change, bits = (0.99, 135.0, 0.99, 6.0) if wide else (0.3, 30.0, 0.9, 4.0)
    translation = 32.0 if wide else image_size_px * 150 / 331
    largest = np.zeros(len(Operation))
    largest[[Operation.SHEAR_X, Operation.SHEAR_Y]] = shear
    largest[[Operation.TRANSLATE_X, Operation.TRANSLATE_Y]] = translation
    largest[Operation.ROTATE] = rotation
    largest[Operation.BRIGHTNESS : Operation.SHARPNESS + 1] = change
    largest[Operation.POSTERIZE] = bits
    largest[Operation.SOLARIZE] = 255.0
    return largest


def random_operations(
    keys: Words, first: int, config: PipelineConfig, image_size_px: int
) -> dict[str, NDArray[np.generic]]:
    """`operation`, `matrix` and `amount` of ``Parameters`` for keys (B,); `first` is the first
    uniform number of each key to use."""
    shape = (len(keys), config.operations, OPERATION_UNIFORMS)
    values = uniforms(keys, first, shape[1] * shape[2]).reshape(shape)
    operation = (values[..., 0] * len(Operation)).astype(np.int64)
    if config.auto_augment == "trivial":
        strength = (values[..., 1] * STRENGTHS).astype(np.int64)
    else:
        strength = np.full_like(operation, config.rand_augment_magnitude)
    largest = largest_magnitudes(config.auto_augment, image_size_px)
    magnitude = largest[operation] * strength / (STRENGTHS - 1)
    sign = np.where(values[..., 2] < 0.5, -1, 1)
    return {
        "operation": operation.astype(np.int32),
        "matrix": matrices(operation, magnitude * sign, image_size_px).astype(np.float32),
        "amount": amounts(operation, magnitude, sign).astype(np.float32),
    }


def matrices(operation: Integers, magnitude: Floats, image_size_px: int) -> Floats:
    """Matrices (..., 2, 3) from pixels of the result to pixels of the image, in DALI's coordinates,
    where (0, 0) is the corner of the first pixel. The identity if the operation isn't geometric.

    Shears fix the corner, rotations the center.
    """

    def of(geometric: Operation) -> Floats:
        return np.where(operation == geometric, magnitude, 0.0)

    angle = np.deg2rad(of(Operation.ROTATE))
    cos, sin, center = np.cos(angle), np.sin(angle), image_size_px / 2
    right = np.trunc(of(Operation.TRANSLATE_X))
    down = np.trunc(of(Operation.TRANSLATE_Y))
    rows = [
        [cos, of(Operation.SHEAR_X) - sin, center * (1 - cos + sin) - right],
        [of(Operation.SHEAR_Y) + sin, cos, center * (1 - cos - sin) - down],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def amounts(operation: Integers, magnitude: Floats, sign: Integers) -> Floats:
    """The argument of an operation on colors: the bit mask of posterize, the level from which
    solarize inverts, else a factor."""
    amount = 1 + magnitude * sign
    amount = np.where(operation == Operation.POSTERIZE, 256 - 2 ** np.round(magnitude), amount)
    return np.where(operation == Operation.SOLARIZE, np.ceil(255 - magnitude), amount)
