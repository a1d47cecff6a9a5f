"""Pairs of perceptual hashes that differ in few bits."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Integers = NDArray[np.int64]

MAX_DISTANCE = 4
# Six bands of 10 or 11 bits: four bits that differ leave at least two bands equal.
_BANDS = ((0, 11), (11, 11), (22, 11), (33, 11), (44, 10), (54, 10))


def near_pairs(hashes: Hashes) -> list[tuple[int, int, int]]:
    """(number, number, distance) of each pair whose hashes differ in at most MAX_DISTANCE bits,
    ascending; a hash of 0 stands for none.

    Hashes that have two of six bands in common are compared, so the time grows little faster than
    their number.
    """
    numbers = np.flatnonzero(hashes)
    some = hashes[numbers]
    pairs: dict[tuple[int, int], int] = {}
    for bands in combinations(_BANDS, 2):
        for one, other, distance in _pairs_of_equal(some, bands):
            places = np.sort(numbers[np.stack([one, other])], axis=0)
            pairs.update(zip(zip(*places.tolist(), strict=True), distance.tolist(), strict=True))
    return [(one, other, distance) for (one, other), distance in sorted(pairs.items())]


def _pairs_of_equal(
    hashes: Hashes, bands: tuple[tuple[int, int], ...]
) -> Iterator[tuple[Integers, Integers, Integers]]:
    """The near pairs of those that are equal in all `bands` of (lowest bit, bits)."""
    keys = np.zeros(len(hashes), np.uint64)
    for lowest, bits in bands:
        mask = np.uint64(2**bits - 1)
        keys = keys << np.uint64(bits) | hashes >> np.uint64(lowest) & mask
    order = np.argsort(keys, kind="stable")
    ranked, sorted_hashes = keys[order], hashes[order]
    places = np.arange(len(order))
    for step in range(1, len(order)):
        places = places[: np.searchsorted(places, len(order) - step)]
        places = places[ranked[places] == ranked[places + step]]
        if not len(places):
            return
        differing = sorted_hashes[places] ^ sorted_hashes[places + step]
        distance = np.bitwise_count(differing).astype(np.int64)
        near = distance <= MAX_DISTANCE
        yield order[places[near]], order[places[near] + step], distance[near]
