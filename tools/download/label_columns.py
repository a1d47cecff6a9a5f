"""Which columns of a table are its labels, and how their cells are read.

An option counts before what the head of the table shows; where that allows two readings, nothing is
chosen.
"""

import re
from collections.abc import Collection, Sequence, Set
from itertools import islice

from pipeline.errors import DataError, MisuseError
from tools.config import ShardConfig
from tools.download.label_parsing import (
    FirstToken,
    LabelRule,
    Numbers,
    OneHot,
    SeveralTokens,
    WholeCell,
    as_number,
    one_hot_flag,
    tokens,
)
from tools.download.name_patterns import (
    is_fold_column,
    is_group_column,
    is_label_column,
    is_unnamed,
)
from tools.download.tables import Table

# "n01440764 1 2 300 400 n01440764 ...": a label and a box, again and again.
_BOXED = re.compile(r"(\S*[^\d.\s]\S*(\s+-?\d+(\.\d+)?){4}\s*)+")
_INTEGERS = re.compile(r"\d+( \d+)*")
_RUNS = re.compile(r"\d+ \d+( \d+ \d+)*")
# Run-length masks are longer than any list of labels.
_MIN_RUN_CHARACTERS = 40
_SEPARATORS = (" ", ",", ";", "|")
# From so many different values on, numbers with a fraction are measured, not named.
_MIN_NUMBERS = 10
# Rows may be sorted by class: more than the head is compared.
_COMPARED_ROWS = 50_000


def label_candidates(table: Table, taken: Collection[int]) -> list[int]:
    """The columns that may hold labels: neither `taken` nor folds nor, if others remain, groups."""
    open_columns = [
        number
        for number, name in enumerate(table.columns)
        if number not in taken and not is_unnamed(name) and not is_fold_column(name)
    ]
    others = [number for number in open_columns if not is_group_column(table.columns[number])]
    return others or open_columns


def choose_rule(
    table: Table, candidates: Sequence[int], config: ShardConfig, known: Set[str] = frozenset()
) -> LabelRule:
    """How to read the labels; `known` are the names of class folders beside the table.

    Raises ``MisuseError`` where columns or cells can be read in more than one way.
    """
    if len(config.label_column) > 1:
        columns = [table.column(name, option="--label-column") for name in config.label_column]
        return _of_several(table, columns, config)
    if config.label_column:
        column = table.column(config.label_column[0], option="--label-column")
        return _of_one(table, column, config)
    only = _only(table, candidates, known)
    if only is not None:
        return _of_one(table, only, config)
    if config.task != "regression" and len(candidates) > 1 and _all_flags(table, candidates):
        return _one_hot(table, candidates, config.task)
    raise MisuseError(describe_choice(table, candidates))


def describe_choice(table: Table, candidates: Sequence[int]) -> str:
    """That the label may be in any of `candidates`, and which of them say the same."""
    if not candidates:
        return f"{table.name} has no column left that could hold labels."
    listed = "".join(f"\n  --label-column {_quoted(table.columns[n])}" for n in candidates)
    same = "".join(
        f"\n{' and '.join(repr(table.columns[n]) for n in alike)} say the same: their values go "
        f"together one to one."
        for alike in _alike(table, candidates)
    )
    return f"{table.name}: {len(candidates)} columns may hold the label. Pick one:{listed}{same}"


def _only(table: Table, candidates: Sequence[int], known: Set[str]) -> int | None:
    """The one candidate, else the one that holds known classes, else the one called label."""
    familiar = [n for n in candidates if table.cells(n) and known >= set(table.cells(n))]
    named = [n for n in candidates if is_label_column(table.columns[n])]
    choices = (candidates, familiar, named)
    return next((choice[0] for choice in choices if len(choice) == 1), None)


def _of_several(table: Table, columns: Sequence[int], config: ShardConfig) -> LabelRule:
    names = tuple(table.columns[column] for column in columns)
    if config.task == "regression":
        return Numbers(tuple(columns), names)
    if config.task != "auto" or _all_flags(table, columns):
        return _one_hot(table, columns, config.task)
    if all(as_number(cell) is not None for column in columns for cell in table.cells(column)):
        return Numbers(tuple(columns), names)
    raise MisuseError(
        f"{table.name}: several --label-column are one-hot columns of 0 and 1, or numbers; "
        f"{table.columns[columns[0]]!r} and the others are neither. Name one column."
    )


def _one_hot(table: Table, columns: Sequence[int], task: str) -> OneHot:
    names = tuple(table.columns[column] for column in columns)
    flags = [
        [one_hot_flag(row[column]) for column in columns]
        for row in table.head
        if len(row) > max(columns)
    ]
    single = all(row.count(True) == 1 for row in flags) if task == "auto" else False
    return OneHot(tuple(columns), names, single or task == "classification")


def _of_one(table: Table, column: int, config: ShardConfig) -> LabelRule:
    cells = table.cells(column)
    if config.task == "regression":
        return Numbers((column,), (table.columns[column],))
    if config.label_separator is not None:
        if config.task == "classification":
            return FirstToken(column, config.label_separator)
        return SeveralTokens(column, config.label_separator)
    if cells and all(_BOXED.fullmatch(cell) for cell in cells):
        return FirstToken(column)
    if _holds_runs(cells):
        raise DataError(
            f"{table.name}: column {table.columns[column]!r} holds masks as run lengths, which "
            f"aren't read here. Write them as image files, and name these with --mask-template; "
            f"or pick another --label-column."
        )
    if config.task == "multi-label" or (
        config.task == "auto"
        and all(_INTEGERS.fullmatch(cell) for cell in cells)
        and any(" " in cell for cell in cells)
    ):
        return SeveralTokens(column, _separator(cells) or " ")
    if config.task == "auto":
        return _guess(table, column, cells)
    return WholeCell(column)


def _guess(table: Table, column: int, cells: Sequence[str]) -> LabelRule:
    name = table.columns[column]
    if separator := _separator(cells):
        example = next(cell for cell in cells if len(tokens(cell, separator)) > 1)
        raise MisuseError(
            f"{table.name}: column {name!r} holds {example!r}, which may be one label or several. "
            f"Say which:\n  --task classification\n  --label-separator {separator!r}"
        )
    numbers = [as_number(cell) for cell in cells]
    parts = [number % 1 for number in numbers if number is not None]
    if len(parts) == len(cells) and any(parts) and len(set(numbers)) >= _MIN_NUMBERS:
        return Numbers((column,), (name,))
    return WholeCell(column)


def _separator(cells: Sequence[str]) -> str | None:
    """What parts cells into labels that elsewhere stand alone."""
    alone = set(cells)
    for separator in _SEPARATORS:
        parted = [parts for cell in cells if len(parts := tokens(cell, separator)) > 1]
        if parted and all(part in alone for parts in parted for part in parts):
            return separator
        # These stand in no name; parts that come again tell a list.
        names = {part for parts in parted for part in parts}
        if separator in "|;" and len(parted) > 1 and len(names) < sum(map(len, parted)):
            return separator
    return None


def _holds_runs(cells: Sequence[str]) -> bool:
    runs = [cell for cell in cells if " " in cell]
    return (
        bool(runs)
        and all(_RUNS.fullmatch(cell) for cell in runs)
        and max(map(len, runs)) >= _MIN_RUN_CHARACTERS
    )


def _all_flags(table: Table, columns: Sequence[int]) -> bool:
    return all(
        cells and all(one_hot_flag(cell) is not None for cell in cells)
        for cells in map(table.cells, columns)
    )


def _alike(table: Table, columns: Sequence[int]) -> list[list[int]]:
    """Columns whose values are a one-to-one map of each other."""
    patterns: dict[tuple[int, ...], list[int]] = {}
    whole = [cells for _, cells in islice(table.rows(), _COMPARED_ROWS)]
    for column in columns:
        codes: dict[str, int] = {}
        texts = [row[column] if len(row) > column else "" for row in whole]
        pattern = tuple(codes.setdefault(text.strip(), len(codes)) for text in texts)
        if 1 < len(codes) < len(texts):
            patterns.setdefault(pattern, []).append(column)
    return [alike for alike in patterns.values() if len(alike) > 1]


def _quoted(name: str) -> str:
    return f'"{name}"' if " " in name else name
