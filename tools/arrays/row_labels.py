"""The labels of the rows of arrays or of columns: class codes, several labels, or numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.text import plural
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


def require_clear_marks(name: str, labels: RowLabels) -> RowLabels:
    """`labels` without those that are all -1, as in test sets; raises ``DataError`` where only some
    are -1 beside 0, 1, ...: a class, or rows without a label."""
    numbers = [int(text) for text in labels.classes if text.removeprefix("-").isdecimal()]
    if labels.task != "classification" or -1 not in numbers:
        return labels
    if len(labels.classes) == 1:
        return RowLabels(task="classification", labels=np.full(len(labels), -1, np.int32))
    if 0 not in numbers or min(numbers) < -1 or len(numbers) < len(labels.classes):
        return labels
    marked = np.flatnonzero(labels.labels == labels.classes.index("-1"))
    rows = plural(len(marked), "row")
    raise DataError(
        f"{name} row {int(marked[0]) + 1} has the label -1 ({rows} in all): it may be a class, or "
        f"mean that there is none. Remove these rows, or give them another label."
    )


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
        raise DataError(
            f"The arrays have labels of different kinds ({tasks}). "
            f"Pass those of one kind as --labels."
        )
    if len({part.classes for part in parts}) == 1:
        labels = joined([part.labels for part in parts])
        targets = [part.targets for part in parts if part.targets is not None]
        return replace(first, labels=labels, targets=np.concatenate(targets) if targets else None)
    if first.task != "classification":
        raise DataError(
            "The arrays have different numbers of labels in a row. "
            "Pass those of one kind as --labels."
        )
    codes = LabelCodes()
    for text in sort_classes([*{text for part in parts for text in part.classes}]):
        codes[text]
    mapped = [
        np.array([*(codes[text] for text in part.classes), -1], np.int32)[part.labels]
        for part in parts
    ]
    return RowLabels(task="classification", labels=joined(mapped), classes=codes.texts)


def joined(arrays: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    """One array of all, also of none."""
    return np.concatenate(arrays) if arrays else np.empty(0, np.int32)
