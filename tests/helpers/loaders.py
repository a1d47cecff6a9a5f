"""Build training loaders on the CPU, collect their batches and compare them."""

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.batch import Batch
from pipeline.build import train_loader
from pipeline.config import PipelineConfig
from pipeline.loader import Loader
from pipeline.storage.dataset import Dataset

CPU = torch.device("cpu")
GLOBAL_BATCH_SIZE = 24


def build_loader(
    shards: Path,
    *,
    rank: int = 0,
    world_size: int = 1,
    position: int = 0,
    steps: int | None = None,
    epochs: int | None = None,
    **settings: Any,
) -> Loader:
    """A loader that ends after `steps` steps or the first `epochs` epochs; `settings` are fields of
    ``PipelineConfig``."""
    dataset, end = Dataset(shards), None
    if steps is not None:
        end = position + steps * GLOBAL_BATCH_SIZE
    if epochs is not None:
        end = epochs * dataset.manifest.splits["train"].samples
    return train_loader(
        dataset,
        PipelineConfig(**({"threads": 1} | settings)),
        global_batch_size=GLOBAL_BATCH_SIZE,
        rank=rank,
        world_size=world_size,
        device=CPU,
        position=position,
        end_position=end,
    )


def collect(loader: Loader, steps: int | None = None) -> list[Batch]:
    """The batches of one iteration, at most `steps`; closes the loader."""
    with loader:
        return list(islice(loader, steps))


def assert_same_batches(batches: list[Batch], expected: list[Batch]) -> None:
    assert len(batches) == len(expected) > 0
    for batch, other in zip(batches, expected, strict=True):
        assert np.array_equal(batch.samples, other.samples)
        assert torch.equal(batch.images, other.images)
        assert torch.equal(batch.targets, other.targets)


def assert_ranks_share_batches(ranks: list[list[Batch]], expected: list[Batch]) -> None:
    """The batches of all ranks together are the `expected` global batches."""
    for batch, *parts in zip(expected, *ranks, strict=True):
        assert np.array_equal(batch.samples, np.concatenate([part.samples for part in parts]))
        assert torch.equal(batch.images, torch.cat([part.images for part in parts]))
        assert torch.equal(batch.targets, torch.cat([part.targets for part in parts]))
