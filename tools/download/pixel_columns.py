"""What the columns of a pixel table are, by their names and by the first rows. Pure functions."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import islice, pairwise
from math import isqrt

from tools.download.name_patterns import (
    is_id_column,
    is_label_column,
    is_pixel_column,
    is_split_column,
    is_unnamed,
    split_of_cell,
)
from tools.download.pixel_rows import number_value, pixel_value
from tools.download.tables import Table

# 4 x 4 pixels; fewer numbers are measurements.
MIN_VALUES = 16
# So many rows of which no two are alike are an id, whatever its name.
_MANY_ROWS = 50


def is_wide(cells: Sequence[str]) -> bool:
    """Whether a row has cells, or one cell has values, enough for an image and a label."""
    return len(cells) > MIN_VALUES or any(map(values_in, cells))


def looks_like_pixels(cells: Sequence[str]) -> bool:
    """Whether a row holds values from 0 to 255 in all places but a few, not a header's numbers."""
    values = [pixel_value(cell) for cell in cells]
    rising = sum(second == first + 1 for first, second in pairwise(values))
    wide = sum(value >= 0 for value in values) >= len(cells) - 3 and rising < len(cells) / 2
    return wide or any(map(values_in, cells))


def values_in(cell: str) -> int:
    """How many numbers stand in the cell with spaces between; 0 if they are too few for an image or
    something else is among them."""
    if cell.count(" ") < MIN_VALUES - 1:
        return 0
    values = cell.split()
    numbers = all(number_value(value) is not None for value in values)
    return len(values) if numbers and len(values) >= MIN_VALUES else 0


def image_shape(values: int, size: tuple[int, int] | None = None) -> tuple[int, ...] | None:
    """(h, w) or (h, w, 3) of an image of so many values: square unless `size` says otherwise."""
    if size is not None:
        height, width = size
        return {height * width: (height, width), 3 * height * width: (height, width, 3)}.get(values)
    for channels in (1, 3):
        side = isqrt(values // channels)
        if side * side * channels == values:
            return (side, side) if channels == 1 else (side, side, 3)
    return None


def packed_column(table: Table) -> tuple[int, int] | None:
    """The one column whose cells hold a whole image, and how many values one holds; or None."""
    found = [n for n, cell in enumerate(table.head[0]) if values_in(cell)]
    if len(found) != 1:
        return None
    counts = Counter(values_in(row[found[0]]) for row in table.head[:50] if len(row) > found[0])
    return found[0], counts.most_common(1)[0][0]


def named_pixels(table: Table) -> list[int]:
    """The columns that are called like pixels; none where all are, which then says nothing."""
    if not table.header:
        return []
    prefixes = {
        n: re.sub(r"\d.*", "", name).lower()
        for n, name in enumerate(table.columns)
        if is_pixel_column(name)
    }
    counts = Counter(prefixes.values())
    named = [n for n, prefix in prefixes.items() if counts[prefix] >= MIN_VALUES]
    return named if len(named) < len(table.columns) else []


def placed_columns(
    table: Table, taken: Collection[int], labels: Sequence[int], size: tuple[int, int] | None
) -> tuple[list[int], list[int]]:
    """Pixels and labels where names tell nothing. The label is the column that isn't a number, else
    the first: so all such tables in the wild have it. A running number before it is left out."""
    left = [n for n in range(len(table.columns)) if n not in taken and n not in labels]
    missing = 0 if labels else 1
    if not labels and image_shape(len(left), size) is not None:
        return left, []
    if image_shape(len(left) - missing - 1, size) is not None and _counts_up(table, left[0]):
        left = left[1:]
    if not labels:
        texts = [n for n in left if number_value(table.head[0][n]) is None]
        labels = texts[:1] or left[:1]
    return [n for n in left if n not in labels], list(labels)


def label_candidates(table: Table, others: Sequence[int]) -> list[int]:
    """Those of the columns beside the pixels that may hold the label: one of that name, else all
    but running numbers and ids."""
    named = [n for n in others if is_label_column(table.columns[n])]
    return named if len(named) == 1 else [n for n in others if not _is_id(table, n)]


def split_columns(table: Table, others: Sequence[int]) -> list[int]:
    """Columns that tell the split of each row."""
    found = []
    for number in others:
        name = table.columns[number]
        known = all(split_of_cell(name, cell) for cell in cells_of(table, number))
        if known and (is_split_column(name) or not table.header):
            found.append(number)
    return found


def task_of(table: Table, labels: Sequence[int]) -> str | None:
    """What the labels of the head are for; None if they are several and not numbers."""
    if len(labels) < 2:
        fractions = any(is_fractional(table, n) for n in labels)
        return "regression" if fractions else "classification"
    columns = [[number_value(cell) for cell in cells_of(table, n)] for n in labels]
    if any(all(value is None for value in values) for values in columns):
        return None
    if {value for values in columns for value in values} <= {0, 1, None}:
        one_hot = all(row.count(1) == 1 for row in zip(*columns, strict=False))
        return "classification" if one_hot else "multi-label"
    return "regression"


def is_fractional(table: Table, column: int) -> bool:
    """Whether a column holds numbers that are not all whole."""
    numbers = [number_value(cell) for cell in cells_of(table, column) if cell]
    return None not in numbers and any(value and not value.is_integer() for value in numbers)


def first_fraction(table: Table, pixels: Sequence[int]) -> tuple[int, int, str] | None:
    """(line, column, value) of the first pixel of the first rows that is a fraction."""
    for line, cells in islice(table.rows(), 50):
        for column in pixels:
            for value in cells[column].split() if column < len(cells) else []:
                number = number_value(value)
                if number is not None and not number.is_integer():
                    return line, column, value
    return None


def cells_of(table: Table, column: int) -> list[str]:
    """The cells of a column in the head."""
    return [row[column].strip() for row in table.head if len(row) > column]


def _is_id(table: Table, column: int) -> bool:
    name, cells = table.columns[column], cells_of(table, column)
    if table.header and is_unnamed(name):
        return True
    differ = len(set(cells)) == len(cells) and not is_fractional(table, column)
    return differ and (is_id_column(name) or len(cells) >= _MANY_ROWS)


def _counts_up(table: Table, column: int) -> bool:
    numbers = [number_value(cell) for cell in cells_of(table, column)]
    first = numbers[0]
    return first is not None and numbers == [first + n for n in range(len(numbers))]
