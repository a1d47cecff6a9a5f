"""Label tables: CSV read as text, since a type-guessing reader destroys "NA", "001" and "1e10"."""

import csv
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import IO, TextIO

from pipeline.errors import DataError, MisuseError

Open = Callable[[], IO[bytes]]
# Rows looked at to find out what a column is.
SNIFFED_ROWS = 1000


@dataclass(frozen=True, kw_only=True)
class Table:
    """A CSV: `name` is its path relative to the download, `open` gives its bytes from the start;
    columns without a header are called "1", "2", ...; `head` are its first data rows."""

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

    def describe_columns(self) -> str:
        shown = ", ".join(repr(column) for column in self.columns[:12])
        more = len(self.columns) - 12
        return shown + (f" and {more} more" if more > 0 else "")

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """(line of the file counting from 1, cells) of each data row; blank lines left out."""
        with _text(self.open) as file:
            reader = csv.reader(file, delimiter=self.delimiter)
            rows = _numbered(reader, self)
            yield from islice(rows, 1 if self.header else 0, None)


def open_table(
    name: str, open: Open, *, is_header: Callable[[list[str], list[str]], bool]
) -> Table | None:
    """Look at the head of a CSV; None if it has no rows.

    ``is_header(first row, second row)`` tells whether the first row names the columns.
    """
    with open() as raw:
        delimiter = max(",\t;", key=raw.readline().decode(errors="replace").count)
    table = Table(name=name, open=open, delimiter=delimiter, header=False, columns=(), head=())
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
        raise DataError(f"{table.name} can't be read: {error.strerror}.") from error
