"""CSV tables, read as text, since type inference destroys "NA", "001" and "1e10"."""

import codecs
import csv
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import IO, TextIO

from pipeline.errors import DataError, MisuseError
from tools.config import ShardConfig
from tools.text import join_names

Open = Callable[[], IO[bytes]]
# Rows that detection looks at.
HEAD_ROWS = 1000
# Part of the file that the delimiter is detected in.
_SNIFFED_LINES, _SNIFFED_BYTES = 30, 2**20
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A CSV.

    `name` is its path in the download and `open` gives its bytes as UTF-8. Without a header the
    columns are called "1", "2", ... `head` are the first HEAD_ROWS data rows.
    """

    name: str
    open: Open
    delimiter: str
    header: bool
    columns: tuple[str, ...]
    head: tuple[tuple[str, ...], ...]

    def column(self, name: str, *, option: str) -> int:
        """Index of the column with this name, or with this number from 1; raises ``MisuseError``
        with the name of the option if there is none."""
        if (column := self.find(name)) is None:
            columns = join_names(self.columns, 12, quote=True)
            raise MisuseError(f"{self.name} has no column {name!r} ({option}); it has {columns}.")
        return column

    def find(self, name: str) -> int | None:
        """Index of the column with this name, or with this number from 1; None if there is none."""
        if name in self.columns:
            return self.columns.index(name)
        number = int(name) if name.isdecimal() else 0
        return number - 1 if 1 <= number <= len(self.columns) else None

    def option_columns(self, config: ShardConfig, *fields: str) -> list[int]:
        """Indices of the columns that the options `fields` name; raises ``MisuseError``."""
        return [self.column(name, option=option) for option, name in config.named_columns(*fields)]

    def option_column(self, config: ShardConfig, field: str) -> int | None:
        """Index of the column that an option names, None without it; raises ``MisuseError``."""
        return next(iter(self.option_columns(config, field)), None)

    def cells(self, column: int) -> list[str]:
        """The cells of a column in the head, stripped, without empty ones."""
        cells = (row[column].strip() for row in self.head if len(row) > column)
        return [cell for cell in cells if cell]

    @property
    def sample(self) -> Sequence[Sequence[str]]:
        """Data rows spread over the table."""
        return self.head

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line of the file from 1, cells) of each data row that is not blank; raises
        ``DataError``."""
        # UTF-8 with or without a byte order mark.
        with io.TextIOWrapper(self.open(), encoding="utf-8-sig", newline="") as file:
            yield from islice(_numbered_rows(file, self), 1 if self.header else 0, None)


def open_table(
    name: str, open: Open, *, is_header: Callable[[list[str], list[str]], bool]
) -> Table | None:
    """Read the head of a CSV; None if it has no rows.

    ``is_header(first row, second row)`` decides whether the first row has the column names.
    """
    with open() as raw:
        start = raw.read(_SNIFFED_BYTES)
    is_utf16 = start.startswith(_UTF16_MARKS)
    lines = start.decode("utf-16" if is_utf16 else "utf-8-sig", "replace").splitlines()
    delimiter = find_delimiter(lines[:_SNIFFED_LINES], spaces=name.lower().endswith(".txt"))
    open_utf8 = partial(_recode, open, name) if is_utf16 else open
    table = Table(name=name, open=open_utf8, delimiter=delimiter, header=False, columns=(), head=())
    head = [cells for _, cells in islice(table.rows(), HEAD_ROWS + 1)]
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
    """The delimiter that splits most lines into as many cells as the first line.

    One of comma, tab, semicolon and bar, and with `spaces` also a space.
    """
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
    """A UTF-16 table as UTF-8, in memory: such tables are small."""
    with open() as file:
        try:
            return io.BytesIO(file.read().decode("utf-16").encode())
        except UnicodeDecodeError as error:
            raise DataError(f"{name} begins as UTF-16 and is not: save it as UTF-8.") from error


def _first_non_utf8(open: Open) -> str:
    """The line and the byte that are not UTF-8."""
    with open() as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                return f"line {number}, byte {error.object[error.start]:#x}"
    return "a byte at its end"


def _numbered_rows(file: TextIO, table: Table) -> Iterator[tuple[int, list[str]]]:
    # The default limit of the csv module is 128 KiB a cell.
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(file, delimiter=table.delimiter, skipinitialspace=True)
    line = 0
    try:
        for cells in reader:
            line = reader.line_num
            if any(cell.strip() for cell in cells):
                yield line, cells
    except UnicodeDecodeError as error:
        raise DataError(
            f"{table.name} is not UTF-8 ({_first_non_utf8(table.open)}): save it as UTF-8."
        ) from error
    except csv.Error as error:
        raise DataError(f"{table.name} can't be read as CSV after line {line}: {error}.") from error
    except OSError as error:
        raise DataError(f"{table.name} can't be read: {error.strerror or error}.") from error
