"""Which source goes where: classes, splits, one shuffled order. Pure functions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.plan.rng import random_words
from tools.download.sources import SPLITS, Sources, sort_classes
from tools.writing.split_sampling import draw, draw_groups, strata_of

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`labels`: int32 (n,), class of each source, -1 unless the task is classification; `order`:
    int64 (n,), the sources split by split, shuffled within each; `bounds`: split name -> places
    [first, end) in `order`. `singles` is the number of classes of one source, of which validation
    has none."""

    classes: tuple[str, ...]
    labels: NDArray[np.int32]
    order: Integers
    bounds: dict[str, tuple[int, int]]
    singles: int


def make_plan(sources: Sources, *, val: float | None, seed: int) -> Plan:
    """Divide and shuffle.

    The download's own division holds unless `val` is given. A test split takes the place of a
    missing validation split: it is labeled, and training never sees it. A drawn split is even by
    class, and leaves groups whole where there are any.
    """
    classes = sources.classes if sources.ordered else sort_classes(sources.classes)
    labels = sources.labels
    if sources.task == "classification":
        rank = {text: number for number, text in enumerate(classes)}
        labels = np.array([rank[text] for text in sources.classes], np.int32)[labels]
    shuffled = np.argsort(random_words(seed, np.arange(len(labels))), kind="stable")
    if sources.splits is None or val is not None:
        splits = _draw(sources, labels, shuffled, 0.1 if val is None else val)
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
        classes=classes,
        labels=labels,
        order=order,
        bounds=bounds,
        singles=int(np.sum(counts == 1)),
    )


def _draw(
    sources: Sources, labels: NDArray[np.int32], shuffled: Integers, fraction: float
) -> NDArray[np.int8]:
    strata = strata_of(labels, sources.targets, sources.task)
    if sources.groups is None:
        return draw(strata, shuffled, fraction)
    return draw_groups(strata, sources.groups, shuffled, fraction)
