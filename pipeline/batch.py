"""What a loader yields. Imports no DALI, so that steps on synthetic batches run without it."""

from dataclasses import dataclass

import torch

from pipeline.arrays import Integers


@dataclass(frozen=True)
class Batch:
    """The B samples that this rank gets in one step.

    Attributes:
        images: uint8 (B, 3, H, W) on the device, RGB levels from 0 to 255, in channels-last memory,
            not normalized. On a CPU the batches that DALI decodes in one run (about 256 images)
            share one block of memory: it is freed when the last of them is. On a GPU the memory is
            torch's own, and work on the current stream of the loop's thread needs no wait.
        targets: the labels or targets, on the device. int64 (B,) for classification; float32
            (B, targets) for multi-label and regression; uint8 (B, H, W) for segmentation, the class
            of each pixel, or 255 where the mask has no class. A sample without a label, and a bad
            sample of validation, has no target: -1, a row of NaN, or a mask of 255.
        samples: int64 (B,), rows of the split's sample index, in host memory; with a fold those of
            train and then val as one table.

    Example:
        >>> batch = next(iter(loader))
        >>> logits = model(batch.images.float() / 255)
        >>> loss = cross_entropy(logits, batch.labels)
    """

    images: torch.Tensor
    targets: torch.Tensor
    samples: Integers

    @property
    def labels(self) -> torch.Tensor:
        """Another name of `targets`, for classification: int64 (B,)."""
        return self.targets

    def __repr__(self) -> str:
        images, targets = map(_describe, (self.images, self.targets))
        samples = f"{self.samples.dtype} {self.samples.shape}"
        return f"Batch(images: {images}, targets: {targets}, samples: {samples})"

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """Copy images and targets to `device`, as ``torch.Tensor.to`` does; Lightning calls it."""
        images = self.images.to(device, non_blocking=non_blocking)
        return Batch(images, self.targets.to(device, non_blocking=non_blocking), self.samples)


def _describe(tensor: torch.Tensor) -> str:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return f"{dtype} {tuple(tensor.shape)} on {tensor.device}"
