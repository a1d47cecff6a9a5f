"""Choice of the samples of a contact sheet, and their captions. Pure functions of the index and a
seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from pipeline.chart_fonts import class_labels
from pipeline.plan.rng import random_words
from tools.showing.dataset_summary import DatasetSummary

# Up to this many classes have lines of their own, with the name at the left.
_FEW_CLASSES, _FEW_LINES = 10, 8
COLUMNS = 12
_TILES = 7 * COLUMNS
# Masks and captions of several labels need larger tiles.
_WIDE_COLUMNS, _WIDE_TILES = 8, 40

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """`rows`: of the split's index, int64 (n,), line by line; -1 leaves a place empty. `captions`:
    one for each row. Without captions `line_classes` may have the class of each line."""

    split: str
    rows: Integers
    columns: int = COLUMNS
    captions: Sequence[str] = ()
    line_classes: Sequence[int] = ()


def choose_samples(summary: DatasetSummary, split: str, *, seed: int) -> Sheet:
    """Samples of `split`, equally many of each class as far as there are enough. Samples without a
    label are chosen only if none has one."""
    tables, manifest = summary.splits[split], summary.manifest
    names = class_labels(manifest.classes)
    order = np.argsort(random_words(seed, np.arange(len(tables))), kind="stable")
    if not tables.labeled.any():
        return Sheet(split=split, rows=order[:_TILES])
    order = order[tables.labeled[order]]
    if manifest.task == "classification":
        labels = tables.samples["label"]
        rows = _take_equally_many(labels, order, seed)
        if len(np.unique(labels[order])) <= _FEW_CLASSES:
            return Sheet(split=split, rows=rows, line_classes=labels[rows[::COLUMNS]].tolist())
        return Sheet(split=split, rows=rows, captions=[names[n] for n in labels[rows].tolist()])
    if tables.targets is None:
        return Sheet(split=split, columns=_WIDE_COLUMNS, rows=order[:_WIDE_TILES])
    if manifest.task == "regression":
        rows = _spread_over_values(tables.targets[:, 0], order)
        captions = [", ".join(f"{value:.4g}" for value in tables.targets[row]) for row in rows]
        return Sheet(split=split, rows=rows, captions=captions)
    has_class = tables.targets > 0
    rows = _take_in_turn(order, has_class[order])
    captions = [", ".join(compress(names, row)) or "(none)" for row in has_class[rows]]
    return Sheet(split=split, columns=_WIDE_COLUMNS, rows=rows, captions=captions)


def _take_equally_many(labels: NDArray[np.int32], order: Integers, seed: int) -> Integers:
    """Whole lines of each class if there are few, else one or more tiles of as many classes as have
    room."""
    present = np.unique(labels[order])
    drawn = np.argsort(random_words(seed, np.arange(len(present))), kind="stable")[:_TILES]
    few = len(present) <= _FEW_CLASSES
    limit = COLUMNS * max(1, _FEW_LINES // len(drawn)) if few else _TILES // len(drawn)
    shown = [order[labels[order] == label][:limit] for label in np.sort(present[drawn])]
    if few:
        shown = [np.pad(rows, (0, -len(rows) % COLUMNS), constant_values=-1) for rows in shown]
    return np.concatenate(shown)


def _take_in_turn(order: Integers, has_class: NDArray[np.bool_]) -> Integers:
    """Samples of each class in turn, none twice, the rarest class first. `has_class`: bool (n,
    classes), in the order of `order`."""
    rarest = np.argsort(has_class.sum(axis=0), kind="stable")
    members = [np.flatnonzero(has_class[:, label]).tolist() for label in rarest]
    turns = [n for turn in range(_WIDE_TILES) for rows in members for n in rows[turn : turn + 1]]
    return order[list(dict.fromkeys([*turns, *range(len(order))]))[:_WIDE_TILES]]


def _spread_over_values(values: NDArray[np.float32], order: Integers) -> Integers:
    """Samples at even steps from the smallest to the largest of `values`."""
    ranked = order[np.argsort(values[order], kind="stable")]
    steps = np.linspace(0, len(ranked) - 1, min(_TILES, len(ranked))).round().astype(np.int64)
    return ranked[steps]
