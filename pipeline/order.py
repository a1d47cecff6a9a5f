"""Position -> sample, as pure functions.

The stream of a run is endless: epoch e is a permutation of the N samples keyed by (seed, e), and
position p lies at place p % N of epoch p // N. A step takes the next `global_batch_size` positions,
each rank its equal slice of them, so the world size changes nothing and a resume is one integer.
"""

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import MisuseError
from pipeline.rng import random_words, scramble

Integers = NDArray[np.int64]

ROUNDS = 8


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


def samples_at(positions: Integers, *, samples: int, seed: int) -> tuple[Integers, Integers]:
    """(epoch, sample) of each position, for a split of `samples` samples."""
    epochs, places = np.divmod(positions, samples)
    chosen = np.empty_like(places)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        chosen[here] = permute(places[here], count=samples, seed=seed, epoch=int(epoch))
    return epochs, chosen


def validation_samples(*, samples: int, rank: int, world_size: int) -> Integers:
    """The samples that `rank` evaluates: over all ranks each one exactly once."""
    return np.arange(rank * samples // world_size, (rank + 1) * samples // world_size)


def permute(places: Integers, *, count: int, seed: int, epoch: int) -> Integers:
    """The seeded permutation of range(count), at `places` only: no table, O(1) in `count`.

    A Feistel network over Z_a x Z_b with a * b >= count, walked on from what falls outside
    (Black, Rogaway: "Ciphers with arbitrary finite domains", CT-RSA 2002, method 3).
    """
    rows = math.isqrt(count - 1) + 1
    columns = -(-count // rows)
    keys = random_words(seed, epoch, np.arange(ROUNDS))
    values = places.astype(np.uint64)
    outside = np.ones(len(values), bool)
    while outside.any():
        values[outside] = _feistel(values[outside], np.uint64(rows), np.uint64(columns), keys)
        outside = values >= count
    return values.astype(np.int64)


def _feistel(
    values: NDArray[np.uint64], rows: np.uint64, columns: np.uint64, keys: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    left, right = values // columns, values % columns
    for even, odd in zip(keys[0::2], keys[1::2], strict=True):
        left = (left + (scramble(right ^ even) >> np.uint64(1))) % rows
        right = (right + (scramble(left ^ odd) >> np.uint64(1))) % columns
    return left * columns + right
