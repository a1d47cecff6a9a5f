"""The rows of a pixel table, read cell by cell: what is wrong is said by column and value."""

import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tools.download.name_patterns import split_of_cell
from tools.text import plural

NEWLINE, SPACE = ord("\n"), ord(" ")
_PLAIN = {str(value): value for value in range(256)}


@dataclass(frozen=True, kw_only=True)
class RowForm:
    """How a row is written.

    `pixels` are the columns of one value each, or the one column that holds all `values` of an
    image with spaces between. `texts` are (column, kind) of what stands beside them: a "label" or
    "group", a "number", a "hot" 0 or 1, a "split".
    """

    delimiter: str
    columns: tuple[str, ...]
    pixels: tuple[int, ...]
    values: int
    texts: tuple[tuple[int, str], ...]

    @property
    def packed(self) -> bool:
        return len(self.pixels) < self.values

    @cached_property
    def separators(self) -> NDArray[np.uint8]:
        """The byte that ends each field; a value is a field, also in a cell of many."""
        ends = np.full(len(self.columns), ord(self.delimiter), np.uint8)
        ends[-1] = NEWLINE
        if self.packed:
            ends = np.insert(ends, self.pixels[0], np.full(self.values - 1, SPACE))
        return ends

    @cached_property
    def pixel_fields(self) -> slice | list[int]:
        """A slice if they stand side by side, which is copied much faster."""
        first = self.pixels[0]
        if self.packed or self.pixels == tuple(range(first, first + self.values)):
            return slice(first, first + self.values)
        return list(self.pixels)

    @cached_property
    def pick(self) -> Callable[[list[str]], tuple[str, ...]]:
        """The cells of the pixels."""
        return itemgetter(*self.pixels)

    def field(self, column: int) -> int:
        """The field that is the whole cell of `column`."""
        return column + (self.values - 1 if self.packed and column > self.pixels[0] else 0)


class Rows(NamedTuple):
    """What `line_count` lines hold. `pixels`: uint8 (n, values); `texts`: one list of n a text
    column; `lines`: int64 (n,), counting from 0; `rejected`: (line, reason)."""

    pixels: NDArray[np.uint8]
    texts: list[list[str]]
    lines: NDArray[np.int64]
    rejected: list[tuple[int, str]]
    line_count: int


def parse_cells(data: bytes, form: RowForm) -> Rows:
    """Row by row; blank lines are left out."""
    # A cell of many values may be longer than the 128 KiB that the module takes by default.
    csv.field_size_limit(sys.maxsize)
    lines = data[:-1].split(b"\n")
    pixels, texts, numbers, rejected = [], [], [], []
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        row = _parse_row(line, form)
        if isinstance(row, str):
            rejected.append((number, row))
        else:
            numbers.append(number)
            pixels.append(row[0])
            texts.append(row[1])
    return Rows(
        pixels=np.frombuffer(b"".join(pixels), np.uint8).reshape(-1, form.values),
        texts=[list(column) for column in zip(*texts, strict=True)] or [[] for _ in form.texts],
        lines=np.array(numbers, np.int64),
        rejected=rejected,
        line_count=len(lines),
    )


def _parse_row(line: bytes, form: RowForm) -> tuple[bytes, list[str]] | str:
    """Pixels and texts, or what is wrong."""
    try:
        cells = _cells(line.decode(), form.delimiter)
    except UnicodeDecodeError as error:
        return f"the row is not UTF-8 (byte {line[error.start]:#x}): save the table as UTF-8"
    except csv.Error as error:
        return f"the row can't be read as CSV: {error}"
    if len(cells) != len(form.columns):
        return (
            f"the row is cut short or too long: {plural(len(cells), 'cell')}, "
            f"not {len(form.columns)}"
        )
    texts = [cells[column].strip() for column, _ in form.texts]
    for (column, kind), cell in zip(form.texts, texts, strict=True):
        name = form.columns[column]
        if not is_sound(cell, kind, name):
            return _complaint(name, kind, cell)
    pixels = _pixels(cells, form)
    return pixels if isinstance(pixels, str) else (pixels, texts)


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter)) if '"' in line else line.split(delimiter)


def _pixels(cells: list[str], form: RowForm) -> bytes | str:
    values = tuple(cells[form.pixels[0]].split()) if form.packed else form.pick(cells)
    if len(values) != form.values:
        name = form.columns[form.pixels[0]]
        return f"column {name!r} holds {plural(len(values), 'value')}, not {form.values}"
    whole = [_PLAIN.get(value, -1) for value in values]
    if -1 in whole:
        whole = [pixel_value(value) for value in values]
    if -1 not in whole:
        return bytes(whole)
    wrong = whole.index(-1)
    place = f"value {wrong + 1} of column" if form.packed else "column"
    name = form.columns[form.pixels[0 if form.packed else wrong]]
    return f"{place} {name!r} is {values[wrong].strip()!r}, not an integer from 0 to 255"


def pixel_value(cell: str) -> int:
    """An integer from 0 to 255, also one written "255.0" or "2.55e+02"; -1 for all else."""
    value = number_value(cell)
    return int(value) if value is not None and value.is_integer() and 0 <= value <= 255 else -1


def is_sound(cell: str, kind: str, name: str) -> bool:
    """Whether a text of this kind in the column `name` can be used."""
    if kind == "number":
        return number_value(cell) is not None
    if kind == "hot":
        return number_value(cell) in (0, 1)
    return split_of_cell(name, cell) is not None if kind == "split" else bool(cell)


def number_value(cell: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if isfinite(value) else None


def _complaint(name: str, kind: str, cell: str) -> str:
    if not cell:
        return "no label" if kind == "label" else f"column {name!r} is empty"
    wanted = {"number": "a number", "hot": "0 or 1", "split": "the name of a split"}[kind]
    return f"column {name!r} is {cell!r}, not {wanted}"
