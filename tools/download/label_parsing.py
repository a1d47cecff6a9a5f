"""How the cells of a row say what is to be learned."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

# A label; several of them; numbers.
Value = str | tuple[str, ...] | tuple[float, ...]

_ZERO, _ONE = ("0", "0.0", "false"), ("1", "1.0", "true")


class UnusableRowError(Exception):
    """A row makes no source; the text says why."""


class LabelRule(Protocol):
    """`columns` are those it reads; `task` is a key of TARGET_COMPONENTS."""

    @property
    def task(self) -> str: ...

    @property
    def columns(self) -> tuple[int, ...]: ...

    def read(self, cells: Sequence[str]) -> Value:
        """Raises ``UnusableRowError``."""
        ...

    def describe(self, names: Sequence[str]) -> str:
        """With the names of all columns."""
        ...


@dataclass(frozen=True)
class WholeCell:
    """The cell is the label."""

    column: int
    task = "classification"

    @property
    def columns(self) -> tuple[int, ...]:
        return (self.column,)

    def read(self, cells: Sequence[str]) -> str:
        return _filled(cells, self.column)

    def describe(self, names: Sequence[str]) -> str:
        return f"labels in column {names[self.column]!r}"


@dataclass(frozen=True)
class FirstToken:
    """The first part of the cell is the label; `separator` None is any white space."""

    column: int
    separator: str | None = None
    task = "classification"

    @property
    def columns(self) -> tuple[int, ...]:
        return (self.column,)

    def read(self, cells: Sequence[str]) -> str:
        return tokens(_filled(cells, self.column), self.separator)[0]

    def describe(self, names: Sequence[str]) -> str:
        return f"labels first in column {names[self.column]!r}"


@dataclass(frozen=True)
class SeveralTokens:
    """Each part of the cell is a label; an empty cell has none."""

    column: int
    separator: str | None = None
    task = "multi-label"

    @property
    def columns(self) -> tuple[int, ...]:
        return (self.column,)

    def read(self, cells: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(tokens(cells[self.column], self.separator)))

    def describe(self, names: Sequence[str]) -> str:
        between = "white space" if not (self.separator or "").strip() else repr(self.separator)
        return f"several labels, parted by {between}, in column {names[self.column]!r}"


@dataclass(frozen=True)
class OneHot:
    """Columns of 0 and 1, called `names`; `single` if exactly one of them is 1."""

    columns: tuple[int, ...]
    names: tuple[str, ...]
    single: bool

    @property
    def task(self) -> str:
        return "classification" if self.single else "multi-label"

    def read(self, cells: Sequence[str]) -> Value:
        shown = []
        for column, name in zip(self.columns, self.names, strict=True):
            flag = one_hot_flag(cells[column])
            if flag is None:
                raise UnusableRowError(f"column {name!r} is {cells[column]!r}, neither 0 nor 1")
            if flag:
                shown.append(name)
        if not self.single:
            return tuple(shown)
        if len(shown) != 1:
            raise UnusableRowError(
                f"{len(shown)} of the columns {_shown(self.names)} are 1, not one of them"
            )
        return shown[0]

    def describe(self, names: Sequence[str]) -> str:
        kind = "one label a row" if self.single else "several labels a row"
        return f"{kind} by the 0 and 1 of columns {_shown(self.names)}"


@dataclass(frozen=True)
class Numbers:
    """Columns of numbers, called `names`."""

    columns: tuple[int, ...]
    names: tuple[str, ...]
    task = "regression"

    def read(self, cells: Sequence[str]) -> tuple[float, ...]:
        numbers = []
        for column, name in zip(self.columns, self.names, strict=True):
            number = as_number(cells[column])
            if number is None:
                raise UnusableRowError(f"column {name!r} is {cells[column]!r}, not a number")
            numbers.append(number)
        return tuple(numbers)

    def describe(self, names: Sequence[str]) -> str:
        return f"numbers in columns {_shown(self.names)}"


def tokens(cell: str, separator: str | None) -> list[str]:
    """The parts of a cell, stripped, empty ones left out; a blank `separator` is any space."""
    separator = separator if separator is not None and separator.strip() else None
    return [part for text in cell.split(separator) if (part := text.strip())]


def one_hot_flag(cell: str) -> bool | None:
    """True of 1, False of 0, None of anything else."""
    text = cell.strip().lower()
    return True if text in _ONE else False if text in _ZERO else None


def as_number(cell: str) -> float | None:
    """A finite number, or None."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _filled(cells: Sequence[str], column: int) -> str:
    text = cells[column].strip()
    if not text:
        raise UnusableRowError("no label")
    return text


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(repr(name) for name in names[:5]) + more
