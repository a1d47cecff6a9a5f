"""Choose the split of each source: the download's, with validation drawn where it has none."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.manifest import SPLITS
from tools.download.sources import Sources
from tools.duplicates.equal_files import EqualFiles
from tools.writing.split_sampling import TRAIN, VAL, draw, draw_groups, strata_of

Integers = NDArray[np.int64]
TestUse = Literal["keep", "as-val"]
UnlabeledUse = Literal["keep", "drop"]
TEST = SPLITS.index("test")
LEFT_OUT = -1
VAL_FRACTION = 0.1


@dataclass(frozen=True, kw_only=True)
class SplitChoice:
    """`splits`: int8 (n,), indices into SPLITS, or LEFT_OUT. `val_from`: the splits of the download
    that validation comes from, () without validation. `singles`: the number of classes with one
    source to draw from, which a drawn validation lacks."""

    splits: NDArray[np.int8]
    val_from: tuple[str, ...]
    singles: int = 0

    @property
    def is_drawn(self) -> bool:
        """Whether validation was drawn; else it is a whole split of the download."""
        return "train" in self.val_from


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What decides the splits of sources that are added to a dataset. `splits`: int8 (n,), TRAIN or
    VAL where an earlier version of a source or its group stands there, else -1. `val_from`: the
    split that the validation of the whole download comes from, () if it is drawn."""

    splits: NDArray[np.int8]
    val_from: tuple[str, ...]


def choose_splits(
    sources: Sources,
    labels: NDArray[np.int32],
    shuffled: Integers,
    *,
    val: float | None,
    test: TestUse,
    unlabeled: UnlabeledUse = "keep",
    standing: Standing | None = None,
    equal: EqualFiles | None = None,
) -> SplitChoice:
    """The split of each source.

    A source without a label is in test, or left out if `unlabeled` is "drop". With `test` "as-val"
    the labeled sources of test replace a missing validation split, and those without a label are
    left out. Validation is drawn from train if the download has none; from train and val together
    if `val` is given, the fraction. A drawn split has the same share of every class and divides no
    group. Where a group or an earlier version of a source is `standing`, it stays in that split.
    Sources of `equal` files are drawn as one; or the first one is kept, in test before val before
    train, and others are left out, but not in test.

    Args:
        labels: int32 (n,), the class of each source, -1 for none.
        shuffled: int64 (n,), a permutation, from which sources are drawn.
    """
    splits = np.zeros(len(labels), np.int8) if sources.splits is None else sources.splits.copy()
    splits[~sources.has_label] = TEST if unlabeled == "keep" else LEFT_OUT
    own: tuple[str, ...] = standing.val_from if standing else ()
    own = ("val",) if np.any(splits == VAL) else own
    if test == "as-val" and own != ("val",):
        own = _replace_val_by_test(splits, sources.has_label) or own
    if equal is not None and equal.drop:
        splits[_copies(splits, equal.first)] = LEFT_OUT
    pool = np.flatnonzero((splits == TRAIN) | (splits == VAL))
    if (val is None and own) or not len(pool):
        return SplitChoice(splits=splits, val_from=own)
    if standing is not None:
        stays = standing.splits[pool] >= 0
        splits[pool[stays]] = standing.splits[pool[stays]]
        pool = pool[~stays]
    if len(pool):
        fraction = VAL_FRACTION if val is None else val
        splits[pool] = _draw(sources, labels, shuffled, pool, fraction, equal)
    counts = np.bincount(labels[pool][labels[pool] >= 0])
    return SplitChoice(
        splits=splits,
        val_from=("train", *own) if np.any(splits == VAL) else (),
        singles=int(np.sum(counts == 1)),
    )


def download_val(
    splits: NDArray[np.int8] | None, labeled: NDArray[np.bool_], test: TestUse
) -> tuple[str, ...]:
    """The split of a download that its validation comes from; () if validation is drawn."""
    if splits is None:
        return ()
    if np.any(splits == VAL):
        return ("val",)
    return ("test",) if test == "as-val" and np.any((splits == TEST) & labeled) else ()


def _replace_val_by_test(splits: NDArray[np.int8], has_label: NDArray[np.bool_]) -> tuple[str, ...]:
    """Make the labeled sources of test validation and leave out its others, in place; nothing if
    none is labeled. Returns the split that validation is from."""
    labeled = (splits == TEST) & has_label
    if not labeled.any():
        return ()
    splits[splits == TEST] = LEFT_OUT
    splits[labeled] = VAL
    return ("test",)


def draws_validation(
    sources: Sources, *, val: float | None, test: TestUse, standing: Standing | None = None
) -> bool:
    """Whether ``choose_splits`` will draw validation."""
    if val is None and standing is not None and standing.val_from:
        return False
    if val is not None or sources.splits is None:
        return val != 0
    labeled = sources.splits[sources.has_label]
    own = VAL in labeled or (test == "as-val" and TEST in labeled)
    return not own and TRAIN in labeled


def _copies(splits: NDArray[np.int8], first: Integers) -> Integers:
    """The sources that are left out as copies of others."""
    stored = np.flatnonzero(splits >= 0)
    rank = np.select([splits[stored] == TEST, splits[stored] == VAL], [0, 1], 2)
    ranked = stored[np.lexsort((stored, rank, first[stored]))]
    is_copy = np.append(False, first[ranked[1:]] == first[ranked[:-1]])[: len(ranked)]
    return np.asarray(ranked[is_copy & (splits[ranked] != TEST)])


def _draw(
    sources: Sources,
    labels: NDArray[np.int32],
    shuffled: Integers,
    pool: Integers,
    fraction: float,
    equal: EqualFiles | None = None,
) -> NDArray[np.int8]:
    """Splits of the sources `pool`: int8 (pool,), TRAIN or VAL."""
    if equal is not None:
        distinct, places = _distinct(equal.first[pool], labels[pool])
        if len(distinct) < len(pool):
            groups = joined_groups(sources.groups, pool, places)
            merged = replace(sources, groups=groups) if groups is not None else sources
            return _draw(merged, labels, shuffled, pool[distinct], fraction)[places]
    places = np.full(len(labels), -1, np.int64)
    places[pool] = np.arange(len(pool))
    order = places[shuffled]
    order = order[order >= 0]
    targets = None if sources.targets is None else sources.targets[pool]
    strata = strata_of(labels[pool], targets, sources.task)
    if sources.groups is None:
        return draw(strata, order, fraction)
    return draw_groups(strata, sources.groups[pool], order, fraction)


def _distinct(first: Integers, labels: NDArray[np.int32]) -> tuple[Integers, Integers]:
    """The indices in `first` of one source of each value, int64 ascending, and for each source the
    place of its own there. One of the rarest class stands for those with the same file."""
    counts = np.bincount(labels + 1)
    ranked = np.lexsort((counts[labels + 1], first))
    is_first = np.append(True, np.diff(first[ranked]) != 0)
    chosen = ranked[is_first]
    distinct, places = np.sort(chosen), np.empty(len(first), np.int64)
    places[ranked] = np.searchsorted(distinct, chosen)[np.cumsum(is_first) - 1]
    return distinct, places


def joined_groups(
    groups: NDArray[np.int32] | None, pool: Integers, places: Integers
) -> NDArray[np.int32] | None:
    """`groups` of the sources, where those that share a file of `pool` are one group: the sources
    `pool` with equal `places` have equal files. None without groups."""
    if groups is None:
        return None
    parents = np.arange(int(groups.max()) + 1)

    def root(code: int) -> int:
        while parents[code] != code:
            parents[code] = parents[parents[code]]
            code = int(parents[code])
        return code

    shared = np.unique(np.stack([places, groups[pool]], axis=1), axis=0)
    for before, after in pairwise(shared.tolist()):
        if before[0] == after[0]:
            one, other = sorted((root(before[1]), root(after[1])))
            parents[other] = one
    roots = np.array([root(code) for code in range(len(parents))], np.int32)
    return roots[groups]
