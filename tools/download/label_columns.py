"""Choose the columns of labels in a table, and how to read their cells.

Options come before what the head of the table shows. Where the head can be read in two ways, the
choice is left to the user.
"""

import re
from collections.abc import Collection, Sequence, Set
from itertools import islice

from pipeline.errors import DataError, MisuseError
from tools.config import ShardConfig
from tools.download.label_parsing import (
    FirstLabel,
    LabelList,
    LabelRule,
    MultiHot,
    Numbers,
    OneHot,
    WholeCell,
    parse_flag,
    parse_number,
    split_labels,
)
from tools.download.name_patterns import (
    is_fold_column,
    is_group_column,
    is_label_column,
    is_unnamed,
)
from tools.download.tables import Table
from tools.text import option_lines

# "n01440764 1 2 300 400 n01440764 ...": a label and a box, repeated.
_LABELED_BOXES = re.compile(r"(\S*[^\d.\s]\S*(\s+-?\d+(\.\d+)?){4}\s*)+")
_INTEGERS = re.compile(r"\d+( \d+)*")
_RUN_LENGTHS = re.compile(r"\d+ \d+( \d+ \d+)*")
# Run-length masks are longer than any list of labels.
_MIN_RUN_LENGTH_CHARACTERS = 40
_SEPARATORS = (" ", ",", ";", "|")
# Numbers with a fraction are measurements from this many different values on, else class names.
_MIN_NUMBERS = 10
# Rows may be sorted by class, so more rows than the head are compared.
_COMPARED_ROWS = 50_000


def label_candidates(table: Table, excluded: Collection[int]) -> list[int]:
    """The columns that may have labels: not `excluded`, no fold, and no group if others remain."""
    columns = [
        number
        for number, name in enumerate(table.columns)
        if number not in excluded and not is_unnamed(name) and not is_fold_column(name)
    ]
    return [n for n in columns if not is_group_column(table.columns[n])] or columns


def choose_label_rule(
    table: Table, candidates: Sequence[int], config: ShardConfig, classes: Set[str] = frozenset()
) -> LabelRule:
    """How to read the labels; `classes` are the names of class folders in the download.

    Raises ``MisuseError`` if columns or cells can be read in more than one way.
    """
    columns = table.option_columns(config, "label_column")
    if len(columns) > 1:
        return _rule_of_columns(table, columns, config)
    column = columns[0] if columns else _likeliest_column(table, candidates, classes)
    if column is not None:
        return _rule_of_column(table, column, config)
    if config.task != "regression" and len(candidates) > 1 and _all_flags(table, candidates):
        return _hot_rule(table, candidates, config.task)
    if not candidates:
        raise MisuseError(f"{table.name} has no column left that could have labels.")
    lines = option_lines("--label-column", (table.columns[n] for n in candidates))
    same = "".join(
        f"\n{' and '.join(repr(table.columns[n]) for n in columns)} are equivalent: each value of "
        f"one belongs to one value of the other."
        for columns in _equivalent_columns(table, candidates)
    )
    raise MisuseError(
        f"{table.name}: {len(candidates)} columns may have the label. Pick one:{lines}{same}"
    )


def _likeliest_column(table: Table, candidates: Sequence[int], classes: Set[str]) -> int | None:
    """The only candidate, else the only one with known classes, else the only one called label."""
    with_classes = [n for n in candidates if table.cells(n) and classes >= set(table.cells(n))]
    named = [n for n in candidates if is_label_column(table.columns[n])]
    choices = (candidates, with_classes, named)
    return next((choice[0] for choice in choices if len(choice) == 1), None)


def _rule_of_columns(table: Table, columns: Sequence[int], config: ShardConfig) -> LabelRule:
    if config.task != "regression" and (config.task != "auto" or _all_flags(table, columns)):
        return _hot_rule(table, columns, config.task)
    numeric = all(parse_number(cell) is not None for n in columns for cell in table.cells(n))
    if config.task == "regression" or numeric:
        return Numbers(tuple(columns), _names(table, columns))
    raise MisuseError(
        f"{table.name}: several --label-column must all have 0 and 1 (one-hot), or numbers; "
        f"{table.columns[columns[0]]!r} and the others have neither. Pass one --label-column."
    )


def _names(table: Table, columns: Sequence[int]) -> tuple[str, ...]:
    return tuple(table.columns[column] for column in columns)


def _hot_rule(table: Table, columns: Sequence[int], task: str) -> LabelRule:
    """Labels in columns of 0 and 1, one or several a row."""
    rows = [
        [parse_flag(row[column]) for column in columns]
        for row in table.head
        if len(row) > max(columns)
    ]
    one_hot = task == "auto" and all(row.count(True) == 1 for row in rows)
    rule = OneHot if one_hot or task == "classification" else MultiHot
    return rule(tuple(columns), _names(table, columns))


def _rule_of_column(table: Table, column: int, config: ShardConfig) -> LabelRule:
    cells, columns, names = table.cells(column), (column,), _names(table, [column])
    if config.task == "regression":
        return Numbers(columns, names)
    if config.label_separator is not None:
        rule = FirstLabel if config.task == "classification" else LabelList
        return rule(columns, names, config.label_separator)
    if cells and all(_LABELED_BOXES.fullmatch(cell) for cell in cells):
        return FirstLabel(columns, names)
    if _has_run_lengths(cells):
        raise DataError(
            f"{table.name}: column {names[0]!r} has masks as run lengths, which tools/shard does "
            f"not read. Write them as image files and pass --mask-template, or pass another "
            f"--label-column."
        )
    if config.task == "multi-label" or (
        config.task == "auto"
        and all(_INTEGERS.fullmatch(cell) for cell in cells)
        and any(" " in cell for cell in cells)
    ):
        return LabelList(columns, names, _find_separator(cells) or " ")
    if config.task == "auto" and _is_measured(table, column, cells):
        return Numbers(columns, names)
    return WholeCell(columns, names)


def _is_measured(table: Table, column: int, cells: Sequence[str]) -> bool:
    """Whether the cells are numbers to learn, not labels; raises ``MisuseError`` if they may be
    lists of labels."""
    if separator := _find_separator(cells):
        example = next(cell for cell in cells if len(split_labels(cell, separator)) > 1)
        raise MisuseError(
            f"{table.name}: column {table.columns[column]!r} has {example!r}, which may be one "
            f"label or several. Pick one:\n  --task classification\n  --label-separator "
            f"{separator!r}"
        )
    numbers = [parse_number(cell) for cell in cells]
    fractions = [number % 1 for number in numbers if number is not None]
    return len(fractions) == len(cells) and any(fractions) and len(set(numbers)) >= _MIN_NUMBERS


def _find_separator(cells: Sequence[str]) -> str | None:
    """The separator that splits cells into labels which are also whole cells."""
    whole = set(cells)
    for separator in _SEPARATORS:
        lists = [labels for cell in cells if len(labels := split_labels(cell, separator)) > 1]
        if lists and all(label in whole for labels in lists for label in labels):
            return separator
        # Names don't contain these, so repeated parts are enough.
        names = {label for labels in lists for label in labels}
        if separator in "|;" and len(lists) > 1 and len(names) < sum(map(len, lists)):
            return separator
    return None


def _has_run_lengths(cells: Sequence[str]) -> bool:
    runs = [cell for cell in cells if " " in cell]
    return (
        bool(runs)
        and all(_RUN_LENGTHS.fullmatch(cell) for cell in runs)
        and max(map(len, runs)) >= _MIN_RUN_LENGTH_CHARACTERS
    )


def _all_flags(table: Table, columns: Sequence[int]) -> bool:
    return all(
        cells and all(parse_flag(cell) is not None for cell in cells)
        for cells in map(table.cells, columns)
    )


def _equivalent_columns(table: Table, columns: Sequence[int]) -> list[list[int]]:
    """Groups of columns whose values are a one-to-one map of each other."""
    patterns: dict[tuple[int, ...], list[int]] = {}
    rows = [cells for _, cells in islice(table.rows(), _COMPARED_ROWS)]
    for column in columns:
        codes: dict[str, int] = {}
        texts = [row[column] if len(row) > column else "" for row in rows]
        pattern = tuple(codes.setdefault(text.strip(), len(codes)) for text in texts)
        if 1 < len(codes) < len(texts):
            patterns.setdefault(pattern, []).append(column)
    return [group for group in patterns.values() if len(group) > 1]
