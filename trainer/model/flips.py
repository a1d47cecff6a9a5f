"""Outputs for images that are mirrored."""

from collections.abc import Callable

import torch


def mirrored(model: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """The outputs of `model` for the horizontal flip of `images` (B, 3, H, W); those of each pixel,
    (B, K, H, W), are turned back."""
    outputs = model(images.flip(3))
    return outputs.flip(3) if outputs.ndim == 4 else outputs
