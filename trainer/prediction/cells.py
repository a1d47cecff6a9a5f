"""Texts of predictions for the cells of a table.

Each function returns one that maps predictions, float64 (n, K), to the texts of n cells.
"""

from collections.abc import Callable, Sequence

import numpy as np

from trainer.prediction.values import Floats

Cells = Callable[[Floats], list[str]]


def number_text(value: float) -> str:
    """A number with at most seven digits: the precision of float32 is 7.2."""
    return format(value, ".7g")


def number_cells(column: int) -> Cells:
    """The prediction of one class or target."""
    return lambda values: [number_text(value) for value in values[:, column].tolist()]


def label_cells(labels: Sequence[str]) -> Cells:
    """The label of the most probable class."""
    return lambda values: [labels[k] for k in values.argmax(1).tolist()]


def top_label_cells(labels: Sequence[str], separator: str, count: int) -> Cells:
    """The labels of the `count` most probable classes, the most probable first."""

    def cells(values: Floats) -> list[str]:
        order = np.argsort(-values, axis=1, kind="stable")[:, :count]
        return [separator.join(labels[k] for k in row) for row in order.tolist()]

    return cells


def several_label_cells(labels: Sequence[str], separator: str, threshold: float) -> Cells:
    """The labels of all classes with a probability of at least `threshold`."""

    def cells(values: Floats) -> list[str]:
        rows = (np.flatnonzero(row >= threshold).tolist() for row in values)
        return [separator.join(labels[k] for k in row) for row in rows]

    return cells
