"""The labels of the rows of an array or of a column: class codes, several labels, or numbers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, MisuseError
from tools.arrays.image_layouts import as_label_rows
from tools.download.sources import LabelCodes, sort_classes


@dataclass(frozen=True, kw_only=True)
class RowLabels:
    """The targets of n rows; the fields are those of ``Sources``.

    `labels`: int32 (n,), indices into `classes`; -1 for a row without a label and for tasks other
    than classification, whose `targets` are then not a number.
    """

    task: str
    labels: NDArray[np.int32]
    classes: tuple[str, ...] = ()
    ordered: bool = False
    targets: NDArray[np.float32] | None = None
    target_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which rows have no label: bool (n,)."""
        if self.task == "classification":
            return np.asarray(self.labels < 0)
        if self.targets is None:
            return np.zeros(len(self), np.bool_)
        return np.asarray(np.isnan(self.targets).any(axis=1))

    @property
    def class_count(self) -> int | None:
        """The number of classes; None if the task has none."""
        return None if self.task == "regression" else len(self.classes)


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
            task="classification", labels=_joined(self._labels), classes=self._codes.texts
        )


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
        raise DataError(f"{name}: it is empty, not the labels of images.")
    everything = _chained(first, rows)
    if first.shape[1] > 1:
        return _rows_of_numbers(name, everything, task)
    return _single(name, everything, task)


def label_text(value: Any) -> str:
    """A label as it is written: 3.0 as "3", bytes as UTF-8, without blanks around it."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace").strip()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def name_labels(labels: RowLabels, names: Sequence[str]) -> RowLabels | None:
    """`labels` with the `names` of the classes 0, 1, ...; None if a label is no index of them."""
    if labels.task != "classification" or not all(text.isdecimal() for text in labels.classes):
        return None
    numbers = [int(text) for text in labels.classes]
    if len(set(names)) < len(names) or any(number >= len(names) for number in numbers):
        return None
    codes = np.array([*numbers, -1], np.int32)[labels.labels]
    return replace(labels, labels=codes, classes=tuple(names), ordered=True)


def say_the_same(readings: Sequence[RowLabels]) -> bool:
    """Whether all are classes that divide the rows equally, as numbers and their names do."""
    if any(reading.task != "classification" for reading in readings):
        return False
    first = readings[0].labels.tolist()
    for reading in readings[1:]:
        couples = set(zip(first, reading.labels.tolist(), strict=True))
        if len(couples) != len(set(first)) or len(couples) != len(set(reading.labels.tolist())):
            return False
    return True


def spread_labels(labels: RowLabels, present: NDArray[np.bool_]) -> RowLabels:
    """`labels` of the rows that are `present`, bool (n,), as labels of all n rows."""
    rows = np.full(len(present), -1, np.int32)
    rows[present] = labels.labels
    if labels.targets is None:
        return replace(labels, labels=rows)
    targets = np.full((len(present), labels.targets.shape[1]), np.nan, np.float32)
    targets[present] = labels.targets
    return replace(labels, labels=rows, targets=targets)


def join_labels(parts: Sequence[RowLabels]) -> RowLabels:
    """The labels of several arrays, one after the other; raises ``DataError`` if their tasks or
    columns differ."""
    first = parts[0]
    if len({(part.task, part.target_names) for part in parts}) > 1:
        tasks = " and ".join(sorted({part.task for part in parts}))
        raise DataError(f"The arrays have labels of different kinds ({tasks}).")
    if len({part.classes for part in parts}) == 1:
        labels = _joined([part.labels for part in parts])
        targets = [part.targets for part in parts if part.targets is not None]
        return replace(first, labels=labels, targets=np.concatenate(targets) if targets else None)
    if first.task != "classification":
        raise DataError("The arrays have different numbers of labels in a row.")
    codes = LabelCodes()
    for text in sort_classes([*{text for part in parts for text in part.classes}]):
        codes[text]
    mapped = [
        np.array([*(codes[text] for text in part.classes), -1], np.int32)[part.labels]
        for part in parts
    ]
    return RowLabels(task="classification", labels=_joined(mapped), classes=codes.texts)


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
            raise MisuseError(f"--task regression: {name} holds texts ({label_text(block[0])!r}).")
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
            raise DataError(f"{name} has {row.shape[1]} texts for each image; a label is one text.")
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
        return RowLabels(
            task="classification", labels=_joined(codes), classes=classes, ordered=True
        )
    return _several_labels(name, np.concatenate(kept), classes, task)


def _is_one_hot(rows: NDArray[Any]) -> bool:
    return bool(np.all((rows == 0) | (rows == 1)) and np.all(rows.sum(axis=1) == 1))


def _several_labels(
    name: str, values: NDArray[np.float32], classes: tuple[str, ...], task: str
) -> RowLabels:
    """Rows of numbers that are not one-hot."""
    flags = (values == 0) | (values == 1)
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
    if not np.all(finite := np.isfinite(block.reshape(len(block), -1)).all(axis=1)):
        row = int(np.flatnonzero(~finite)[0])
        raise DataError(
            f"{name} row {before + row + 1} has the label {block.reshape(len(block), -1)[row]}, "
            f"which is no number. Remove the row, or give it a label."
        )


def _chained(first: NDArray[Any], others: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    yield first
    yield from others


def _joined(arrays: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    return np.concatenate(arrays) if arrays else np.empty(0, np.int32)
