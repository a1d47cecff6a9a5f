"""Draw a validation split by class, and without dividing groups."""

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.manifest import SPLITS
from tools.download.label_sets import TargetRows, as_sets

Integers = NDArray[np.int64]
Strata = NDArray[np.int32]
TRAIN, VAL = SPLITS.index("train"), SPLITS.index("val")


def validation_quotas(counts: Integers, fraction: float) -> Integers:
    """Validation sources of each stratum: int64 of the shape of `counts`.

    They sum to round(fraction * n); each stratum gets its share to within one (largest remainders
    first) and keeps at least one source for training.
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
    """Splits, int8 (n,): the first ``validation_quotas`` of each stratum in shuffled order are
    validation."""
    quotas = validation_quotas(np.bincount(strata), fraction)
    by_stratum = shuffled[np.argsort(strata[shuffled], kind="stable")]
    counts = np.bincount(strata, minlength=len(quotas))
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    rank = np.arange(len(strata)) - starts
    splits = np.zeros(len(strata), np.int8)
    splits[by_stratum] = np.where(rank < quotas[strata[by_stratum]], VAL, TRAIN)
    return splits


def draw_groups(
    strata: Strata, groups: NDArray[np.int32], shuffled: Integers, fraction: float
) -> NDArray[np.int8]:
    """Splits, int8 (n,), that divide no group.

    In shuffled order, a group that fits becomes validation if that brings the counts of its strata
    nearer to their shares; then other groups fill the rest. The size of validation differs from
    round(fraction * n) by at most half of the largest group, unless there is only one group.
    """
    shares = np.bincount(strata) * fraction
    room = round(float(len(strata) * fraction))
    order, starts, stratum, counts = _group_contents(strata, groups, shuffled)
    is_val = np.zeros(len(order), bool)
    # At least one group remains for training.
    spare = len(order) - 1
    for index in range(len(order)):
        part = slice(starts[index], starts[index + 1])
        members, size = stratum[part], counts[part]
        total = int(size.sum())
        if spare > 0 and total <= room and float(size @ (2 * shares[members] - size)) > 0:
            shares[members] -= size
            room, spare = room - total, spare - 1
            is_val[index] = True
    sizes = np.add.reduceat(counts, starts[:-1])
    for index in np.flatnonzero(~is_val).tolist():
        if spare > 0 and abs(room - int(sizes[index])) < abs(room):
            room, spare = room - int(sizes[index]), spare - 1
            is_val[index] = True
    splits = np.zeros(int(groups.max()) + 1, np.int8)
    splits[order[is_val]] = VAL
    return splits[groups]


def strata_of(labels: Strata, targets: TargetRows | None, task: str) -> Strata:
    """Strata that are split evenly: the class, the rarest of several labels, or one for all."""
    if task == "classification":
        return labels
    if task != "multi-label" or targets is None or not targets.shape[1]:
        return np.zeros(len(labels), np.int32)
    # Rarer classes rank higher; sources without a class are stratum 0.
    sets = as_sets(targets)
    counts = np.bincount(sets.columns, minlength=sets.classes)
    rarity = np.argsort(np.argsort(-counts, kind="stable")).astype(np.int32) + 1
    strata = np.zeros(len(labels), np.int32)
    np.maximum.at(strata, sets.rows, rarity[sets.columns])
    return strata


def _group_contents(
    strata: Strata, groups: NDArray[np.int32], shuffled: Integers
) -> tuple[Integers, Integers, Integers, Integers]:
    """Groups in the order of their first source in `shuffled`; start of each in the other two
    arrays: its strata, and its number of sources of each."""
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
