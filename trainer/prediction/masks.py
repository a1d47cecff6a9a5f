"""Masks of whole images, put together from predictions of tiles."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import interpolate

from pipeline.batch import Batch
from pipeline.plan.tiles import tile_windows
from pipeline.storage.dataset import SplitIndex
from trainer.model.flips import mirrored
from trainer.model.precision import set_float32


@dataclass(frozen=True, kw_only=True)
class PixelModel:
    """A segmentation model, its --precision and its autocast type, None for float32. `flips`:
    whether to average over each image and its horizontal flip."""

    model: nn.Module
    precision: str
    dtype: torch.dtype | None
    flips: bool

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (1, 3, S, S) -> float32 (1, classes, S, S)."""
        # Of the whole process, and the models may differ.
        set_float32(self.precision)
        with torch.autocast(images.device.type, self.dtype, enabled=self.dtype is not None):
            logits: torch.Tensor = self.model(images)
            if self.flips:
                logits = (logits + mirrored(self.model, images)) / 2
        return logits.float()


@torch.inference_mode()
def predict_masks(
    loaders: Sequence[Iterable[Batch]],
    models: Sequence[PixelModel],
    index: SplitIndex,
    advance: Callable[[int], None],
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(sample, mask) of each sample of this rank: uint8 (H, W) of the most probable class of each
    pixel of the stored image.

    The probabilities of overlapping tiles are summed, over all models, which takes 4 bytes for each
    class and pixel of an image on the device. Tiles are predicted one at
    a time: in a batch the last bits of an output depend on the batch size.

    Args:
        loaders: one per model, of tiles (see ``val_loader``), with the same samples.
        advance: called with 1 after each sample.
    """
    tiles = (
        (int(sample), [batch.images[place, None] for batch in batches])
        for batches in zip(*loaders, strict=True)
        for place, sample in enumerate(batches[0].samples)
    )
    for sample, group in groupby(tiles, key=lambda tile: tile[0]):
        row = index.samples[sample]
        size = int(row["height"]), int(row["width"])
        sums = torch.zeros(index.classes, *size, device=next(models[0].model.parameters()).device)
        for number, (_, images) in enumerate(group):
            _add_tile(sums, images, models, number)
        yield sample, sums.argmax(0).to(torch.uint8).cpu().numpy()
        advance(1)


def _add_tile(
    sums: torch.Tensor, images: Sequence[torch.Tensor], models: Sequence[PixelModel], number: int
) -> None:
    """Add the probabilities of tile `number` to `sums`, float32 (classes, H, W). `images`: the
    tile as uint8 (1, 3, S, S) for each model."""
    height, width = sums.shape[1:]
    starts, sides = tile_windows(np.array([height]), np.array([width]), np.array([number]))
    (top, left), side = starts[0].tolist(), int(sides[0])
    for image, model in zip(images, models, strict=True):
        logits = interpolate(model.logits(image), (side, side), mode="bilinear")
        sums[:, top : top + side, left : left + side] += logits[0].softmax(0)
