"""Position -> sample, as pure functions.

The stream of a run is endless: epoch e is a permutation of the N samples keyed by (seed, e), and
position p lies at place p % N of epoch p // N. A step takes the next `global_batch_size` positions,
each rank its equal slice of them, so the world size changes nothing and a resume is one integer.

An order gives, for positions (B,), the samples and the visits: numbers that tell one visit to a
sample from the next, so that (seed, visit, sample) can draw its augmentation.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.plan.rng import random_words, scramble, uniform

Integers = NDArray[np.int64]

ROUNDS = 8


def permute(places: Integers, *key: int, count: int) -> Integers:
    """The permutation of range(count) of this `key`, at `places` only: no table, O(1) in `count`.

    A Feistel network over Z_a x Z_b with a * b >= count, walked on from what falls outside
    (Black, Rogaway: "Ciphers with arbitrary finite domains", CT-RSA 2002, method 3).
    """
    rows = math.isqrt(count - 1) + 1
    columns = -(-count // rows)
    keys = random_words(*key, np.arange(ROUNDS))
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


# positions (B,) -> (visits, samples), int64 (B,) each.
Order = Callable[[Integers], tuple[Integers, Integers]]


def fixed_order(samples: int) -> Order:
    """As they lie in the shards, in every epoch."""

    def at(positions: Integers) -> tuple[Integers, Integers]:
        epochs, places = np.divmod(positions, samples)
        return epochs, places

    return at


def global_order(samples: int, seed: int) -> Order:
    """All samples shuffled with each other, anew in every epoch."""

    def at(positions: Integers) -> tuple[Integers, Integers]:
        epochs, places = np.divmod(positions, samples)
        chosen = np.empty_like(places)
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            chosen[here] = permute(places[here], seed, epoch, count=samples)
        return epochs, chosen

    return at


def window_order(shard_samples: Integers, window: int, seed: int) -> Order:
    """For disks and networks that hate random reads: in every epoch the shards are shuffled, and
    the samples of each `window` of them in a row with each other. `shard_samples`: int64 (shards,),
    how many samples each holds."""
    starts = np.cumsum(shard_samples) - shard_samples
    samples, shards = int(shard_samples.sum()), len(shard_samples)

    def at(positions: Integers) -> tuple[Integers, Integers]:
        epochs, places = np.divmod(positions, samples)
        chosen = np.empty_like(places)
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            shuffled = permute(np.arange(shards), seed, epoch, shards, count=shards)
            chosen[here] = in_epoch(places[here], epoch, shuffled)
        return epochs, chosen

    def in_epoch(places: Integers, epoch: int, shuffled: Integers) -> Integers:
        """`shuffled`: the epoch's shards in order."""
        ends = np.cumsum(shard_samples[shuffled])
        borders = np.append(0, ends[np.append(np.arange(window, shards, window), shards) - 1])
        windows = np.searchsorted(borders, places, side="right") - 1
        mixed = np.empty_like(places)
        for number in np.unique(windows).tolist():
            here = windows == number
            first, end = borders[number : number + 2].tolist()
            within = permute(places[here] - first, seed, epoch, number, count=end - first)
            mixed[here] = first + within
        shard = np.searchsorted(ends, mixed, side="right")
        return np.asarray(starts[shuffled][shard] + mixed - (ends - shard_samples[shuffled])[shard])

    return at


def weighted_order(labels: NDArray[np.int32], weights: NDArray[np.float64], seed: int) -> Order:
    """Drawn with replacement: the class by its weight, then any of its samples alike.

    `labels` are int32 (samples,), `weights` float64 (classes,), of any sum.
    """
    by_class = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=len(weights))
    starts = np.cumsum(counts) - counts
    edges = np.cumsum(np.where(counts > 0, weights, 0))
    edges /= edges[-1]

    def at(positions: Integers) -> tuple[Integers, Integers]:
        keys = random_words(seed, positions)
        drawn = np.searchsorted(edges, uniform(keys, 0), side="right")
        places = starts[drawn] + (uniform(keys, 1) * counts[drawn]).astype(np.int64)
        return positions, by_class[places]

    return at


def repeated(order: Order, times: int) -> Order:
    """Each sample `times` in a row, each visit with an augmentation of its own (repeated
    augmentation: Hoffer et al., "Augment your batch", CVPR 2020)."""

    def at(positions: Integers) -> tuple[Integers, Integers]:
        visits, samples = order(positions // times)
        return visits * times + positions % times, samples

    return at


def inverse_frequency(labels: NDArray[np.int32], classes: int) -> NDArray[np.float64]:
    """Weights that make every class of `classes` as likely as the others."""
    counts = np.bincount(labels, minlength=classes)
    return (counts > 0).astype(np.float64)
