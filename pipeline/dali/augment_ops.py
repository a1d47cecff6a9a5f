"""The operations of TrivialAugment and RandAugment as DALI operators, one an image.

Each ``if`` sends only those images of a batch through an operator that asked for it: this needs a
pipeline with conditional execution. What differs from torchvision's:

- levels are rounded, torchvision cuts off, and equalize divides more finely than its whole
  numbers: one level, two where that happens twice (color and contrast);
- rotate takes the other of two pixels that are equally near for less than 1 % of them;
- sharpness mirrors the image at its border, torchvision leaves the outermost pixels as they are.
"""

from typing import Any

import numpy as np
import nvidia.dali.fn as fn
import nvidia.dali.types as types
from nvidia.dali.data_node import DataNode

from pipeline.plan.auto_augment import Operation

# Pillow's ImageFilter.SMOOTH.
SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13
SAME = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)


def operate(images: DataNode, operation: Any, matrix: DataNode, amount: Any) -> DataNode:
    """uint8 HWC images after one operation each.

    Args:
        operation: int32 scalars, of ``Operation``.
        matrix: float32 (2, 3), from the result's pixels to the image's.
        amount: float32 scalars, see ``auto_augment.amounts``.
    """
    images = move(images, operation, matrix, fill_value=0)
    if operation == int(Operation.BRIGHTNESS):
        images = fn.brightness(images, brightness=amount)
    if operation == int(Operation.COLOR):
        images = _away_from(_gray(images), images, amount)
    if operation == int(Operation.CONTRAST):
        images = _away_from(fn.reductions.mean(_gray(images)), images, amount)
    if operation == int(Operation.SHARPNESS):
        images = fn.filter(
            images, types.Constant(SMOOTH) * (1 - amount) + types.Constant(SAME) * amount
        )
    if operation == int(Operation.POSTERIZE):
        images = images & fn.cast(amount, dtype=types.UINT8)
    if operation == int(Operation.SOLARIZE):
        images = images ^ ((images >= fn.cast(amount, dtype=types.UINT8)) * _level(255))
    if operation == int(Operation.AUTOCONTRAST):
        images = _stretched(images)
    if operation == int(Operation.EQUALIZE):
        # DALI counts the pixels up to a level, torchvision those below it: on the negative, the
        # one is the other.
        images = fn.equalize(images ^ _level(255)) ^ _level(255)
    return images


def move(images: DataNode, operation: Any, matrix: DataNode, *, fill_value: int) -> DataNode:
    """Images or masks after the geometric operations alone; `fill_value` is what comes in from
    outside."""
    if (operation >= int(Operation.SHEAR_X)) & (operation <= int(Operation.ROTATE)):
        images = fn.warp_affine(
            images,
            matrix=matrix,
            interp_type=types.INTERP_NN,
            fill_value=fill_value,
            inverse_map=True,
        )
    return images


def _away_from(plain: Any, images: Any, factor: Any) -> DataNode:
    """At factor 0 `plain`, at 1 the image, beyond it the opposite of `plain`."""
    plain = fn.cast(plain, dtype=types.FLOAT)
    return fn.cast_like(plain + (images - plain) * factor, images)


def _gray(images: DataNode) -> DataNode:
    return fn.color_space_conversion(images, image_type=types.RGB, output_type=types.GRAY)


def _stretched(images: Any) -> DataNode:
    """Each channel from 0 to 255; as it is where it has one level only."""
    low = fn.reductions.min(images, axis_names="HW", keep_dims=True)
    spread = fn.reductions.max(images, axis_names="HW", keep_dims=True) - low
    varies = spread > 0
    scale = 255 / (spread + (varies ^ True) * _level(255))
    return fn.cast_like((images - low * varies) * scale, images)


def _level(value: int) -> Any:
    return types.Constant(value, dtype=types.UINT8)
