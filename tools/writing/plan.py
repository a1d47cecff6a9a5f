"""Plan classes, splits and the shuffled order of sources. Pure functions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.plan.rng import random_words
from pipeline.storage.manifest import SPLITS
from tools.download.sources import Sources, sort_classes
from tools.duplicates.equal_files import EqualFiles
from tools.writing.splits import SplitChoice, Standing, TestUse, UnlabeledUse, choose_splits

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`class_labels`: the label of each of `classes` as the download writes it. `labels`: int32
    (n,), the class of each source, -1 without a label and unless the task is classification.
    `order`: int64, the stored sources split by split, shuffled within each. `bounds`: range [first,
    end) of each split in `order`. `choice`: how the splits were chosen. `equal`: the sources whose
    files are equal, None if they were not compared."""

    classes: tuple[str, ...]
    class_labels: tuple[str, ...]
    labels: NDArray[np.int32]
    order: Integers
    bounds: dict[str, tuple[int, int]]
    choice: SplitChoice
    equal: EqualFiles | None = None


def make_plan(
    sources: Sources,
    *,
    val: float | None,
    seed: int,
    test: TestUse = "keep",
    unlabeled: UnlabeledUse = "keep",
    standing: Standing | None = None,
    equal: EqualFiles | None = None,
) -> Plan:
    """Split and shuffle the sources; see ``choose_splits`` for the options."""
    classes = sources.classes if sources.ordered else sort_classes(sources.classes)
    labels = sources.labels
    if sources.task == "classification" and not sources.ordered:
        rank = {text: number for number, text in enumerate(classes)}
        # The last code is that of -1.
        codes = np.array([*(rank[text] for text in sources.classes), -1], np.int32)
        labels = codes[labels]
    shuffled = np.argsort(random_words(seed, np.arange(len(labels))), kind="stable")
    choice = choose_splits(
        sources,
        labels,
        shuffled,
        val=val,
        test=test,
        unlabeled=unlabeled,
        standing=standing,
        equal=equal,
    )
    stored = shuffled[choice.splits[shuffled] >= 0]
    splits = choice.splits[stored]
    order = stored[np.argsort(splits, kind="stable")]
    ends = np.cumsum(np.bincount(splits, minlength=len(SPLITS))).tolist()
    bounds = {
        name: (first, end)
        for name, first, end in zip(SPLITS, [0, *ends], ends, strict=False)
        if end > first
    }
    return Plan(
        classes=classes,
        class_labels=sources.class_labels or classes,
        labels=labels,
        order=order,
        bounds=bounds,
        choice=choice,
        equal=equal,
    )
