"""Outputs of a model for the samples of a split, on any number of ranks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.batches import Batch
from trainer.distributed.collectives import World


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """`samples`: int64 (n,), rows of the split, ascending. `values`: float32 (n, K), the outputs of
    the model for each, before softmax, sigmoid or scaling."""

    samples: NDArray[np.int64]
    values: NDArray[np.float32]


def predict_outputs(
    batches: Iterable[Batch],
    model: nn.Module,
    world: World,
    *,
    batch_size: int,
    dtype: torch.dtype | None,
    flips: bool,
    advance: Callable[[int], None],
) -> Outputs | None:
    """The outputs for all samples of all ranks' batches; None on ranks above 0.

    The last batch is padded to `batch_size` images: in a batch of another size the last bits of an
    output differ. So the outputs are the same on any number of ranks if each has one CPU thread.

    Args:
        dtype: autocast type; None for float32.
        flips: whether to average the outputs over each image and its horizontal flip.
        advance: called with the number of images of each batch of this rank.
    """
    samples: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    values: list[torch.Tensor] = []
    with torch.inference_mode():
        for batch in batches:
            images = _pad(batch.images, batch_size)
            with torch.autocast(world.device.type, dtype, enabled=dtype is not None):
                outputs = model(images)
                if flips:
                    outputs = (outputs + model(images.flip(3))) / 2
            count = len(batch.samples)
            samples.append(batch.samples)
            values.append(outputs[:count].float().cpu())
            advance(count)
    own = torch.cat(values) if values else torch.zeros(0, 0)
    rows = world.gather_rows(torch.from_numpy(np.concatenate(samples))[:, None])
    outputs_of_ranks = world.gather_rows(own)
    if not rows:
        return None
    return Outputs(
        samples=torch.cat(rows)[:, 0].numpy(), values=torch.cat(outputs_of_ranks).numpy()
    )


def _pad(images: torch.Tensor, batch_size: int) -> torch.Tensor:
    """`images` (B, 3, H, W), followed by black ones up to `batch_size`."""
    missing = batch_size - len(images)
    return torch.cat([images, images.new_zeros(missing, *images.shape[1:])]) if missing else images
