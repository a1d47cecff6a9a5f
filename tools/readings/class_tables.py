"""Tables whose rows are classes: they give the names that people see."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.download.label_parsing import parse_number
from tools.download.name_index import IMAGE_SUFFIXES, suffix_of
from tools.download.name_patterns import words_of
from tools.download.sources import Sources, sort_classes
from tools.download.tables import Table
from tools.readings.class_names import ClassNames, name_classes, read_class_names, unique_names
from tools.readings.columns import Column, columns_of

# Labels that are numbers or codes, such as "7", "c3" and "n01443537", need names.
_CODE = re.compile(r"[A-Za-z]{0,2}\d+")
_NAME_WORDS = frozenset(
    {"name", "names", "label", "title", "species", "description", "disease", "class", "char"}
    | {"category", "breed", "meaning", "text"}
)
# A table of more rows than this many times the classes is not about them.
_MAX_ROWS = 200


def name_sources(
    sources: Sources, index: FileIndex, tables: Sequence[Table], config: ShardConfig
) -> Sources:
    """`sources` with the class names of --class-names, else with those that one of `tables` has for
    labels that are numbers or codes, and a note that says so."""
    if config.class_names is not None:
        return name_classes(sources, read_class_names(index, config.class_names))
    if sources.task != "classification" or sources.ordered:
        return sources
    names = find_class_names(tables, sources.classes)
    if names is None:
        return sources
    note = (
        f"{names.file} names the classes: {names.labels[0]!r} is {names.names[0]!r}; --class-names "
        f"picks another file."
    )
    named = name_classes(sources, names)
    return replace(named, notes=(*named.notes, note))


def find_class_names(tables: Sequence[Table], labels: Sequence[str]) -> ClassNames | None:
    """Names for `labels`, in their order, from the only table that has a row for each of them and
    a column of names; None if the labels are names, or if no or several tables fit."""
    if len(labels) < 2 or not all(_CODE.fullmatch(label) for label in labels):
        return None
    found = [names for table in tables if (names := _names_in(table, labels)) is not None]
    return found[0] if len({names.names for names in found}) == 1 else None


def _names_in(table: Table, labels: Sequence[str]) -> ClassNames | None:
    rows = table.sample
    if len(rows) > _MAX_ROWS * len(labels):
        return None
    if not table.header or table.columns[0] in labels:
        # The first row of a table of two texts looks like a header.
        rows = (table.columns, *rows) if table.header else rows
    columns = columns_of(table, rows)
    pairs = list(_named_columns(columns, labels))
    if len(pairs) != 1:
        return None
    ids, names = pairs[0]
    by_label = dict(zip(ids.cells, names.cells, strict=True))
    ordered = sort_classes(tuple(labels))
    return ClassNames(
        table.name, ordered, unique_names(ordered, [by_label[label] for label in ordered])
    )


def _named_columns(
    columns: Sequence[Column], labels: Sequence[str]
) -> Iterator[tuple[Column, Column]]:
    """The column of labels, and that of their names."""
    for ids in columns:
        if not set(labels) <= ids.values or len(ids.values) < ids.filled:
            continue
        others = [column for column in columns if column is not ids and _are_names(column)]
        called = [c for c in others if {*words_of(c.name)} & _NAME_WORDS]
        for names in called[:1] if len(called) == 1 else others if len(others) == 1 else []:
            yield ids, names


def _are_names(column: Column) -> bool:
    """Whether nearly every class has a text of its own."""
    texts = [
        cell
        for cell in column.cells
        if cell and parse_number(cell) is None and suffix_of(cell) not in IMAGE_SUFFIXES
    ]
    return len(texts) == len(column.cells) and 10 * len({*texts}) >= 9 * len(texts)
