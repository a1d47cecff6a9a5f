"""Position -> sample, as pure functions.

The stream of a run is endless: epoch e is a permutation of the N samples keyed by (seed, e), and
position p has index p % N in epoch p // N. A step takes the next `global_batch_size` positions,
each rank an equal slice of them, so the samples don't depend on the world size, and one integer is
enough to resume.

An order maps positions (B,) to samples and visits. A visit is a number that differs each time that
a sample is visited: (seed, visit, sample) determines its augmentation.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Integers, Words
from pipeline.plan.rng import random_words, scramble, uniform

ROUNDS = 8


def permute(indices: Integers, *key: int, count: int) -> Integers:
    """The permutation of range(count) keyed by `key`, evaluated at `indices` (B,) only: no table,
    O(1) in `count`.

    A Feistel network over Z_a x Z_b with a * b >= count, applied again to values out of range
    (Black, Rogaway: "Ciphers with arbitrary finite domains", CT-RSA 2002, method 3).
    """
    rows = math.isqrt(count - 1) + 1
    columns = -(-count // rows)
    keys = random_words(*key, np.arange(ROUNDS))
    values = indices.astype(np.uint64)
    outside = np.ones(len(values), bool)
    while outside.any():
        values[outside] = _feistel(values[outside], np.uint64(rows), np.uint64(columns), keys)
        outside = values >= count
    return values.astype(np.int64)


def _feistel(values: Words, rows: np.uint64, columns: np.uint64, keys: Words) -> Words:
    left, right = values // columns, values % columns
    for even, odd in zip(keys[0::2], keys[1::2], strict=True):
        left = (left + (scramble(right ^ even) >> np.uint64(1))) % rows
        right = (right + (scramble(left ^ odd) >> np.uint64(1))) % columns
    return left * columns + right


# positions (B,) -> (visits, samples), int64 (B,) each.
Order = Callable[[Integers], tuple[Integers, Integers]]


def fixed_order(samples: int) -> Order:
    """The order of the shards, in every epoch."""
    return lambda positions: np.divmod(positions, samples)


def global_order(samples: int, seed: int) -> Order:
    """All samples shuffled with each other, differently in every epoch."""
    return _by_epoch(samples, lambda indices, epoch: permute(indices, seed, epoch, count=samples))


def window_order(shard_samples: Integers, window: int, seed: int) -> Order:
    """For disks and networks with slow random reads: in every epoch the shards are shuffled, then
    the samples of each `window` consecutive shards. `shard_samples`: int64 (shards,), the number of
    samples of each."""
    starts = np.cumsum(shard_samples) - shard_samples
    shards = len(shard_samples)

    def shuffle(indices: Integers, epoch: int) -> Integers:
        order = permute(np.arange(shards), seed, epoch, shards, count=shards)
        ends = np.cumsum(shard_samples[order])
        borders = np.append(0, ends[np.append(np.arange(window, shards, window), shards) - 1])
        windows = np.searchsorted(borders, indices, side="right") - 1
        shuffled = np.empty_like(indices)
        for number in np.unique(windows).tolist():
            in_window = windows == number
            first, end = borders[number : number + 2].tolist()
            within = permute(indices[in_window] - first, seed, epoch, number, count=end - first)
            shuffled[in_window] = first + within
        shard = np.searchsorted(ends, shuffled, side="right")
        return np.asarray(starts[order][shard] + shuffled - (ends - shard_samples[order])[shard])

    return _by_epoch(int(shard_samples.sum()), shuffle)


def _by_epoch(samples: int, shuffle: Callable[[Integers, int], Integers]) -> Order:
    """The order whose epochs are `samples` long; `shuffle` maps an epoch's indices to samples."""

    def at(positions: Integers) -> tuple[Integers, Integers]:
        epochs, indices = np.divmod(positions, samples)
        shuffled = np.empty_like(indices)
        for epoch in np.unique(epochs).tolist():
            in_epoch = epochs == epoch
            shuffled[in_epoch] = shuffle(indices[in_epoch], epoch)
        return epochs, shuffled

    return at


def weighted_order(labels: NDArray[np.int32], weights: NDArray[np.float64], seed: int) -> Order:
    """Draw with replacement: a class by its weight, then one of its samples uniformly.

    `labels` are int32 (samples,), -1 for samples that are not drawn; `weights` float64 (classes,),
    of any sum.
    """
    labeled = np.flatnonzero(labels >= 0)
    by_class = labeled[np.argsort(labels[labeled], kind="stable")]
    counts = np.bincount(labels[labeled], minlength=len(weights))
    starts = np.cumsum(counts) - counts
    edges = np.cumsum(np.where(counts > 0, weights, 0))
    edges /= edges[-1]

    def at(positions: Integers) -> tuple[Integers, Integers]:
        keys = random_words(seed, positions)
        classes = np.searchsorted(edges, uniform(keys, 0), side="right")
        offsets = (uniform(keys, 1) * counts[classes]).astype(np.int64)
        return positions, by_class[starts[classes] + offsets]

    return at


def repeated(order: Order, times: int) -> Order:
    """`times` consecutive visits of each sample, each with its own augmentation (repeated
    augmentation: Hoffer et al., "Augment your batch", CVPR 2020)."""

    def at(positions: Integers) -> tuple[Integers, Integers]:
        visits, samples = order(positions // times)
        return visits * times + positions % times, samples

    return at


def renumbered(order: Order, numbers: Callable[[Integers], Integers]) -> Order:
    """The same order of the same samples; `numbers` maps those of `order` to those of the
    result."""

    def at(positions: Integers) -> tuple[Integers, Integers]:
        visits, samples = order(positions)
        return visits, numbers(samples)

    return at


def inverse_frequency(labels: NDArray[np.int32], classes: int) -> NDArray[np.float64]:
    """Weights float64 (classes,) that give every class that has samples the same probability."""
    counts = np.bincount(labels[labels >= 0], minlength=classes)
    return (counts > 0).astype(np.float64)
