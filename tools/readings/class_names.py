"""Class names in order, from the file of --class-names."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, MisuseError
from pipeline.text import join_names
from tools.download.file_index import FileIndex
from tools.download.label_sets import as_sets, make_sets
from tools.download.sources import Sources
from tools.download.tables import find_delimiter, open_table

# A larger file is not a list of class names.
_MAX_BYTES = 16 * 2**20
_HEADER_WORDS = frozenset(
    {"label", "labels", "id", "class", "class_id", "classid", "name", "index", "code", "wnid"}
)


@dataclass(frozen=True)
class ClassNames:
    """The classes `names` of `labels`, in the order of `file`."""

    file: str
    labels: tuple[str, ...]
    names: tuple[str, ...]


def read_class_names(index: FileIndex, path: str) -> ClassNames:
    """Read the file of --class-names, FILE or FILE:ID_COLUMN,NAME_COLUMN.

    Raises ``MisuseError`` if the file or a column does not exist, ``DataError`` if it has no class
    names.
    """
    file = index.table_named(path)
    before, _, columns = path.rpartition(":")
    if file is None and columns.count(",") == 1 and (named := index.table_named(before)):
        return _read_columns(index, named, *columns.split(","))
    if file is None:
        files = join_names(index.tables, 10) or "no CSV, JSON or text file"
        raise MisuseError(f"--class-names {path}: no such file; the download has {files}.")
    if index.size_bytes(file) > _MAX_BYTES:
        mebibytes = _MAX_BYTES / 2**20
        raise MisuseError(
            f"--class-names {path}: the file is larger than {mebibytes:g} MiB, too large for a "
            f"list of class names."
        )
    with index.open(file) as stream:
        text = stream.read().decode("utf-8-sig", "replace")
    return parse_class_names(file, text)


def _read_columns(index: FileIndex, file: str, label: str, name: str) -> ClassNames:
    """The names in two columns of a table."""
    table = open_table(file, partial(index.open, file), is_header=lambda first, second: True)
    if table is None:
        raise DataError(f"{file} has no rows: write one for each class, label and name.")
    places = [table.column(column, option="--class-names") for column in (label, name)]
    rows = [cells for _, cells in table.rows() if len(cells) > max(places)]
    return _class_names(file, [(cells[places[0]], cells[places[1]]) for cells in rows])


def parse_class_names(file: str, text: str) -> ClassNames:
    """Parse by the extension of `file`: JSON, CSV of two columns, or lines of label and name."""
    if file.lower().endswith(".json"):
        pairs = _parse_json(file, text)
    elif file.lower().endswith((".csv", ".tsv")):
        pairs = _parse_csv(file, text)
    else:
        pairs = [_parse_line(line) for line in text.splitlines() if line.strip()]
    return _class_names(file, pairs)


def unique_names(labels: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Names that differ, though two labels may have the same one, such as "crane"."""
    return tuple(
        name if name and names.count(name) == 1 else f"{name} ({label})" if name else label
        for label, name in zip(labels, names, strict=True)
    )


def _class_names(file: str, pairs: Sequence[tuple[str, str]]) -> ClassNames:
    if not pairs:
        raise DataError(f"{file} has no class names: write one in each line.")
    labels = tuple(label.strip() for label, _ in pairs)
    if len(set(labels)) < len(labels):
        repeated = next(label for label in labels if labels.count(label) > 1)
        raise DataError(f"{file} has the label {repeated!r} twice: remove one of them.")
    names = [name.strip() for _, name in pairs]
    return ClassNames(file, labels, unique_names(labels, names))


def name_classes(sources: Sources, classes: ClassNames) -> Sources:
    """`sources` with these classes in this order; sources with another label are rejected. The
    labels of the sources may be labels of `classes`, or names.

    Raises ``MisuseError`` if the task has no labels, ``DataError`` if no label is known.
    """
    if sources.task not in ("classification", "multi-label"):
        raise MisuseError(f"--class-names is for labels, and {sources.task} has none: remove it.")
    if not set(sources.classes) & set(classes.labels):
        classes = replace(classes, labels=classes.names)
    positions = {label: number for number, label in enumerate(classes.labels)}
    codes = np.array([positions.get(text, -1) for text in sources.classes], np.int32)
    unknown = _first_unknown(sources, codes)
    if np.all(unknown[sources.has_label] >= 0):
        raise DataError(
            f"{classes.file} has none of the labels, such as {sources.classes[0]!r}; it has "
            f"{join_names(classes.labels, 3, quote=True)}."
        )
    rejected = [
        (sources.origin(n), f"its label {sources.classes[unknown[n]]!r} is not in {classes.file}")
        for n in np.flatnonzero(unknown >= 0).tolist()
    ]
    kept = sources.take(np.flatnonzero(unknown < 0)) if rejected else sources
    labels = np.where(kept.labels < 0, np.int32(-1), codes[kept.labels])
    fields: dict[str, Any] = {"labels": labels}
    if kept.targets is not None:
        sets, count = as_sets(kept.targets), len(classes.labels)
        columns = codes[sets.columns].astype(np.int64)
        fields = {"targets": make_sets(sets.rows, columns, ~kept.has_label, count)}
    return replace(
        kept,
        classes=classes.names,
        class_labels=classes.labels,
        ordered=True,
        rejected=(*kept.rejected, *rejected),
        **fields,
    )


def _first_unknown(sources: Sources, codes: NDArray[np.int32]) -> NDArray[np.int64]:
    """The first label of each source whose code is -1, or -1: int64 (n,)."""
    if sources.targets is None:
        labels = sources.labels.astype(np.int64)
        return np.where((labels >= 0) & (codes[labels] < 0), labels, -1)
    sets = as_sets(sources.targets)
    first = np.full(len(sources), len(codes), np.int64)
    unknown = codes[sets.columns] < 0
    np.minimum.at(first, sets.rows[unknown], sets.columns[unknown])
    return np.where(first < len(codes), first, -1)


def _parse_line(line: str) -> tuple[str, str]:
    """ "n01440764 tench, Tinca tinca"."""
    label, _, name = line.strip().partition("\t" if "\t" in line else " ")
    return label.removesuffix(":"), name


def _parse_json(file: str, text: str) -> list[tuple[str, str]]:
    try:
        names = json.loads(text)
    except ValueError as error:
        raise DataError(f"{file} is not JSON: {error}.") from error
    if isinstance(names, list):
        names = {str(name): name for name in names}
    if not isinstance(names, dict) or not all(isinstance(n, str | int) for n in names.values()):
        raise DataError(f'{file} must be like {{"0": "cat", "1": "dog"}} to name the classes.')
    if names and all(isinstance(name, int) for name in names.values()):
        return [(str(names[name]), name) for name in sorted(names, key=names.__getitem__)]
    return [(label, str(name)) for label, name in names.items()]


def _parse_csv(file: str, text: str) -> list[tuple[str, str]]:
    lines = text.splitlines()
    rows = [row for row in csv.reader(lines, delimiter=find_delimiter(lines[:30])) if any(row)]
    wrong = next((row for row in rows if len(row) != 2), None)
    if wrong is not None:
        raise DataError(
            f"{file} must have two columns, label and name; a row is {', '.join(wrong)}."
        )
    if rows and {cell.strip().lower() for cell in rows[0]} & _HEADER_WORDS:
        rows = rows[1:]
    return [(label, name) for label, name in rows]
