"""The rows of a pixel table, read cell by cell, so that an error names the column and the value."""

import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.text import plural
from tools.download.label_parsing import parse_number
from tools.download.name_patterns import split_of_cell
from tools.images.pixel_range import PixelRange

NEWLINE, SPACE = ord("\n"), ord(" ")
_BYTES = {str(value): value for value in range(256)}


@dataclass(frozen=True, kw_only=True)
class RowFormat:
    """The layout of a row.

    Args:
        pixels: the columns of one value each, or the one column that has all `values` of an image
            with spaces between them.
        texts: (column, kind) of the other columns to read; the kind is "label", "group", "number",
            "one_hot" (0 or 1) or "split".
        pixel_range: the values that become 0 to 255; None leaves them as they are.
    """

    delimiter: str
    columns: tuple[str, ...]
    pixels: tuple[int, ...]
    values: int
    texts: tuple[tuple[int, str], ...]
    pixel_range: PixelRange | None = None

    @property
    def packed(self) -> bool:
        """Whether one column has all values."""
        return len(self.pixels) < self.values

    @cached_property
    def separators(self) -> NDArray[np.uint8]:
        """The byte that ends each field; each value of a packed column is a field."""
        ends = np.full(len(self.columns), ord(self.delimiter), np.uint8)
        ends[-1] = NEWLINE
        if self.packed:
            ends = np.insert(ends, self.pixels[0], np.full(self.values - 1, SPACE))
        return ends

    @cached_property
    def pixel_fields(self) -> slice | list[int]:
        """The fields of the pixels: a slice if they are adjacent, which is copied much faster."""
        first = self.pixels[0]
        if self.packed or self.pixels == tuple(range(first, first + self.values)):
            return slice(first, first + self.values)
        return list(self.pixels)

    @cached_property
    def pick(self) -> Callable[[list[str]], tuple[str, ...]]:
        """Returns the cells of the pixels."""
        return itemgetter(*self.pixels)

    def field(self, column: int) -> int:
        """The field of a column that is not packed."""
        return column + (self.values - 1 if self.packed and column > self.pixels[0] else 0)


class Rows(NamedTuple):
    """The rows of `line_count` lines. `pixels`: uint8 (n, values); `texts`: a list of n for each
    text column; `lines`: int64 (n,), from 0; `rejected`: (line, reason)."""

    pixels: NDArray[np.uint8]
    texts: list[list[str]]
    lines: NDArray[np.int64]
    rejected: list[tuple[int, str]]
    line_count: int


def parse_cells(data: bytes, form: RowFormat) -> Rows:
    """Parse row by row; blank lines are skipped."""
    # The default limit of the csv module is 128 KiB a cell.
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


def _parse_row(line: bytes, form: RowFormat) -> tuple[bytes, list[str]] | str:
    """Pixels and texts, or the reason to reject the row."""
    try:
        cells = _split_cells(line.decode(), form.delimiter)
    except UnicodeDecodeError as error:
        return f"the row is not UTF-8 (byte {line[error.start]:#x}): save the table as UTF-8"
    except csv.Error as error:
        return f"the row can't be read as CSV: {error}"
    if len(cells) != len(form.columns):
        return f"the row has {plural(len(cells), 'cell')}, not {len(form.columns)}"
    texts = [cells[column].strip() for column, _ in form.texts]
    for (column, kind), cell in zip(form.texts, texts, strict=True):
        name = form.columns[column]
        if not is_valid_text(cell, kind, name):
            return _invalid_text(name, kind, cell)
    pixels = _parse_pixels(cells, form)
    return pixels if isinstance(pixels, str) else (pixels, texts)


def _split_cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter)) if '"' in line else line.split(delimiter)


def _parse_pixels(cells: list[str], form: RowFormat) -> bytes | str:
    """The pixels, or the reason to reject the row."""
    texts = tuple(cells[form.pixels[0]].split()) if form.packed else form.pick(cells)
    if len(texts) != form.values:
        name = form.columns[form.pixels[0]]
        return f"column {name!r} has {plural(len(texts), 'value')}, not {form.values}"
    values = [_BYTES.get(text, -1) for text in texts]
    if -1 in values:
        values = [pixel_value(text) for text in texts]
    if -1 not in values:
        return bytes(values)
    wrong = values.index(-1)
    position = f"value {wrong + 1} of column" if form.packed else "column"
    name = form.columns[form.pixels[0 if form.packed else wrong]]
    return f"{position} {name!r} is {texts[wrong].strip()!r}, not an integer from 0 to 255"


def pixel_value(cell: str) -> int:
    """An integer from 0 to 255, also written as "255.0" or "2.55e+02"; -1 for anything else."""
    value = parse_number(cell)
    return int(value) if value is not None and value.is_integer() and 0 <= value <= 255 else -1


def is_valid_text(cell: str, kind: str, name: str) -> bool:
    """Whether a cell of the column `name` is valid for the kind of text in ``RowFormat.texts``."""
    if kind == "number":
        return parse_number(cell) is not None
    if kind == "one_hot":
        return parse_number(cell) in (0, 1)
    return split_of_cell(name, cell) is not None if kind == "split" else bool(cell)


def _invalid_text(name: str, kind: str, cell: str) -> str:
    if not cell:
        return "no label" if kind == "label" else f"column {name!r} is empty"
    expected = {"number": "a number", "one_hot": "0 or 1", "split": "the name of a split"}[kind]
    return f"column {name!r} is {cell!r}, not {expected}"
