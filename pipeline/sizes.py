"""Sizes of images that follow from the options and, where none is given, from the data."""

import math
from dataclasses import dataclass

from pipeline.config import PipelineConfig
from pipeline.progressive_resize import ImageSize, progressive_size
from pipeline.storage.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """`image_size_px` is the side of the model's input, `resize_px` the shorter side that
    validation resizes to before it crops."""

    image_size_px: int
    resize_px: int


def resolve_sizes(config: PipelineConfig, manifest: Manifest) -> Sizes:
    """The sizes of `config`. Defaults: 224 and 256 px, at which ResNet's results are published, if
    the images are that large; else the median shorter side rounded up to 32 px, uncropped.
    """
    shorter = min(manifest.heights[1], manifest.widths[1])
    image_size = config.image_size or min(224, 32 * math.ceil(shorter / 32))
    cropped = round(image_size / 0.875)
    resize = config.val_resize or (cropped if shorter >= cropped else image_size)
    return Sizes(image_size_px=image_size, resize_px=max(resize, image_size))


def image_size(config: PipelineConfig, manifest: Manifest, *, epoch_positions: int) -> ImageSize:
    """The function from a position to the side of training images in px."""
    if config.progressive_resize is None:
        constant = resolve_sizes(config, manifest).image_size_px
        return lambda position: constant
    start_px, end_px = config.progressive_resize
    return progressive_size(
        start_px, end_px, epochs=config.progressive_epochs, epoch_positions=epoch_positions
    )
