"""The labels of parquet files: which column has them, and what it holds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import DataError, MisuseError
from pipeline.text import join_names
from tools.arrays.array_names import LABEL_WORDS
from tools.arrays.label_choice import LabelChoiceError, label_choice
from tools.arrays.label_reading import read_row_labels
from tools.arrays.parquet_rows import read_column
from tools.arrays.row_labels import (
    RowLabels,
    name_labels,
    require_clear_marks,
    say_the_same,
    spread_labels,
)
from tools.arrays.seekable_files import SeekableFiles
from tools.config import ShardConfig
from tools.download.name_patterns import words_of

# A column with as many values, all different, has ids.
_MANY_ROWS = 50


@dataclass(frozen=True, kw_only=True)
class ChosenLabels:
    """The column and its labels; `column` is "" and `labels` None if no column has any. `problem`
    is why they can't be read or chosen."""

    column: str = ""
    labels: RowLabels | None = None
    problem: click.ClickException | None = None


def choose_labels(
    files: SeekableFiles,
    paths: Sequence[str],
    columns: Sequence[str],
    class_names: dict[str, tuple[str, ...]],
    config: ShardConfig,
) -> ChosenLabels:
    """The labels of all rows of `paths`, from the one of `columns` that can have them."""
    if len(config.label_column) > 1:
        return ChosenLabels(
            problem=MisuseError("Pass one --label-column: parquet files have one target a row.")
        )
    read: list[tuple[str, RowLabels]] = []
    for column in columns:
        try:
            labels = read_labels(files, paths, column, class_names.get(column), config.task)
        except (DataError, MisuseError) as error:
            if len(columns) == 1:
                return ChosenLabels(column=column, problem=error)
            continue
        if not labels.missing.all():
            read.append((column, labels))
    usable = read if config.label_column else _usable(read)
    if not usable:
        return ChosenLabels()
    if len(usable) > 1 and not say_the_same([labels for _, labels in usable]):
        choices = [label_choice(column, labels, len(labels)) for column, labels in usable]
        question = LabelChoiceError(paths[0], "--label-column", choices)
        return ChosenLabels(column=usable[0][0], problem=question)
    column, labels = min(usable, key=lambda one: _are_numbers(one[1].classes))
    return ChosenLabels(column=column, labels=labels)


def read_labels(
    files: SeekableFiles,
    paths: Sequence[str],
    column: str,
    names: Sequence[str] | None,
    task: str = "auto",
) -> RowLabels:
    """The labels in a column of all `paths`, one after the other, with the `names` of the classes
    if they are known. Empty cells, and -1 beside names, are rows without a label. Raises
    ``DataError`` for a number without a name."""
    presence: list[NDArray[np.bool_]] = []
    cells = (_cells(batch, names) for path in paths for batch in read_column(files, path, column))
    blocks = _present(cells, presence)
    first = next(blocks, None)
    if first is None:
        count = sum(map(len, presence))
        return RowLabels(task="classification", labels=np.full(count, -1, np.int32))
    name = f"{paths[0]} {column}"
    labels = read_row_labels(name, _chained(first, blocks), task)
    labels = spread_labels(labels, np.concatenate(presence))
    if names is None or labels.task != "classification":
        return require_clear_marks(name, labels)
    named = name_labels(labels, names)
    if named is None and all(map(_is_number, labels.classes)):
        wrong = next(t for t in labels.classes if not 0 <= int(t) < len(names))
        row = int(np.flatnonzero(labels.labels == labels.classes.index(wrong))[0])
        raise DataError(
            f"{paths[0]} row {row + 1}: the label {wrong} has no name; column {column!r} has the "
            f"names {join_names(names, 4, quote=True)}."
        )
    return labels if named is None else named


def _cells(batch: pa.Array, names: Sequence[str] | None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The cells that have a label, and which do."""
    if pa.types.is_dictionary(batch.type):
        batch = batch.dictionary_decode()
    present = np.asarray(batch.is_valid().to_numpy(zero_copy_only=False))
    values = batch.drop_null()
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        cells = np.array(values.to_pylist(), np.str_)
    else:
        cells = np.asarray(values.to_numpy(zero_copy_only=False))
    if names is not None and cells.dtype.kind == "i":
        present[present] = cells != -1
        cells = cells[cells != -1]
    return cells, present


def _present(
    cells: Iterable[tuple[NDArray[Any], NDArray[np.bool_]]], presence: list[NDArray[np.bool_]]
) -> Iterator[NDArray[Any]]:
    for values, present in cells:
        presence.append(present)
        if len(values):
            yield values


def _chained(first: NDArray[Any], others: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    yield first
    yield from others


def _usable(read: Sequence[tuple[str, RowLabels]]) -> list[tuple[str, RowLabels]]:
    """The columns that may have the label: not those with another value in each of many rows, which
    are ids, and of several not those with a single value, nor fractions beside classes."""
    usable = [
        (column, labels)
        for column, labels in read
        if not LABEL_WORDS.isdisjoint(words_of(column))
        or len(labels) < _MANY_ROWS
        or len(labels.classes) < len(labels)
    ]
    usable = [one for one in usable if one[1].task != "regression"] or usable
    if len(usable) < 2:
        return usable
    return [one for one in usable if len(one[1].classes) != 1] or usable


def _are_numbers(classes: Sequence[str]) -> bool:
    return all(map(_is_number, classes))


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal()
