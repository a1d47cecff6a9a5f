"""Which source goes where: classes, splits, one shuffled order. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.rng import random_words
from tools.sources import SPLITS

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`labels`: int32 (n,), class of each source; `order`: int64 (n,), the sources split by split,
    shuffled within each; `bounds`: split name -> places [first, end) in `order`. `singles` is the
    number of classes of one source, of which validation has none."""

    classes: tuple[str, ...]
    labels: NDArray[np.int32]
    order: Integers
    bounds: dict[str, tuple[int, int]]
    singles: int


def make_plan(
    labels: NDArray[np.int32],
    classes_found: Sequence[str],
    own_splits: NDArray[np.int8] | None,
    *,
    val: float | None,
    seed: int,
) -> Plan:
    """Divide and shuffle.

    labels: int32 (n,), indices into `classes_found`. The download's own division holds unless `val`
    is given. A test split takes the place of a missing validation split: it is labelled, and
    training never sees it.
    """
    classes = sort_classes(classes_found)
    rank = {text: number for number, text in enumerate(classes)}
    labels = np.array([rank[text] for text in classes_found], np.int32)[labels]
    shuffled = np.argsort(random_words(seed, np.arange(len(labels))), kind="stable")
    counts = np.bincount(labels, minlength=len(classes))
    if own_splits is None or val is not None:
        quotas = validation_quotas(counts, 0.1 if val is None else val)
        splits = _draw(labels, shuffled, quotas)
    else:
        splits = own_splits
        if not np.any(splits == SPLITS.index("val")):
            splits = np.where(splits == SPLITS.index("test"), SPLITS.index("val"), splits)
    order = shuffled[np.argsort(splits[shuffled], kind="stable")]
    ends = np.cumsum(np.bincount(splits, minlength=len(SPLITS))).tolist()
    bounds = {
        name: (first, end)
        for name, first, end in zip(SPLITS, [0, *ends], ends, strict=False)
        if end > first
    }
    return Plan(
        classes=classes,
        labels=labels,
        order=order,
        bounds=bounds,
        singles=int(np.sum(counts == 1)),
    )


def sort_classes(texts: Sequence[str]) -> tuple[str, ...]:
    """By number if all are integers, else by text."""
    if all(_is_integer(text) for text in texts):
        return tuple(sorted(texts, key=lambda text: (int(text), text)))
    return tuple(sorted(texts))


def validation_quotas(counts: Integers, fraction: float) -> Integers:
    """How many sources of each class go to validation: int64 of the shape of `counts`.

    Together round(fraction * n), each class its share to within one (largest remainders first), and
    of each class at least one is left to train on.
    """
    shares = counts * fraction
    quotas = np.floor(shares).astype(np.int64)
    missing = round(float(counts.sum() * fraction)) - int(quotas.sum())
    room = np.maximum(counts - 1, 0)
    largest = np.argsort(-(shares - quotas), kind="stable")
    largest = largest[quotas[largest] < room[largest]]
    quotas[largest[:missing]] += 1
    return np.asarray(np.minimum(quotas, room))


def _draw(labels: NDArray[np.int32], shuffled: Integers, quotas: Integers) -> NDArray[np.int8]:
    """The first `quotas` of each class in shuffled order are validation."""
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.bincount(labels, minlength=len(quotas))
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    place_in_class = np.arange(len(labels)) - starts
    splits = np.zeros(len(labels), np.int8)
    splits[by_class] = np.where(
        place_in_class < quotas[labels[by_class]], SPLITS.index("val"), SPLITS.index("train")
    )
    return splits


def _is_integer(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal()
