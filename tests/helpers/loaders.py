"""Loaders of the digits on the CPU, and what they give."""

from itertools import islice
from pathlib import Path

import torch

from pipeline.batches import Batch
from pipeline.build import train_loader
from pipeline.config import PipelineConfig
from pipeline.loader import Loader
from pipeline.storage.dataset import Dataset

CPU = torch.device("cpu")
GLOBAL_BATCH_SIZE = 24


def loader_of(
    shards: Path,
    *,
    rank: int = 0,
    world_size: int = 1,
    position: int = 0,
    steps: int | None = None,
    **settings: int,
) -> Loader:
    end = None if steps is None else position + steps * GLOBAL_BATCH_SIZE
    return train_loader(
        Dataset(shards),
        PipelineConfig(threads=1, color_jitter=0.3, seed=7, **settings),
        global_batch_size=GLOBAL_BATCH_SIZE,
        rank=rank,
        world_size=world_size,
        device=CPU,
        position=position,
        end_position=end,
    )


def taken(loader: Loader, steps: int) -> list[Batch]:
    with loader:
        return list(islice(loader, steps))
