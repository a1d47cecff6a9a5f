"""Which samples are a part of the training data, as a pure function of seed and shards:
docs/order.md defines it."""

import re
from fractions import Fraction
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Integers
from pipeline.errors import MisuseError
from pipeline.plan.rng import random_words

# Its words are not those of a visit, of MixUp or of folds.
PART_KEY = 2**60


def parse_train_samples(text: str) -> int | Fraction:
    """ "500" -> 500 samples, "12.5%" -> 1/8 of all; raises ``MisuseError``."""
    match = re.fullmatch(r"([0-9]{1,18})|([0-9]{1,18}(?:\.[0-9]{1,18})?)%", text)
    if match and match[1] and int(match[1]):
        return int(match[1])
    if match and match[2] and 0 < Fraction(match[2]) <= 100:
        return Fraction(match[2]) / 100
    raise MisuseError(
        f"--train-samples {text}: give a number of samples of at least 1, such as 500, or a share "
        f"above 0% and up to 100%, such as 10%."
    )


def part_size(part: int | Fraction, samples: int) -> int:
    """The number of samples that `part` of `samples` has: the nearest integer, halves rounded up.
    It is above `samples` if `part` is a number above it."""
    return part if isinstance(part, int) else int(part * samples + Fraction(1, 2))


def order_for_parts(
    seed: int, *, rows: Integers, ranks: Integers, shown: NDArray[np.bool_] | None = None
) -> tuple[Integers, int]:
    """A random order of n samples that begins with those that show each class once.

    Args:
        rows: int64 (n,), ascending.
        ranks: int64 (n,), see ``rarity_ranks``.
        shown: bool (n, classes), whether a sample shows a class, the rarest class first; None if
            each sample shows the class of its rank only.

    Returns:
        The numbers, from 0, of the samples in this order, int64 (n,); and how many samples it
        begins with, which every part has.
    """
    order = np.argsort(random_words(seed, PART_KEY, rows), kind="stable")
    if shown is None:
        _, firsts = np.unique(ranks[order], return_index=True)
    else:
        firsts = _first_of_each_class(shown[order])
    return np.concatenate([order[firsts], np.delete(order, firsts)]), len(firsts)


def _first_of_each_class(shown: NDArray[np.bool_]) -> Integers:
    """For each class in turn that none of the samples so far shows, the first one that does."""
    firsts: list[int] = []
    for column in shown.T:
        if column.any() and not column[firsts].any():
            firsts.append(int(column.argmax()))
    return np.array(firsts, np.int64)


def draw_part(ranks: Integers, *, needed: int, count: int) -> Integers:
    """The first `count` samples of the sequence that takes the first `needed` samples, and then one
    after the other from the ranks in proportion to their samples: int64 (count,), numbers from 0.

    Args:
        ranks: int64 (n,), of the samples in the order of ``order_for_parts``. The samples of a rank
            are taken in this order.
        needed, count: `needed` <= `count` <= n.
    """
    if count == len(ranks):
        return np.arange(count)
    _, members = np.unique(ranks, return_inverse=True)
    sizes = np.bincount(members)
    taken = np.bincount(members[:needed], minlength=len(sizes))
    counts = np.array(share_out(sizes.tolist(), taken.tolist(), count))
    by_rank = np.argsort(members, kind="stable")
    number_in_rank = np.empty(len(ranks), np.int64)
    number_in_rank[by_rank] = np.arange(len(ranks)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.flatnonzero(number_in_rank < counts[members])


def share_out(sizes: list[int], taken: list[int], count: int) -> list[int]:
    """How many of `count` samples are of each rank, of which there are `sizes` and of which `taken`
    are taken already, if the others are taken one by one.

    This is the quota method of Balinski and Young ("The quota method of apportionment", American
    Mathematical Monthly 82, 1975): a larger part has all that a smaller one has, and no rank has
    more than its share rounded up, or less than its share rounded down unless `taken` has more of
    another rank than its share.
    """
    total, counts = sum(sizes), [*taken]

    def next_of(rank: int) -> tuple[int, float, int]:
        """The length of the part from which on the rank may have another sample, and its turn."""
        have, size = counts[rank], sizes[rank]
        return have * total // size + 1, (have + 1) / size, rank

    waiting = [next_of(rank) for rank, size in enumerate(sizes) if counts[rank] < size]
    heapify(waiting)
    ready: list[tuple[float, int]] = []
    for length in range(sum(taken) + 1, count + 1):
        while waiting and waiting[0][0] <= length:
            heappush(ready, heappop(waiting)[1:])
        _, rank = heappop(ready)
        counts[rank] += 1
        if counts[rank] < sizes[rank]:
            heappush(waiting, next_of(rank))
    return counts
