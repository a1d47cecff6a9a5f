"""How the target of a row is read from its cells."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from pipeline.text import join_names

# A label, several labels, or numbers.
Value = str | tuple[str, ...] | tuple[float, ...]

Number = TypeVar("Number", bound=float)
_FLAGS = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}


class UnusableRowError(Exception):
    """A row is not a source; the text gives the reason."""


@dataclass(frozen=True)
class LabelRule(ABC):
    """Reads the target from `columns`, called `names`; `task` is a key of TARGET_COMPONENTS."""

    columns: tuple[int, ...]
    names: tuple[str, ...]
    task: ClassVar[str] = "classification"

    @abstractmethod
    def read(self, cells: Sequence[str]) -> Value:
        """The target of a row; raises ``UnusableRowError``."""

    @abstractmethod
    def describe(self) -> str:
        """A phrase such as "labels in column 'breed'"."""

    def _parse_cells(
        self, cells: Sequence[str], parse: Callable[[str], Number | None], expected: str
    ) -> list[Number]:
        """The number in each column; raises ``UnusableRowError`` where `parse` returns None."""
        numbers = []
        for column, name in zip(self.columns, self.names, strict=True):
            number = parse(cells[column])
            if number is None:
                raise UnusableRowError(f"column {name!r} is {cells[column]!r}, not {expected}")
            numbers.append(number)
        return numbers


class WholeCell(LabelRule):
    """The cell is the label."""

    def read(self, cells: Sequence[str]) -> str:
        if label := cells[self.columns[0]].strip():
            return label
        raise UnusableRowError("no label")

    def describe(self) -> str:
        return f"labels in column {self.names[0]!r}"


@dataclass(frozen=True)
class LabelList(LabelRule):
    """Each part of the cell is a label, an empty cell has none; a `separator` of None or of spaces
    is any white space."""

    separator: str | None = None
    task = "multi-label"

    def read(self, cells: Sequence[str]) -> Value:
        return tuple(dict.fromkeys(split_labels(cells[self.columns[0]], self.separator)))

    def describe(self) -> str:
        between = "white space" if not (self.separator or "").strip() else repr(self.separator)
        return f"several labels, separated by {between}, in column {self.names[0]!r}"


class FirstLabel(LabelList):
    """The first part of the cell is the label."""

    task = "classification"

    def read(self, cells: Sequence[str]) -> Value:
        if labels := split_labels(cells[self.columns[0]], self.separator):
            return labels[0]
        raise UnusableRowError("no label")

    def describe(self) -> str:
        return f"the first label of each cell in column {self.names[0]!r}"


@dataclass(frozen=True)
class MultiHot(LabelRule):
    """Columns of marks, one for each label: 1 and 0, unless `marks` gives the meaning of each."""

    marks: tuple[tuple[str, bool], ...] = ()
    task = "multi-label"

    def read(self, cells: Sequence[str]) -> Value:
        meaning = dict(self.marks)
        parse = (lambda cell: meaning.get(cell.strip())) if meaning else parse_flag
        expected = " or ".join(mark or "empty" for mark in meaning) or "0 or 1"
        flags = self._parse_cells(cells, parse, expected)
        return tuple(name for name, flag in zip(self.names, flags, strict=True) if flag)

    def describe(self) -> str:
        names = join_names(self.names, quote=True)
        values = "/".join(mark or "empty" for mark, _ in self.marks) or "0/1"
        return f"several labels a row in the {values} columns {names}"


class OneHot(MultiHot):
    """Columns of 0 and 1, of which one is 1 in each row."""

    task = "classification"

    def read(self, cells: Sequence[str]) -> Value:
        labels = super().read(cells)
        if len(labels) != 1:
            columns = join_names(self.names, quote=True)
            raise UnusableRowError(f"{len(labels)} of the columns {columns} are 1, not exactly one")
        return labels[0]  # type: ignore[return-value]

    def describe(self) -> str:
        return f"one label a row in the one-hot columns {join_names(self.names, quote=True)}"


class Numbers(LabelRule):
    """Columns of numbers."""

    task = "regression"

    def read(self, cells: Sequence[str]) -> Value:
        return tuple(self._parse_cells(cells, parse_number, "a number"))

    def describe(self) -> str:
        return f"numbers in columns {join_names(self.names, quote=True)}"


def split_labels(cell: str, separator: str | None) -> list[str]:
    """The labels of a cell, stripped, without empty ones; a blank `separator` is any space. The
    brackets and quotes of a list such as "['a', 'b']" are left out."""
    separator = separator if separator is not None and separator.strip() else None
    quotes = ""
    if cell.strip().startswith("[") and cell.strip().endswith("]"):
        cell, quotes = cell.strip()[1:-1], "'\""
    return [label for text in cell.split(separator) if (label := text.strip().strip(quotes))]


def is_runs(cell: str) -> bool:
    """Whether a cell has run lengths: pairs of start and length, each after the one before."""
    numbers = cell.split()
    if not numbers or len(numbers) % 2 or not all(map(str.isdecimal, numbers)):
        return False
    starts, lengths = list(map(int, numbers[::2])), list(map(int, numbers[1::2]))
    ends = [start + length for start, length in zip(starts, lengths, strict=True)]
    return min(lengths) > 0 and all(end <= start for end, start in zip(ends, starts[1:]))  # noqa: B905


def parse_flag(cell: str) -> bool | None:
    """True for 1, False for 0, None for anything else."""
    return _FLAGS.get(cell.strip().lower())


def parse_number(cell: str) -> float | None:
    """A finite number, or None."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
