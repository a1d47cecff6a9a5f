"""Label tables: CSV read as text, since a type-guessing reader destroys "NA", "001" and "1e10"."""

import codecs
import csv
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import IO, TextIO

from pipeline.errors import DataError, MisuseError

Open = Callable[[], IO[bytes]]
# Rows looked at to find out what a column is.
SNIFFED_ROWS = 1000
# Lines looked at to find out what parts the cells, and how much of them is read.
_SNIFFED_LINES, _SNIFFED_BYTES = 30, 2**20
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A CSV: `name` is its path relative to the download, `open` gives its bytes from the start, as
    UTF-8; columns without a header are called "1", "2", ...; `head` are its first data rows."""

    name: str
    open: Open
    delimiter: str
    header: bool
    columns: tuple[str, ...]
    head: tuple[tuple[str, ...], ...]

    def column(self, wanted: str, *, option: str) -> int:
        """Place of the column called `wanted`, or of that number from 1; ``MisuseError`` if
        there is none."""
        if wanted in self.columns:
            return self.columns.index(wanted)
        if wanted.isdecimal() and 1 <= int(wanted) <= len(self.columns):
            return int(wanted) - 1
        raise MisuseError(
            f"{self.name} has no column {wanted!r} ({option}): its columns are "
            f"{self.describe_columns()}."
        )

    def has(self, wanted: str) -> bool:
        """Whether ``column`` finds it."""
        numbered = wanted.isdecimal() and 1 <= int(wanted) <= len(self.columns)
        return wanted in self.columns or numbered

    def cells(self, column: int) -> list[str]:
        """The cells of the head in a column, stripped, empty ones left out."""
        return [
            row[column].strip() for row in self.head if len(row) > column and row[column].strip()
        ]

    def describe_columns(self) -> str:
        shown = ", ".join(repr(column) for column in self.columns[:12])
        more = len(self.columns) - 12
        return shown + (f" and {more} more" if more > 0 else "")

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """(line of the file counting from 1, cells) of each data row; blank lines left out."""
        with _text(self.open) as file:
            reader = csv.reader(file, delimiter=self.delimiter, skipinitialspace=True)
            rows = _numbered(reader, self)
            yield from islice(rows, 1 if self.header else 0, None)


def open_table(
    name: str, open: Open, *, is_header: Callable[[list[str], list[str]], bool]
) -> Table | None:
    """Look at the head of a CSV; None if it has no rows.

    ``is_header(first row, second row)`` tells whether the first row names the columns.
    """
    with open() as raw:
        start = raw.read(_SNIFFED_BYTES)
    is_utf16 = start.startswith(_UTF16_MARKS)
    lines = start.decode("utf-16" if is_utf16 else "utf-8-sig", "replace").splitlines()
    delimiter = find_delimiter(lines[:_SNIFFED_LINES], spaces=name.lower().endswith(".txt"))
    open_utf8 = partial(_recode, open, name) if is_utf16 else open
    table = Table(name=name, open=open_utf8, delimiter=delimiter, header=False, columns=(), head=())
    head = [cells for _, cells in islice(table.rows(), SNIFFED_ROWS + 1)]
    if not head:
        return None
    header = is_header(head[0], head[1] if len(head) > 1 else [])
    names = head[0] if header else [str(n + 1) for n in range(len(head[0]))]
    return replace(
        table,
        header=header,
        columns=tuple(column.strip() for column in names),
        head=tuple(tuple(cells) for cells in head[1 if header else 0 :]),
    )


def find_delimiter(lines: list[str], *, spaces: bool = False) -> str:
    """What parts most lines into as many cells as the first: a comma, tab, semicolon or bar, or
    with `spaces` also a blank."""
    csv.field_size_limit(sys.maxsize)
    best, most = ",", (0, 0)
    for delimiter in ",\t;|" + (" " if spaces else ""):
        rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
        widths = [len(row) for row in rows if row]
        if widths and widths[0] > 1:
            score = (widths.count(widths[0]), widths[0])
            if score > most:
                best, most = delimiter, score
    return best


def _recode(open: Open, name: str) -> IO[bytes]:
    """UTF-16 as UTF-8; such tables are small."""
    with open() as file:
        try:
            return io.BytesIO(file.read().decode("utf-16").encode())
        except UnicodeDecodeError as error:
            raise DataError(
                f"{name} is not the UTF-16 that it begins as: save as UTF-8."
            ) from error


def _text(open: Open) -> TextIO:
    """UTF-8 with or without a byte order mark; undecodable bytes raise when they are read."""
    return io.TextIOWrapper(open(), encoding="utf-8-sig", newline="")


def _first_other(open: Open) -> str:
    """Where the first line lies that is not UTF-8."""
    with open() as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                return f"line {number}, byte {error.object[error.start]:#x}"
    return "a byte at its end"


def _numbered(reader: Iterator[list[str]], table: Table) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(sys.maxsize)
    line = 0
    try:
        for cells in reader:
            line = reader.line_num  # type: ignore[attr-defined]
            if any(cell.strip() for cell in cells):
                yield line, cells
    except UnicodeDecodeError as error:
        raise DataError(
            f"{table.name} is not UTF-8 ({_first_other(table.open)}): save it as UTF-8."
        ) from error
    except csv.Error as error:
        raise DataError(f"{table.name} can't be read as CSV after line {line}: {error}.") from error
    except OSError as error:
        raise DataError(f"{table.name} can't be read: {error.strerror or error}.") from error
