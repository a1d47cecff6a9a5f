"""Which fold holds each sample, as a pure function of seed and shards: docs/order.md defines it."""

import re
from collections.abc import Callable

import numpy as np

from pipeline.arrays import Integers
from pipeline.errors import MisuseError
from pipeline.plan.rng import random_words
from pipeline.storage.dataset import SplitIndex

# Its words are not those of a visit or of MixUp.
FOLD_KEY = 2**61


def parse_fold(text: str) -> tuple[int, int]:
    """ "2/5" -> (2, 5), fold 2 of 5; raises ``MisuseError``."""
    match = re.fullmatch(r"([1-9][0-9]*)/([1-9][0-9]*)", text)
    number, folds = map(int, match.groups()) if match else (0, 0)
    if folds < 2 or not 1 <= number <= folds:
        raise MisuseError(
            f"--fold {text}: give I/K, the fold I of K folds that is held out, such as 2/5; K is "
            f"at least 2, and I is from 1 to K."
        )
    return number, folds


def rarity_ranks(index: SplitIndex) -> Integers:
    """The rank of the rarest class that each row of the index shows, int64 (rows,): 0 for the class
    that fewest samples show, equal ones in the order of the classes; after the last for a sample
    that shows none. Tasks whose tables have no classes have only rank 0."""
    if index.task not in ("classification", "multi-label"):
        return np.zeros(len(index.samples), np.int64)
    by_rarity = np.argsort(index.class_counts, kind="stable")
    if index.task == "classification":
        # The last entry is of label -1.
        rank_of = np.append(np.argsort(by_rarity), index.classes)
        return np.asarray(rank_of[index.samples["label"]])
    ranks = np.full(len(index.samples), index.classes)
    for rank in reversed(range(index.classes)):
        ranks[index.targets[:, by_rarity[rank]] > 0] = rank
    return ranks


def draw_folds(seed: int, folds: int, *, ranks: Integers, groups: Integers) -> Integers:
    """The fold of each sample, int64 (n,), from 1 to `folds`.

    A group has the lowest rank of its samples. The groups are dealt by rank; of one rank those with
    most samples of the rank first, then the largest, then in random order. Each goes to the fold
    that has the fewest samples of the rank, of these to one with the fewest samples, of these to
    the first. So folds differ by at most one sample of each rank, and in all, without groups.

    Args:
        ranks: int64 (n,), see ``rarity_ranks``.
        groups: int64 (n,), see ``read_groups``.
    """
    firsts, members = np.unique(groups, return_inverse=True)
    sizes = np.bincount(members)
    rank = np.full(len(firsts), np.iinfo(np.int64).max)
    np.minimum.at(rank, members, ranks)
    of_rank = np.bincount(members[ranks == rank[members]], minlength=len(firsts))
    order = np.lexsort((random_words(seed, FOLD_KEY, firsts), -sizes, -of_rank, rank))

    content = _contents(members, ranks, sizes)
    # Lists, because a single element of an array takes longer.
    held, totals = [[0] * folds for _ in range(int(ranks.max()) + 1)], [0] * folds
    fold_of = np.empty(len(firsts), np.int64)
    for same_rank in np.split(order, np.flatnonzero(np.diff(rank[order])) + 1):
        held_of_rank = held[rank[same_rank[0]]]
        for group in same_rank[sizes[same_rank] > 1].tolist():
            fold = min(range(folds), key=lambda fold: (held_of_rank[fold], totals[fold]))
            for other_rank, count in content(group):
                held[other_rank][fold] += count
                totals[fold] += count
            fold_of[group] = fold
        alone = same_rank[sizes[same_rank] == 1]
        fold_of[alone] = _deal_samples(len(alone), np.array(held_of_rank), np.array(totals))
        for fold, count in enumerate(np.bincount(fold_of[alone], minlength=folds).tolist()):
            held_of_rank[fold] += count
            totals[fold] += count
    return 1 + fold_of[members]


def _contents(
    members: Integers, ranks: Integers, sizes: Integers
) -> Callable[[int], list[tuple[int, int]]]:
    """The function from a group of several samples to the (rank, number) of these; `members` (n,)
    is the group of each sample, `sizes` (groups,) the number of its samples."""
    width = int(ranks.max()) + 1
    several = sizes[members] > 1
    pairs, counts = np.unique(members[several] * width + ranks[several], return_counts=True)
    starts = np.searchsorted(pairs, np.arange(len(sizes) + 1) * width).tolist()
    contents = [*zip((pairs % width).tolist(), counts.tolist(), strict=True)]
    return lambda group: contents[starts[group] : starts[group + 1]]


def _deal_samples(count: int, held: Integers, totals: Integers) -> Integers:
    """The folds, from 0, of `count` samples of one rank that are dealt one after the other; `held`
    (folds,) are the samples of the rank that each fold has, `totals` (folds,) all of them."""
    folds = np.arange(len(held))
    # No fold gets more than this many of the rank: the least number with room for all.
    level = int((-(-(count + np.cumsum(np.sort(held))) // (folds + 1))).min())
    turns = np.maximum(level - held, 0)
    fold = np.repeat(folds, turns)
    before = np.arange(len(fold)) - np.repeat(np.cumsum(turns) - turns, turns)
    order = np.lexsort((fold, totals[fold] + before, held[fold] + before))
    return fold[order[:count]]
