"""Outputs of a model for the samples of a split, on any number of ranks."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.batch import Batch
from trainer.distributed.collectives import World
from trainer.model.flips import mirrored

Values = NDArray[np.float32]


def predict_outputs(
    batches: Iterable[Batch],
    model: nn.Module,
    world: World,
    *,
    batch_size: int,
    dtype: torch.dtype | None,
    flips: bool,
    advance: Callable[[int], None],
) -> Values | None:
    """The outputs for all samples of all ranks' batches, float32 (n, K), before softmax, sigmoid or
    scaling; None on ranks above 0.

    The batches are those of a loader with `whole_batches`, so the rows are in the order of the
    samples. The last batch is padded to `batch_size` images: in a batch of another size the last
    bits of an output differ. So the outputs are the same on any number of ranks if each has one CPU
    thread.

    Args:
        dtype: autocast type; None for float32.
        flips: whether to average the outputs over each image and its horizontal flip.
        advance: called with the number of images of each batch of this rank.
    """
    rows: list[torch.Tensor] = []
    with torch.inference_mode():
        for batch in batches:
            images = _pad(batch.images, batch_size)
            with torch.autocast(world.device.type, dtype, enabled=dtype is not None):
                outputs = model(images)
                if flips:
                    outputs = (outputs + mirrored(model, images)) / 2
            count = len(batch.samples)
            rows.append(outputs[:count].float().cpu())
            advance(count)
    gathered = world.gather_rows(torch.cat(rows) if rows else torch.zeros(0, 0))
    return torch.cat([part for part in gathered if len(part)]).numpy() if gathered else None


def _pad(images: torch.Tensor, batch_size: int) -> torch.Tensor:
    """`images` (B, 3, H, W), followed by black ones up to `batch_size`."""
    missing = batch_size - len(images)
    return torch.cat([images, images.new_zeros(missing, *images.shape[1:])]) if missing else images
