"""The operations of TrivialAugment and RandAugment as DALI operators, one per image.

Each ``if`` runs an operator only on the images of a batch that asked for it, which needs a pipeline
with conditional execution. Differences from torchvision:

- levels are rounded, torchvision truncates, and equalize divides more precisely than torchvision's
  integers: one level, or two where that happens twice (color and contrast);
- rotate picks the other of two equally near pixels for less than 1 % of the pixels;
- sharpness mirrors the image at its border, torchvision keeps the outermost pixels.
"""

from typing import Any

import numpy as np
import nvidia.dali.fn as fn
import nvidia.dali.types as types
from nvidia.dali.data_node import DataNode

from pipeline.plan.auto_augment import Operation

# Pillow's ImageFilter.SMOOTH.
SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13
IDENTITY = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)


def apply_operation(images: DataNode, operation: Any, matrix: DataNode, amount: Any) -> DataNode:
    """Apply one operation to each of the uint8 HWC images.

    Args:
        operation: int32 scalars, of ``Operation``.
        matrix: float32 (2, 3), from the result's pixels to the image's.
        amount: float32 scalars, see ``auto_augment.amounts``.
    """
    images = warp(images, operation, matrix, fill_value=0)
    if operation == int(Operation.BRIGHTNESS):
        images = fn.brightness(images, brightness=amount)
    if operation == int(Operation.COLOR):
        images = _blend(_gray(images), images, amount)
    if operation == int(Operation.CONTRAST):
        images = _blend(fn.reductions.mean(_gray(images)), images, amount)
    if operation == int(Operation.SHARPNESS):
        images = fn.filter(
            images, types.Constant(SMOOTH) * (1 - amount) + types.Constant(IDENTITY) * amount
        )
    if operation == int(Operation.POSTERIZE):
        images = images & fn.cast(amount, dtype=types.UINT8)
    if operation == int(Operation.SOLARIZE):
        images = images ^ ((images >= fn.cast(amount, dtype=types.UINT8)) * _level(255))
    if operation == int(Operation.AUTOCONTRAST):
        images = _autocontrast(images)
    if operation == int(Operation.EQUALIZE):
        # DALI counts the pixels up to a level, torchvision those below it: on the negative image
        # both counts are the same.
        images = fn.equalize(images ^ _level(255)) ^ _level(255)
    return images


def warp(images: DataNode, operation: Any, matrix: DataNode, *, fill_value: int) -> DataNode:
    """Apply the geometric operations only, to images or masks; `fill_value` is for pixels from
    outside the image."""
    if (operation >= int(Operation.SHEAR_X)) & (operation <= int(Operation.ROTATE)):
        images = fn.warp_affine(
            images,
            matrix=matrix,
            interp_type=types.INTERP_NN,
            fill_value=fill_value,
            inverse_map=True,
        )
    return images


def _blend(degenerate: Any, images: Any, factor: Any) -> DataNode:
    """`degenerate` at factor 0, the image at 1, extrapolated beyond."""
    degenerate = fn.cast(degenerate, dtype=types.FLOAT)
    return fn.cast_like(degenerate + (images - degenerate) * factor, images)


def _gray(images: DataNode) -> DataNode:
    return fn.color_space_conversion(images, image_type=types.RGB, output_type=types.GRAY)


def _autocontrast(images: Any) -> DataNode:
    """Stretch each channel to 0 to 255, unless it has one level only."""
    low = fn.reductions.min(images, axis_names="HW", keep_dims=True)
    spread = fn.reductions.max(images, axis_names="HW", keep_dims=True) - low
    varies = spread > 0
    scale = 255 / (spread + (varies ^ True) * _level(255))
    return fn.cast_like((images - low * varies) * scale, images)


def _level(value: int) -> Any:
    return types.Constant(value, dtype=types.UINT8)
