"""Plan classes, splits and the shuffled order of sources. Pure functions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.plan.rng import random_words
from tools.download.sources import SPLITS, Sources, sort_classes
from tools.writing.split_sampling import draw, draw_groups, strata_of

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`labels`: int32 (n,), the class of each source, -1 unless the task is classification.
    `order`: int64 (n,), the sources split by split, shuffled within each. `bounds`: range
    [first, end) of each split in `order`. `singles`: the number of classes with one source, which
    validation lacks."""

    classes: tuple[str, ...]
    labels: NDArray[np.int32]
    order: Integers
    bounds: dict[str, tuple[int, int]]
    singles: int


def make_plan(sources: Sources, *, val: float | None, seed: int) -> Plan:
    """Split and shuffle the sources.

    The splits of the download are used unless `val` is given. A test split, which is labeled,
    replaces a missing validation split. A drawn split has the same share of every class and divides
    no group.
    """
    classes = sources.classes if sources.ordered else sort_classes(sources.classes)
    labels = sources.labels
    if sources.task == "classification":
        rank = {text: number for number, text in enumerate(classes)}
        labels = np.array([rank[text] for text in sources.classes], np.int32)[labels]
    shuffled = np.argsort(random_words(seed, np.arange(len(labels))), kind="stable")
    if sources.splits is None or val is not None:
        splits = _draw_splits(sources, labels, shuffled, 0.1 if val is None else val)
    else:
        splits = sources.splits
        if not np.any(splits == SPLITS.index("val")):
            splits = np.where(splits == SPLITS.index("test"), SPLITS.index("val"), splits)
    order = shuffled[np.argsort(splits[shuffled], kind="stable")]
    ends = np.cumsum(np.bincount(splits, minlength=len(SPLITS))).tolist()
    bounds = {
        name: (first, end)
        for name, first, end in zip(SPLITS, [0, *ends], ends, strict=False)
        if end > first
    }
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    return Plan(
        classes=classes, labels=labels, order=order, bounds=bounds, singles=int(np.sum(counts == 1))
    )


def _draw_splits(
    sources: Sources, labels: NDArray[np.int32], shuffled: Integers, fraction: float
) -> NDArray[np.int8]:
    strata = strata_of(labels, sources.targets, sources.task)
    if sources.groups is None:
        return draw(strata, shuffled, fraction)
    return draw_groups(strata, sources.groups, shuffled, fraction)
