"""Keys of 64 bits, by which what may be equal is found among millions."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Keys = NDArray[np.uint64]

# 2 to the 64th divided by the golden ratio, as in Fibonacci hashing.
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def equal_runs(keys: Keys) -> Iterator[Integers]:
    """The numbers of those keys that several have, ascending, for each such key; a key of 0 stands
    for none. In the order of the first number of each run."""
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    # Places whose key the next place has too; those of a run follow each other.
    repeated = np.flatnonzero((ranked[1:] == ranked[:-1]) & (ranked[1:] != 0))
    del ranked
    is_first = np.append(True, np.diff(repeated) != 1)[: len(repeated)]
    starts = repeated[is_first]
    ends = repeated[np.append(is_first[1:], True)[: len(repeated)]] + 2
    for place in np.argsort(order[starts], kind="stable").tolist():
        yield order[starts[place] : ends[place]]


def mixed(*columns: NDArray[Any]) -> Keys:
    """Keys, uint64 (n,), that are equal where all columns are, and seldom elsewhere; never 0."""
    keys = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        keys ^= column.astype(np.uint64) + np.uint64(1)
        keys *= _FACTOR
        keys ^= keys >> np.uint64(29)
    return keys | np.uint64(1)
