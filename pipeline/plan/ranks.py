"""Which rank takes which positions and samples, as pure functions."""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import MisuseError

Integers = NDArray[np.int64]


def per_rank_batch_size(global_batch_size: int, world_size: int) -> int:
    """Samples a rank takes in a step; ``MisuseError`` if the ranks can't share them equally."""
    batch_size, rest = divmod(global_batch_size, world_size)
    if rest or not batch_size:
        lower = max(global_batch_size - rest, world_size)
        raise MisuseError(
            f"--global-batch-size {global_batch_size} can't be divided by {world_size} ranks: "
            f"take {lower} or {lower + world_size}."
        )
    return batch_size


def step_positions(
    step: int, *, start: int, global_batch_size: int, rank: int, world_size: int
) -> Integers:
    """Positions that `rank` takes in `step`, counted from position `start`; shape (batch_size,)."""
    batch_size = per_rank_batch_size(global_batch_size, world_size)
    first = start + step * global_batch_size + rank * batch_size
    return np.arange(first, first + batch_size, dtype=np.int64)


def validation_samples(*, samples: int, rank: int, world_size: int) -> Integers:
    """The samples that `rank` evaluates: over all ranks each one exactly once."""
    return np.arange(rank * samples // world_size, (rank + 1) * samples // world_size)
