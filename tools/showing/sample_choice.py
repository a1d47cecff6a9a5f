"""Choice of the samples of a contact sheet, and their captions. Pure functions of the index and a
seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.plan.rng import random_words
from tools.showing.dataset_summary import DatasetSummary
from tools.showing.fonts import class_labels

# Up to this many classes have lines of their own, with the name at the left.
_FEW_CLASSES, _FEW_LINES = 10, 8
COLUMNS = 12
_TILES = 7 * COLUMNS
# Masks and captions of several labels need larger tiles.
_WIDE_COLUMNS = 8
_WIDE_TILES = 5 * _WIDE_COLUMNS

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """`rows`: of the split's index, int64 (n,), line by line; -1 leaves a place empty. `captions`:
    one for each row. Without captions `line_classes` may name the class of each line, -1 where the
    class of the line above continues."""

    split: str
    rows: Integers
    columns: int = COLUMNS
    captions: tuple[str, ...] = ()
    line_classes: tuple[int, ...] = ()


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
        return _choose_by_class(split, tables.samples["label"], order, names, seed)
    if tables.targets is None:
        return Sheet(split=split, columns=_WIDE_COLUMNS, rows=order[:_WIDE_TILES])
    if manifest.task == "regression":
        rows = _spread_over_values(tables.targets[:, 0], order)
        values = (", ".join(f"{value:.4g}" for value in tables.targets[row]) for row in rows)
        return Sheet(split=split, rows=rows, captions=tuple(values))
    rows = _take_in_turn(order, tables.targets[order] > 0)
    present = (np.flatnonzero(tables.targets[row] > 0).tolist() for row in rows)
    captions = (", ".join(names[label] for label in labels) or "(none)" for labels in present)
    return Sheet(split=split, columns=_WIDE_COLUMNS, rows=rows, captions=tuple(captions))


def _choose_by_class(
    split: str, labels: NDArray[np.int32], order: Integers, names: Sequence[str], seed: int
) -> Sheet:
    present = np.unique(labels[order])
    by_class = {label: order[labels[order] == label] for label in present.tolist()}
    if len(present) <= _FEW_CLASSES:
        return _fill_lines(split, by_class)
    drawn = np.argsort(random_words(seed, np.arange(len(present))), kind="stable")[:_TILES]
    count = _TILES // len(drawn)
    rows = np.concatenate([by_class[label][:count] for label in np.sort(present[drawn]).tolist()])
    captions = tuple(names[label] for label in labels[rows].tolist())
    return Sheet(split=split, rows=rows, captions=captions)


def _fill_lines(split: str, by_class: dict[int, Integers]) -> Sheet:
    """Whole lines of each class."""
    limit = COLUMNS * max(1, _FEW_LINES // len(by_class))
    rows, line_classes = [], []
    for label, samples in by_class.items():
        shown = samples[:limit]
        rows.append(np.pad(shown, (0, -len(shown) % COLUMNS), constant_values=-1))
        line_classes += [label, *[-1] * (len(rows[-1]) // COLUMNS - 1)]
    return Sheet(split=split, rows=np.concatenate(rows), line_classes=tuple(line_classes))


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
