"""Choose the split of each source: the download's, with validation drawn where it has none."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.manifest import SPLITS
from tools.download.sources import Sources
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
) -> SplitChoice:
    """The split of each source.

    A source without a label is in test, or left out if `unlabeled` is "drop". With `test` "as-val"
    the labeled sources of test replace a missing validation split, and those without a label are
    left out. Validation is drawn from train if the download has none; from train and val together
    if `val` is given, the fraction. A drawn split has the same share of every class and divides no
    group. Where a group or an earlier version of a source is `standing`, it stays in that split.

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
    pool = np.flatnonzero((splits == TRAIN) | (splits == VAL))
    if (val is None and own) or not len(pool):
        return SplitChoice(splits=splits, val_from=own)
    if standing is not None:
        stays = standing.splits[pool] >= 0
        splits[pool[stays]] = standing.splits[pool[stays]]
        pool = pool[~stays]
    if len(pool):
        splits[pool] = _draw(sources, labels, shuffled, pool, VAL_FRACTION if val is None else val)
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


def _draw(
    sources: Sources, labels: NDArray[np.int32], shuffled: Integers, pool: Integers, fraction: float
) -> NDArray[np.int8]:
    """Splits of the sources `pool`: int8 (pool,), TRAIN or VAL."""
    places = np.full(len(labels), -1, np.int64)
    places[pool] = np.arange(len(pool))
    order = places[shuffled]
    order = order[order >= 0]
    targets = None if sources.targets is None else sources.targets[pool]
    strata = strata_of(labels[pool], targets, sources.task)
    if sources.groups is None:
        return draw(strata, order, fraction)
    return draw_groups(strata, sources.groups[pool], order, fraction)
