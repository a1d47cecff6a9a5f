"""Random batches that cost nothing, to measure everything except the input pipeline."""

from collections.abc import Generator

import numpy as np
import torch

from pipeline.batch import Batch
from pipeline.loader import Loader

SYNTHETIC_FINGERPRINT = "synthetic"
# ImageNet's training split.
SYNTHETIC_SAMPLES = 1_281_167


def synthetic_loader(
    *,
    batch_size: int,
    image_size: int,
    classes: int,
    device: torch.device,
    world_size: int = 1,
    position: int = 0,
    end_position: int | None = None,
) -> Loader:
    """A loader that yields the same random batch at every step.

    `batch_size` is per rank, `image_size` in px; the positions are those of ``train_loader``.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(
        256, (batch_size, image_size, image_size, 3), dtype=torch.uint8, generator=generator
    )
    batch = Batch(
        images=images.to(device).permute(0, 3, 1, 2),
        targets=torch.randint(classes, (batch_size,), generator=generator).to(device),
        samples=np.arange(batch_size),
    )
    advance = batch_size * world_size

    def batches(start: int) -> Generator[Batch]:
        while end_position is None or start < end_position:
            start += advance
            yield batch

    def steps(start: int) -> int | None:
        return None if end_position is None else max(0, -(-(end_position - start) // advance))

    return Loader(
        batches,
        steps=steps,
        advance=advance,
        samples=SYNTHETIC_SAMPLES,
        seed=0,
        fingerprint=SYNTHETIC_FINGERPRINT,
        position=position,
    )
