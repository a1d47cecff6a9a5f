"""How the cells of the chosen columns are read: one label, several labels, or numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import DataError, MisuseError
from pipeline.text import join_names
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
    split_labels,
)
from tools.readings.columns import Column

_INTEGERS = re.compile(r"\d+( \d+)+")
# A space is last: it may follow each of the others.
_SEPARATORS = (",", ";", "|", " ")
_SIGNS = (("-1", False), ("1", True))
# Numbers with a fraction are measurements from this many different values on, else class names.
_MIN_NUMBERS = 10
# Integers are measurements if there are so many, in so large a share of the rows.
_MIN_INTEGERS, _MIN_INTEGER_SHARE = 20, 0.5
# Integers in a column of this likelihood are classes, however many there are.
_CALLED_A_CLASS = 3


@dataclass(frozen=True)
class RuleChoice:
    """How the targets are read; `note` says what was assumed and which option says otherwise."""

    rule: LabelRule
    note: str = ""


def choose_rule(table: str, columns: Sequence[Column], config: ShardConfig) -> RuleChoice:
    """How to read the target in `columns` of `table`; raises ``MisuseError`` or ``DataError`` if
    its cells don't fit the options."""
    if len(columns) > 1:
        return _rule_of_columns(table, columns, config)
    return _rule_of_column(columns[0], config)


def _rule_of_columns(table: str, columns: Sequence[Column], config: ShardConfig) -> RuleChoice:
    indices, names = _places(columns)
    if any(column.is_marked for column in columns) and config.task in ("auto", "multi-label"):
        return RuleChoice(MultiHot(indices, names, _marks(table, columns, config)))
    flags = all(column.is_flag for column in columns)
    if config.task != "regression" and (config.task != "auto" or flags):
        one_hot = config.task in ("auto", "classification") and _is_one_hot(columns)
        rule = OneHot if one_hot or config.task == "classification" else MultiHot
        marks = _SIGNS if any(column.is_signed for column in columns) else ()
        return RuleChoice(rule(indices, names, marks))
    if config.task == "regression" or all(column.numbers is not None for column in columns):
        return RuleChoice(Numbers(indices, names))
    raise MisuseError(
        f"{table}: several --label-column must all have 0 and 1 (one-hot), or numbers; "
        f"{names[0]!r} and the others have neither. Pass one --label-column."
    )


def _marks(
    table: str, columns: Sequence[Column], config: ShardConfig
) -> tuple[tuple[str, bool], ...]:
    """The meaning of each mark; raises ``MisuseError`` for one that the options don't give."""
    marks = [("1", True), ("0", False)]
    unknown = []
    for mark, name, meaning in (
        ("-1", "-1 (--uncertain 0 or 1)", config.uncertain),
        ("", "blank (--blank 0 or 1)", config.blank),
    ):
        count, column = max((list(c.cells).count(mark), c.name) for c in columns)
        if count and meaning is None:
            unknown.append(f"{name} in {count:,} rows of column {column!r}")
        marks.append((mark, meaning == "1"))
    if unknown:
        names = join_names([column.name for column in columns], quote=True)
        raise MisuseError(
            f"{table}: the columns {names} have marks without an agreed meaning: "
            f"{'; '.join(unknown)}. Pass these options to say what they mean."
        )
    return tuple(marks)


def _is_one_hot(columns: Sequence[Column]) -> bool:
    rows = zip(*(column.cells for column in columns), strict=True)
    return all([parse_flag(cell) for cell in row].count(True) == 1 for row in rows)


def _rule_of_column(column: Column, config: ShardConfig) -> RuleChoice:
    indices, names = _places([column])
    cells = [cell for cell in column.cells if cell]
    task, separator = config.task, config.label_separator
    if task == "regression":
        return RuleChoice(Numbers(indices, names))
    if separator is not None:
        rule = FirstLabel if task == "classification" else LabelList
        return RuleChoice(rule(indices, names, separator))
    if column.has_boxes:
        return RuleChoice(FirstLabel(indices, names))
    found = find_separator(cells)
    if task == "multi-label":
        return RuleChoice(LabelList(indices, names, found or _separator_of_numbers(cells) or "|"))
    found = found or _separator_of_numbers(cells)
    if task == "auto" and found:
        count = sum(len(split_labels(cell, found)) > 1 for cell in cells)
        note = (
            f"{count:,} of the sampled cells have several labels; --task classification reads "
            f"each cell as one label, --label-separator sets what is between them."
        )
        return RuleChoice(LabelList(indices, names, found), note)
    if task == "auto" and is_measured(column):
        note = ""
        if not column.is_fractional:
            note = (
                f"Column {column.name!r} has {len(column.values):,} different integers, which are "
                f"read as numbers to predict; --task classification reads them as classes."
            )
        return RuleChoice(Numbers(indices, names), note)
    return RuleChoice(WholeCell(indices, names))


def _separator_of_numbers(cells: Sequence[str]) -> str | None:
    """A space if the cells are integers, of which some have several."""
    several = any(_INTEGERS.fullmatch(cell) for cell in cells)
    return " " if several and all(cell.replace(" ", "").isdecimal() for cell in cells) else None


def is_measured(column: Column) -> bool:
    """Whether the cells are numbers to predict, not classes."""
    if column.numbers is None:
        return False
    if column.is_fractional:
        return len(column.values) >= _MIN_NUMBERS
    if column.likelihood >= _CALLED_A_CLASS:
        return False
    various = len(column.values) >= _MIN_INTEGER_SHARE * column.filled
    return various and len(column.values) >= _MIN_INTEGERS


def find_separator(cells: Sequence[str]) -> str | None:
    """The separator that splits cells into labels which are also whole cells."""
    whole = set(cells)
    for separator in _SEPARATORS:
        lists = [labels for cell in cells if len(labels := split_labels(cell, separator)) > 1]
        if lists and all(label in whole for labels in lists for label in labels):
            return separator
        names = {label for labels in lists for label in labels}
        # Names don't contain these, so repeated parts are enough.
        if separator in "|;" and len(lists) > 1 and len(names) < sum(map(len, lists)):
            return separator
        # Few labels make many combinations; names of several words have more words than names.
        combinations = {cell for cell in cells if len(split_labels(cell, separator)) > 1}
        if len(lists) > 1 and len(names) < len(combinations):
            return separator
        brackets = all(cell.startswith("[") and cell.endswith("]") for cell in cells)
        if separator == "," and lists and brackets:
            return separator
    return None


def require_labels(table: str, column: Column) -> None:
    """Raise ``DataError`` if nearly every row has another text, which is no class."""
    if len(column.values) >= _MIN_INTEGERS and 10 * len(column.values) >= 9 * column.filled:
        example = next(iter(sorted(column.values)))
        raise DataError(
            f"{table}: column {column.name!r} has {len(column.values):,} different cells in "
            f"{column.filled:,} rows, such as {example[:60]!r}: they are no classes. Pass the "
            f"column of the labels as --label-column, or with --task multi-label what is between "
            f"the labels of a cell as --label-separator."
        )


def _places(columns: Sequence[Column]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    return tuple(c.index for c in columns), tuple(c.name for c in columns)
