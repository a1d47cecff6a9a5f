"""Which samples stand on a contact sheet, and what is written beneath them. Pure functions of the
index and a seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.plan.rng import random_words
from pipeline.storage.manifest import Manifest
from tools.showing.dataset_summary import DatasetSummary
from tools.showing.fonts import drawable

# Up to so many classes each has rows of its own, and its name is at their left.
FEW_CLASSES = 10
COLUMNS = 12
# Masks and captions of several labels want larger tiles.
WIDE_COLUMNS = 8
_LINES = 7
_WIDE_LINES = 5
_FEW_LINES = 8

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """`rows`: of the split's index, int64 (n,), line by line; -1 is an empty place. A caption for
    each, or, if there are none, a class for each line, -1 if it is that of the line before."""

    split: str
    columns: int
    rows: Integers
    captions: tuple[str, ...] = ()
    line_classes: tuple[int, ...] = ()

    @property
    def lines(self) -> int:
        return -(-len(self.rows) // self.columns)


def pick(summary: DatasetSummary, split: str, *, seed: int) -> Sheet:
    """A fair choice of the samples of `split`: as many of each class as of any other."""
    tables, manifest = summary.splits[split], summary.manifest
    order = np.argsort(random_words(seed, np.arange(len(tables))), kind="stable")
    if manifest.task == "classification":
        return _by_class(split, tables.samples["label"], order, names(manifest), seed)
    if tables.targets is None:
        return Sheet(split=split, columns=WIDE_COLUMNS, rows=order[: WIDE_COLUMNS * _WIDE_LINES])
    if manifest.task == "regression":
        rows = _by_value(tables.targets[:, 0], order, COLUMNS * _LINES)
        captions = [", ".join(f"{value:.4g}" for value in tables.targets[row]) for row in rows]
        return Sheet(split=split, columns=COLUMNS, rows=rows, captions=tuple(captions))
    rows = _in_turn(order, tables.targets[order] > 0, WIDE_COLUMNS * _WIDE_LINES)
    shown = [np.flatnonzero(tables.targets[row] > 0).tolist() for row in rows]
    words = names(manifest)
    captions = [", ".join(words[label] for label in labels) or "(none)" for labels in shown]
    return Sheet(split=split, columns=WIDE_COLUMNS, rows=rows, captions=tuple(captions))


def names(manifest: Manifest) -> list[str]:
    """The classes, as the font can draw them."""
    return [drawable(name, f"class {number}") for number, name in enumerate(manifest.classes)]


def _by_class(
    split: str, labels: NDArray[np.int32], order: Integers, words: Sequence[str], seed: int
) -> Sheet:
    drawn = labels[order]
    present = np.unique(drawn)
    if len(present) <= FEW_CLASSES:
        return _lines_by_class(split, order, drawn, present)
    chosen = _spread(present, COLUMNS * _LINES, seed)
    rows = _of_each(order, drawn, chosen, COLUMNS * _LINES // len(chosen))
    captions = tuple(words[label] for label in labels[rows].tolist())
    return Sheet(split=split, columns=COLUMNS, rows=rows, captions=captions)


def _lines_by_class(
    split: str, order: Integers, labels: NDArray[np.int32], present: NDArray[np.int32]
) -> Sheet:
    lines = max(1, _FEW_LINES // len(present))
    rows, line_classes = [], []
    for label in present.tolist():
        mine = order[labels == label][: lines * COLUMNS]
        used = -(-len(mine) // COLUMNS)
        rows.append(np.pad(mine, (0, used * COLUMNS - len(mine)), constant_values=-1))
        line_classes += [label, *[-1] * (used - 1)]
    return Sheet(
        split=split,
        columns=COLUMNS,
        rows=np.concatenate(rows),
        line_classes=tuple(line_classes),
    )


def _spread(present: NDArray[np.int32], limit: int, seed: int) -> NDArray[np.int32]:
    """At most `limit` of the classes, in their order."""
    drawn = np.argsort(random_words(seed, np.arange(len(present))), kind="stable")[:limit]
    return np.asarray(present[np.sort(drawn)])


def _of_each(
    order: Integers, labels: NDArray[np.int32], chosen: NDArray[np.int32], count: int
) -> Integers:
    return np.concatenate([order[labels == label][:count] for label in chosen])


def _in_turn(order: Integers, shown: NDArray[np.bool_], limit: int) -> Integers:
    """Samples of each class in turn, none twice, the rarest class first. `shown`: bool (n,
    classes), in the order of `order`."""
    classes = [np.flatnonzero(shown[:, n]) for n in np.argsort(shown.sum(axis=0), kind="stable")]
    ranked = [place for turn in range(limit) for mine in classes for place in mine[turn : turn + 1]]
    taken = list(dict.fromkeys([*ranked, *range(len(order))]))[:limit]
    return order[taken]


def _by_value(values: NDArray[np.float32], order: Integers, limit: int) -> Integers:
    """Samples at even steps from the least to the greatest of `values`."""
    ranked = order[np.argsort(values[order], kind="stable")]
    steps = np.linspace(0, len(ranked) - 1, min(limit, len(ranked))).round().astype(np.int64)
    return ranked[steps]
