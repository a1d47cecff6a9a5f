"""Read labels from the blocks of an array: what they are follows from their values."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, MisuseError
from tools.arrays.image_layouts import as_label_rows
from tools.arrays.row_labels import RowLabels, joined, label_text
from tools.download.sources import LabelCodes


def read_row_labels(name: str, blocks: Iterable[NDArray[Any]], task: str = "auto") -> RowLabels:
    """The labels of an array called `name` from its blocks (b,), (b, 1) or (b, k) of bool, integer,
    float or text.

    Whole numbers and texts are classes. Of rows of 0 and 1, exactly one 1 in each is a class, else
    several labels. Other numbers are a regression. Raises ``DataError`` for values that are not
    finite, ``MisuseError`` if they don't fit the `task`.
    """
    rows = (as_label_rows(block) for block in blocks)
    first = next(rows, None)
    if first is None:
        raise DataError(
            f"{name}: it is empty. Pass the array or column with the labels as --label-column."
        )
    everything = _chained(first, rows)
    if first.shape[1] > 1:
        return _rows_of_numbers(name, everything, task)
    return _single(name, everything, task)


class _Reader:
    """Collects labels block by block."""

    def __init__(self) -> None:
        self._codes = LabelCodes()
        self._labels: list[NDArray[np.int32]] = []

    def add(self, block: NDArray[Any]) -> None:
        """Add labels (b,) of type bool, integer, float of whole numbers, or text."""
        unique, inverse = np.unique(block, return_inverse=True)
        codes = [self._codes[label_text(value)] for value in unique.tolist()]
        self._labels.append(np.array(codes, np.int32)[inverse.reshape(-1)])

    def result(self) -> RowLabels:
        return RowLabels(
            task="classification", labels=joined(self._labels), classes=self._codes.texts
        )


def _single(name: str, rows: Iterator[NDArray[Any]], task: str) -> RowLabels:
    """One label in each row."""
    if task == "multi-label":
        raise MisuseError(f"--task multi-label: {name} has one label for each image, not several.")
    reader, numbers, fractions = _Reader(), list[NDArray[Any]](), task == "regression"
    count = 0
    for row in rows:
        block = row[:, 0]
        if block.dtype.kind == "f":
            _require_finite(name, block, count)
            fractions |= task == "auto" and bool(np.any(block != np.rint(block)))
        if block.dtype.kind in "buif":
            numbers.append(block)
        elif task == "regression":
            raise MisuseError(
                f"--task regression: {name} holds texts ({label_text(block[0])!r}), not "
                f"numbers. Pass another --task or --label-column."
            )
        count += len(block)
        if not fractions:
            reader.add(block)
    if fractions:
        return _regression(name, np.concatenate(numbers)[:, None])
    return reader.result()


def _rows_of_numbers(name: str, rows: Iterator[NDArray[Any]], task: str) -> RowLabels:
    """Several numbers in each row: one-hot, several labels, or a regression."""
    codes: list[NDArray[np.int32]] = []
    kept: list[NDArray[np.float32]] = []
    width, count = 0, 0
    for row in rows:
        if row.dtype.kind not in "buif":
            raise DataError(
                f"{name} has {row.shape[1]} texts for each image, and a label is one text. "
                f"Save one text for each image."
            )
        if row.dtype.kind == "f":
            _require_finite(name, row, count)
        width, count = row.shape[1], count + len(row)
        if not kept and task in ("auto", "classification") and _is_one_hot(row):
            codes.append(row.argmax(axis=1).astype(np.int32))
            continue
        # Rows of one 1 are kept as its column, which takes a fraction of the memory.
        if not kept:
            kept += [np.eye(width, dtype=np.float32)[block] for block in codes]
        kept.append(row.astype(np.float32))
    classes = tuple(str(column) for column in range(width))
    if not kept:
        return RowLabels(task="classification", labels=joined(codes), classes=classes, ordered=True)
    return _several_labels(name, np.concatenate(kept), classes, task)


def _is_one_hot(rows: NDArray[Any]) -> bool:
    return bool(np.all((rows == 0) | (rows == 1)) and np.all(rows.sum(axis=1) == 1))


def _several_labels(
    name: str, values: NDArray[np.float32], classes: tuple[str, ...], task: str
) -> RowLabels:
    """Rows of numbers that are not one-hot."""
    flags = (values == 0) | (values == 1)
    if task == "auto" and not flags.all() and np.all(values == np.rint(values)):
        raise MisuseError(
            f"{name} has {values.shape[1]} whole numbers for each image, not only 0 and 1. If they "
            f"are numbers to predict, pass:\n  --task regression"
        )
    if task == "regression" or (task == "auto" and not flags.all()):
        return _regression(name, values)
    if not flags.all():
        row, column = np.argwhere(~flags)[0].tolist()
        raise MisuseError(
            f"--task {task}: {name} row {row + 1} has {values[row, column]:g} in column "
            f"{column + 1}, not 0 or 1."
        )
    if task == "classification":
        row = int(np.flatnonzero(values.sum(axis=1) != 1)[0])
        raise MisuseError(
            f"--task classification: {name} row {row + 1} has {int(values[row].sum())} labels, not "
            f"one."
        )
    none = np.full(len(values), -1, np.int32)
    return RowLabels(task="multi-label", labels=none, classes=classes, ordered=True, targets=values)


def _regression(name: str, values: NDArray[Any]) -> RowLabels:
    count = values.shape[1]
    short = name.rpartition(" ")[2].rpartition("/")[2].removesuffix(".npy")
    return RowLabels(
        task="regression",
        labels=np.full(len(values), -1, np.int32),
        targets=np.ascontiguousarray(values, np.float32),
        target_names=(short,) if count == 1 else tuple(f"{short} {n + 1}" for n in range(count)),
    )


def _require_finite(name: str, block: NDArray[Any], before: int) -> None:
    rows = block.reshape(len(block), -1)
    if not np.all(finite := np.isfinite(rows)):
        row, column = np.argwhere(~finite)[0].tolist()
        raise DataError(
            f"{name} row {before + row + 1} has the label {rows[row, column]}, which is no number. "
            f"Remove the row, or give it a label."
        )


def _chained(first: NDArray[Any], others: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    yield first
    yield from others
