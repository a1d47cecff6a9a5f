"""Tables of predictions per image: labels, probabilities, and the sample submission's form."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.prediction.cells import label_cells, number_cells, several_label_cells
from trainer.prediction.sample_submission import SampleSubmission
from trainer.prediction.submission_form import Form, Names
from trainer.prediction.values import Floats
from trainer.tasks.multi_label import MultiLabel
from trainer.tasks.regression import Regression
from trainer.tasks.tasks import Task


@dataclass(frozen=True, kw_only=True)
class PredictionTable:
    """`header`, and `rows` of as many texts."""

    header: tuple[str, ...]
    rows: Iterator[tuple[str, ...]]


def label_table(task: Task, names: Names, ids: Sequence[str], values: Floats) -> PredictionTable:
    """A row for each sample: its id and the predicted class, all classes with a probability of at
    least the threshold (multi-label), or each target (regression)."""
    if isinstance(task, Regression):
        return _table(("id", *names.classes), ids, _number_columns(values))
    if isinstance(task, MultiLabel):
        cells = several_label_cells(names.classes, names.separator, names.threshold)(values)
    else:
        cells = label_cells(names.classes)(values)
    return _table(("id", "label"), ids, [cells])


def probability_table(names: Names, ids: Sequence[str], values: Floats) -> PredictionTable:
    """A row for each sample: its id and the probability of each class."""
    return _table(("id", *names.classes), ids, _number_columns(values))


def submission_table(sample: SampleSubmission, form: Form, values: Floats) -> PredictionTable:
    """A row for each row of the sample submission; rows whose id no sample has stay as they are.
    `values` are those of all samples of the split."""
    rows = np.array([-1 if row is None else row for row in sample.samples], np.int64)
    columns = list(sample.cells)
    for number, cells in form.columns.items():
        filled = zip(cells(values[rows]), sample.cells[number], rows >= 0, strict=True)
        columns[number] = tuple(new if known else old for new, old, known in filled)
    return PredictionTable(header=sample.columns, rows=zip(*columns, strict=True))


def _number_columns(values: Floats) -> list[list[str]]:
    return [number_cells(column)(values) for column in range(values.shape[1])]


def _table(
    header: tuple[str, ...], ids: Sequence[str], columns: Sequence[Sequence[str]]
) -> PredictionTable:
    return PredictionTable(header=header, rows=zip(ids, *columns, strict=True))
