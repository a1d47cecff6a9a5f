"""The positions and samples of each rank, as pure functions."""

import numpy as np

from pipeline.arrays import Integers
from pipeline.errors import MisuseError


def per_rank_batch_size(global_batch_size: int, world_size: int) -> int:
    """Samples per step of a rank; ``MisuseError`` if the ranks can't share them equally."""
    batch_size, rest = divmod(global_batch_size, world_size)
    if rest or not batch_size:
        lower = max(global_batch_size - rest, world_size)
        raise MisuseError(
            f"--global-batch-size {global_batch_size} can't be divided by {world_size} ranks: "
            f"use {lower} or {lower + world_size}."
        )
    return batch_size


def step_positions(
    step: int, *, start: int, global_batch_size: int, rank: int, world_size: int
) -> Integers:
    """Positions of `rank` in `step`, int64 (batch_size,); step 0 begins at position `start`."""
    batch_size = per_rank_batch_size(global_batch_size, world_size)
    first = start + step * global_batch_size + rank * batch_size
    return np.arange(first, first + batch_size, dtype=np.int64)


def validation_samples(*, samples: int, rank: int, world_size: int, multiple: int = 1) -> Integers:
    """The samples that `rank` evaluates: each sample exactly once over all ranks. A rank's first
    sample is a multiple of `multiple`."""
    chunks = -(-samples // multiple)
    first, end = (part * chunks // world_size * multiple for part in (rank, rank + 1))
    return np.arange(first, min(end, samples))
