"""The roles of a pixel table's columns, from their names and the first rows. Pure functions."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import islice, pairwise
from math import isqrt

from tools.download.label_parsing import parse_number
from tools.download.name_patterns import (
    is_id_column,
    is_label_column,
    is_pixel_column,
    is_split_column,
    is_unnamed,
    split_of_cell,
)
from tools.download.tables import Table
from tools.pixel_tables.pixel_rows import pixel_value

# 4 x 4 pixels: a row of fewer numbers is a row of measurements.
MIN_VALUES = 16
# A column with this many rows, all different, is an id whatever its name.
_MANY_ROWS = 50


def is_wide(cells: Sequence[str]) -> bool:
    """Whether a row has enough cells, or a cell enough values, for an image."""
    return len(cells) > MIN_VALUES or any(map(values_in, cells))


def looks_like_pixels(cells: Sequence[str]) -> bool:
    """Whether all cells but a few are values from 0 to 255, and not the numbers of a header."""
    values = [pixel_value(cell) for cell in cells]
    rising = sum(second == first + 1 for first, second in pairwise(values))
    wide = sum(value >= 0 for value in values) >= len(cells) - 3 and rising < len(cells) / 2
    return wide or any(map(values_in, cells))


def values_in(cell: str) -> int:
    """The number of values in a cell, separated by spaces; 0 if they are too few for an image or
    not all numbers."""
    if cell.count(" ") < MIN_VALUES - 1:
        return 0
    values = cell.split()
    numbers = all(parse_number(value) is not None for value in values)
    return len(values) if numbers and len(values) >= MIN_VALUES else 0


def image_shape(values: int, size: tuple[int, int] | None = None) -> tuple[int, ...] | None:
    """(h, w) or (h, w, 3) of an image of `values` values; square unless `size` is (h, w)."""
    if size is not None:
        height, width = size
        return {height * width: (height, width), 3 * height * width: (height, width, 3)}.get(values)
    for channels in (1, 3):
        side = isqrt(values // channels)
        if side * side * channels == values:
            return (side, side) if channels == 1 else (side, side, 3)
    return None


def packed_column(table: Table) -> tuple[int, int] | None:
    """The only column whose cells are whole images, and the number of values in one; or None."""
    columns = [n for n, cell in enumerate(table.head[0]) if values_in(cell)]
    if len(columns) != 1:
        return None
    counts = Counter(values_in(cell) for cell in cells_of(table, columns[0])[:50])
    return columns[0], counts.most_common(1)[0][0]


def pixel_columns_by_name(table: Table) -> list[int]:
    """The columns with names of pixels; none if all columns have, which then proves nothing."""
    named = named_pixels(table)
    return named if len(named) < len(table.columns) else []


def named_pixels(table: Table) -> list[int]:
    """The columns with names of pixels: a word and a number."""
    if not table.header:
        return []
    prefixes = {
        n: re.sub(r"\d.*", "", name).lower()
        for n, name in enumerate(table.columns)
        if is_pixel_column(name)
    }
    counts = Counter(prefixes.values())
    return [n for n, prefix in prefixes.items() if counts[prefix] >= MIN_VALUES]


def columns_by_position(
    table: Table, excluded: Collection[int], labels: Sequence[int], size: tuple[int, int] | None
) -> tuple[list[int], list[int]]:
    """Pixels and labels of a table whose column names don't tell.

    The label is the column that is not a number, else the last column if its numbers count classes
    and those of the first column don't, else the first column. A running number before it is left
    out.
    """
    columns = [n for n in range(len(table.columns)) if n not in excluded and n not in labels]
    missing = 0 if labels else 1
    if not labels and image_shape(len(columns), size) is not None:
        return columns, []
    if image_shape(len(columns) - missing - 1, size) is not None and _counts_up(table, columns[0]):
        columns = columns[1:]
    if not labels:
        texts = [n for n in columns if parse_number(table.head[0][n]) is None]
        ends = [columns[0], columns[-1]]
        counting = [n for n in ends if _counts_classes(table, n)]
        labels = texts[:1] or counting[:1] or columns[:1]
    return [n for n in columns if n not in labels], list(labels)


def _counts_classes(table: Table, column: int) -> bool:
    """Whether the numbers of a column are 0, 1, 2 ... or 1, 2, 3 ..., each several times."""
    values = [parse_number(cell) for cell in cells_of(table, column)]
    numbers = sorted({value for value in values if value is not None})
    first = numbers[0] if numbers else -1
    counted = first in (0, 1) and numbers == [first + n for n in range(len(numbers))]
    return counted and 1 < len(numbers) <= len(values) / 2


def label_candidates(table: Table, others: Sequence[int]) -> list[int]:
    """The columns of `others`, which are not pixels, that may have the label: the one of that name,
    else all but running numbers and ids."""
    named = [n for n in others if is_label_column(table.columns[n])]
    return named if len(named) == 1 else [n for n in others if not _is_id(table, n)]


def split_columns(table: Table, others: Sequence[int]) -> list[int]:
    """The columns of `others` whose cells are all names of splits."""
    return [
        n
        for n in others
        if (is_split_column(table.columns[n]) or not table.header)
        and all(split_of_cell(table.columns[n], cell) for cell in cells_of(table, n))
    ]


def task_of(table: Table, labels: Sequence[int]) -> str | None:
    """The task that the labels of the head fit; None for several columns that are not numbers."""
    if len(labels) < 2:
        fractions = any(is_fractional(table, n) for n in labels)
        return "regression" if fractions else "classification"
    columns = [[parse_number(cell) for cell in cells_of(table, n)] for n in labels]
    if any(all(value is None for value in values) for values in columns):
        return None
    if {value for values in columns for value in values} <= {0, 1, None}:
        one_hot = all(row.count(1) == 1 for row in zip(*columns, strict=False))
        return "classification" if one_hot else "multi-label"
    return "regression"


def is_fractional(table: Table, column: int) -> bool:
    """Whether a column has numbers that are not all integers."""
    numbers = [parse_number(cell) for cell in cells_of(table, column) if cell]
    return None not in numbers and any(value and not value.is_integer() for value in numbers)


def first_fraction(table: Table, pixels: Sequence[int]) -> tuple[int, int, str] | None:
    """(line, column, value) of the first pixel in the first rows that is not an integer."""
    for line, cells in islice(table.rows(), 50):
        for column in pixels:
            for value in cells[column].split() if column < len(cells) else []:
                number = parse_number(value)
                if number is not None and not number.is_integer():
                    return line, column, value
    return None


def cells_of(table: Table, column: int) -> list[str]:
    """The cells of a column in the head, stripped, with empty ones."""
    return [row[column].strip() for row in table.head if len(row) > column]


def _is_id(table: Table, column: int) -> bool:
    name, cells = table.columns[column], cells_of(table, column)
    if table.header and is_unnamed(name):
        return True
    differ = len(set(cells)) == len(cells) and not is_fractional(table, column)
    return differ and (is_id_column(name) or len(cells) >= _MANY_ROWS)


def _counts_up(table: Table, column: int) -> bool:
    numbers = [parse_number(cell) for cell in cells_of(table, column)]
    first = numbers[0]
    return first is not None and numbers == [first + n for n in range(len(numbers))]
