"""Rows spread evenly over a table, and how the numbers of a column are written."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from itertools import compress
from typing import NamedTuple

Row = tuple[str, ...]
MAX_SAMPLE_ROWS = 20_000
_MAX_SAMPLE_BYTES = 64 * 10**6
_BOUND, _GOLDEN = 2**64, 0x9E3779B97F4A7C15
# What Python takes for a short string besides its letters, and for its place in a row.
_CELL_BYTES = 57
_WHOLE_FLOAT = re.compile(r"([+-]?\d+)\.(?:0+|\d*e[+-]?\d+)", re.IGNORECASE)
_PLAIN = re.compile(r"[+-]?\d+(?:\.\d*)?(?:e[+-]?\d+)?", re.IGNORECASE)
_WITH_COMMA = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+),\d+(?:e[+-]?\d+)?", re.IGNORECASE)
# Thousands, or three decimals.
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
# Larger floats have no exact integer.
_MAX_EXACT = 2**53


class Sample(NamedTuple):
    """`rows` of a table; `row_count` of the whole table, None if it was not counted."""

    rows: tuple[Row, ...]
    row_count: int | None


class NumberStyle(Enum):
    """How the numbers of a column are written, and how they are read."""

    COMMAS = "has numbers with decimal commas ({cell}): they are read with points ({read})."
    WHOLE = "has whole numbers written as floats ({cell}): they are read as integers ({read})."
    WHOLE_COMMAS = (
        "has whole numbers written as floats with decimal commas ({cell}): they are read as "
        "integers ({read})."
    )
    UNCLEAR = (
        "has numbers like {cell}, whose comma may part decimals or thousands: they are read as "
        "text. Save the table without such commas to use them as numbers."
    )

    def read(self, cell: str) -> str:
        """The cell as it is read."""
        if self is NumberStyle.COMMAS:
            return _with_point(cell)
        if self is NumberStyle.UNCLEAR:
            return cell
        return _as_integer(_with_point(cell) if self is NumberStyle.WHOLE_COMMAS else cell)


def spread_rows(
    rows: Iterable[Sequence[str]],
    max_rows: int = MAX_SAMPLE_ROWS,
    max_bytes: int = _MAX_SAMPLE_BYTES,
) -> Sample:
    """One of k rows, stripped, with k doubled as often as the sample is too large.

    The distances between rows vary, so that a table whose labels alternate shows all of them.
    """
    kept, numbers, sizes = list[Row](), list[int](), list[int]()
    bound, size_bytes, count = _BOUND, 0, 0
    for cells in rows:
        if _spread(count) < bound:
            row = tuple(cell.strip() for cell in cells)
            kept.append(row)
            numbers.append(count)
            sizes.append(sum(map(len, row)) + _CELL_BYTES * len(row))
            size_bytes += sizes[-1]
            while len(kept) > max_rows or (size_bytes > max_bytes and len(kept) > 1):
                bound //= 2
                stays = [_spread(number) < bound for number in numbers]
                kept, numbers, sizes = (
                    list(compress(kept, stays)),
                    list(compress(numbers, stays)),
                    list(compress(sizes, stays)),
                )
                size_bytes = sum(sizes)
        count += 1
    return Sample(tuple(kept), count)


def _spread(number: int) -> int:
    """A place in range(_BOUND); consecutive numbers are spread evenly (Knuth, "The Art of Computer
    Programming", 6.4: the golden ratio). 0 is the first."""
    return number * _GOLDEN % _BOUND


def number_style(cells: Callable[[], Iterator[str]], delimiter: str) -> NumberStyle | None:
    """How the stripped `cells` of a column write numbers; None for text and plain numbers."""
    if all(_WHOLE_FLOAT.fullmatch(cell) and _is_exact(cell) for cell in cells() if cell):
        return NumberStyle.WHOLE if any(cells()) else None
    if delimiter == "," or not all(_is_number(cell) for cell in cells() if cell):
        return None
    with_commas = (cell for cell in cells() if "," in cell)
    if (first := next(with_commas, None)) is None:
        return None
    # Semicolons part cells where commas part decimals.
    if (
        delimiter != ";"
        and _THOUSANDS.fullmatch(first)
        and all(map(_THOUSANDS.fullmatch, with_commas))
    ):
        return NumberStyle.UNCLEAR
    whole = all("," in cell and _is_exact(_with_point(cell)) for cell in cells() if cell)
    return NumberStyle.WHOLE_COMMAS if whole else NumberStyle.COMMAS


def _is_number(cell: str) -> bool:
    return (_WITH_COMMA if "," in cell else _PLAIN).fullmatch(cell) is not None


def _is_exact(cell: str) -> bool:
    value = float(cell)
    return value.is_integer() and abs(value) < _MAX_EXACT


def _with_point(cell: str) -> str:
    """ "1234.5" of "1.234,5"."""
    return cell.replace(".", "").replace(",", ".") if _WITH_COMMA.fullmatch(cell) else cell


def _as_integer(cell: str) -> str:
    """ "7" of "7.0" and "007" of "007.0"; other cells stay."""
    if cell.endswith(".0") and cell[:-2].isdecimal():
        return cell[:-2]
    match = _WHOLE_FLOAT.fullmatch(cell)
    if match is None or not _is_exact(cell):
        return cell
    digits = str(int(float(cell))) if "e" in cell.lower() else match[1].removeprefix("+")
    return "0" if digits == "-0" else digits
