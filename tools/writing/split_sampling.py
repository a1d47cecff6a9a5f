"""Drawing a validation split: by class, and by group where groups must stay whole."""

import numpy as np
from numpy.typing import NDArray

from tools.download.sources import SPLITS

Integers = NDArray[np.int64]
Strata = NDArray[np.int32]
TRAIN, VAL = SPLITS.index("train"), SPLITS.index("val")


def validation_quotas(counts: Integers, fraction: float) -> Integers:
    """How many sources of each stratum go to validation: int64 of the shape of `counts`.

    Together round(fraction * n), each stratum its share to within one (largest remainders first),
    and of each stratum at least one is left to train on.
    """
    shares = counts * fraction
    quotas = np.floor(shares).astype(np.int64)
    missing = round(float(counts.sum() * fraction)) - int(quotas.sum())
    room = np.maximum(counts - 1, 0)
    largest = np.argsort(-(shares - quotas), kind="stable")
    largest = largest[quotas[largest] < room[largest]]
    quotas[largest[:missing]] += 1
    return np.asarray(np.minimum(quotas, room))


def draw(strata: Strata, shuffled: Integers, fraction: float) -> NDArray[np.int8]:
    """Splits, int8 (n,): the first of each stratum in shuffled order are validation, as many as
    ``validation_quotas`` says."""
    quotas = validation_quotas(np.bincount(strata), fraction)
    by_stratum = shuffled[np.argsort(strata[shuffled], kind="stable")]
    counts = np.bincount(strata, minlength=len(quotas))
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    place = np.arange(len(strata)) - starts
    splits = np.zeros(len(strata), np.int8)
    splits[by_stratum] = np.where(place < quotas[strata[by_stratum]], VAL, TRAIN)
    return splits


def draw_groups(
    strata: Strata, groups: NDArray[np.int32], shuffled: Integers, fraction: float
) -> NDArray[np.int8]:
    """Splits, int8 (n,), that divide no group.

    In shuffled order a group goes to validation where that brings the counts of its strata nearer
    to their shares, as long as there is room; then others fill what is missing. Validation ends
    within half of the largest group of round(fraction * n), unless one group is all there is.
    """
    missing = np.bincount(strata) * fraction
    room = round(float(len(strata) * fraction))
    order, starts, stratum, counts = _contents(strata, groups, shuffled)
    taken = np.zeros(len(order), bool)
    # One group at least is left to train on.
    left = len(order) - 1
    for place in range(len(order)):
        own = slice(starts[place], starts[place + 1])
        here, size = stratum[own], counts[own]
        total = int(size.sum())
        if left > 0 and total <= room and float(size @ (2 * missing[here] - size)) > 0:
            missing[here] -= size
            room, left = room - total, left - 1
            taken[place] = True
    sizes = np.add.reduceat(counts, starts[:-1])
    for place in np.flatnonzero(~taken).tolist():
        if left > 0 and abs(room - int(sizes[place])) < abs(room):
            room, left = room - int(sizes[place]), left - 1
            taken[place] = True
    chosen = np.zeros(int(groups.max()) + 1, np.int8)
    chosen[order[taken]] = VAL
    return chosen[groups]


def strata_of(labels: Strata, targets: NDArray[np.float32] | None, task: str) -> Strata:
    """What is to be spread evenly: the class; of several labels the rarest; else all alike."""
    if task == "classification":
        return labels
    if task != "multi-label" or targets is None or not targets.shape[1]:
        return np.zeros(len(labels), np.int32)
    # A class is worth more the rarer it is; what shows none is a stratum of its own.
    rarity = np.argsort(np.argsort(-targets.sum(axis=0), kind="stable")).astype(np.float32) + 1
    strata = np.empty(len(labels), np.int32)
    for first in range(0, len(labels), 2**14):
        strata[first : first + 2**14] = (targets[first : first + 2**14] * rarity).max(axis=1)
    return strata


def _contents(
    strata: Strata, groups: NDArray[np.int32], shuffled: Integers
) -> tuple[Integers, Integers, Integers, Integers]:
    """Groups in the order of their first source in `shuffled`; where each begins in the other two:
    strata, and how many sources of it the group holds."""
    first = np.full(int(groups.max()) + 1, len(groups), np.int64)
    np.minimum.at(first, groups[shuffled], np.arange(len(shuffled)))
    rank = np.empty(len(first), np.int64)
    order = np.argsort(first, kind="stable")
    rank[order] = np.arange(len(order))
    width = int(strata.max()) + 1
    keys, counts = np.unique(rank[groups] * width + strata, return_counts=True)
    present = int((first < len(groups)).sum())
    starts = np.searchsorted(keys, np.arange(present + 1) * width)
    return order[:present], starts, keys % width, counts
