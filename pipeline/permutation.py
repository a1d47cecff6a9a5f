"""The seeded permutation of range(count), place by place."""

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.rng import random_words, scramble

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
