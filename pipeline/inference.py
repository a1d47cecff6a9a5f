"""The validation transform as a torch module, to deploy a trained model."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import interpolate

from pipeline.config import TORCH_RESIZES_PX, PipelineConfig
from pipeline.sizes import Sizes, resolve_sizes
from pipeline.storage.manifest import Manifest


class ValidationTransform(nn.Module):
    """Resize the shorter side to ``sizes.resize_px``, crop the central square of
    ``sizes.image_size_px``, normalize.

    On a CPU the pixels before normalization are those of validation on a CPU; those of panoramas,
    and at image sizes below 96 px, may differ by one level of 255.

    Args:
        mean, std: per RGB channel, as fractions of 255.
        interpolation: "bilinear" or "bicubic".
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        sizes: Sizes,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        interpolation: str = "bilinear",
    ) -> None:
        super().__init__()
        self.interpolation = interpolation
        self.resize_px, self.image_size_px = sizes.resize_px, sizes.image_size_px
        self.register_buffer("mean", 255 * torch.tensor(mean).view(3, 1, 1))
        # The trainer clamps alike: a constant channel is not divided by 0.
        self.register_buffer("std", 255 * torch.tensor(std).clamp(min=1 / 255).view(3, 1, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """uint8 (3, H, W), upright RGB -> float32 (3, image_size_px, image_size_px)."""
        return (self.pixels(image).float() - self.mean) / self.std

    def pixels(self, image: torch.Tensor) -> torch.Tensor:
        """The same without normalization, uint8, for a model that normalizes its input."""
        height, width = image.shape[1:]
        shorter = min(height, width)
        resized = [self.resize_px * side // shorter for side in (height, width)]
        top, left = (round((side - self.image_size_px) / 2) for side in resized)
        # torch resizes uint8 on CPUs only. There validation uses the same kernel.
        on_cpu = image.device.type == "cpu" and self.image_size_px >= TORCH_RESIZES_PX
        pixels = interpolate(
            image[None] if on_cpu else image[None].float(),
            size=resized,
            mode=self.interpolation,
            antialias=True,
            align_corners=False,
        )
        crop = pixels[0, :, top : top + self.image_size_px, left : left + self.image_size_px]
        return crop if on_cpu else crop.round().clamp(0, 255).to(torch.uint8)


def inference_transform(
    manifest: Manifest,
    config: PipelineConfig,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> ValidationTransform:
    """The transform that validation with `config` applies to images of the manifest's shards.

    Args:
        mean, std: per RGB channel, as fractions of 255: those that the model was trained with, such
            as ImageNet's for its weights; by default those of the shards' training split.
    """
    return ValidationTransform(
        resolve_sizes(config, manifest),
        mean=mean or manifest.mean,
        std=std or manifest.std,
        interpolation=config.resolved_interpolation,
    )
