"""Tables of a download, read as text, since type inference destroys "NA", "001" and "1e10"."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO

from pipeline.errors import DataError, MisuseError
from pipeline.text import join_names
from tools.config import ShardConfig
from tools.download.json_tables import JSON_SUFFIXES, open_json
from tools.download.name_index import suffix_of
from tools.download.strangers import describe_stranger
from tools.download.table_header import IsHeader, find_header
from tools.download.table_sample import Row
from tools.download.table_scan import HEAD_ROWS, Source, TableScan
from tools.download.table_text import Preamble, TextSource, find_preamble, split_lines
from tools.download.table_text import find_delimiter as find_delimiter
from tools.download.text_encoding import Open, TextEncoding
from tools.download.workbooks import WORKBOOK_SUFFIXES, open_workbook
from tools.named_places import named_columns

# Part of the file that the encoding and the delimiter are found in.
_SNIFFED_BYTES = 2**20
# Pixels of RGB images of 288 px, and cells of the first rows, about 60 bytes each.
MAX_COLUMNS, _MAX_HEAD_CELLS = 2**18, 2**24


@dataclass(frozen=True, kw_only=True)
class Table:
    """A CSV, JSON or workbook, as rows of cells without blanks around them.

    Without a header the columns are called "1", "2", ...; columns that the header leaves without
    a name are called "Unnamed: 0" and so on, as pandas does. `head` are the first HEAD_ROWS data
    rows. `header_lines` is the number of lines above the first data row in what `open` gives. The
    numbers of the columns `plain` are read as they are written, see ``as_written``.
    `is_submission`: whether it shows the form of a submission.
    """

    scan: TableScan
    header: bool
    columns: tuple[str, ...]
    head: tuple[Row, ...]
    header_lines: int
    plain: frozenset[int] = frozenset()
    is_submission: bool = False

    @property
    def name(self) -> str:
        """Its path in the download."""
        return self.scan.source.name

    @property
    def delimiter(self) -> str:
        """What parts the cells of a line in what `open` gives; a blank stands for several."""
        return self.scan.source.delimiter

    def open(self) -> IO[bytes]:
        """The bytes of the CSV as UTF-8; a JSON or workbook is made a CSV."""
        return self.scan.source.open()

    def ascii_file(self) -> Path | None:
        """See ``TextSource.ascii_file``; None for a JSON or workbook."""
        source = self.scan.source
        return source.ascii_file() if isinstance(source, TextSource) else None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was assumed to read the table; all that there are once the sample
        or all rows were read."""
        return tuple(self.scan.source.notes)

    def notes_of(self, column: int) -> tuple[str, ...]:
        """Sentences about what was assumed to read a column."""
        note = "" if column in self.plain else self.scan.style_note(column)
        return (f"{self.name}: column {self.columns[column]!r} {note}",) if note else ()

    @cached_property
    def sample(self) -> tuple[Row, ...]:
        """Up to 20,000 data rows spread evenly over the table, the head of a wide table. Raises
        ``DataError``."""
        return self.scan.sample(self.plain) if self.scan.is_counted else self.head

    def as_written(self, *columns: int) -> "Table":
        """A copy that leaves the numbers of these columns as they are written: "1.0" stays "1.0",
        as where another table of the download has 1.5 in this column."""
        plain = self.plain | {*columns}
        return replace(self, plain=plain, head=self.scan.head(plain)[: len(self.head)])

    @property
    def row_count(self) -> int | None:
        """The number of data rows, None for a wide table; raises ``DataError``."""
        return self.scan.row_count

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
        return [self.column(name, option=option) for option, name in named_columns(config, *fields)]

    def option_column(self, config: ShardConfig, field: str) -> int | None:
        """Index of the column that an option names, None without it; raises ``MisuseError``."""
        return next(iter(self.option_columns(config, field)), None)

    def cells(self, column: int) -> list[str]:
        """The cells of a column in the head, without empty ones."""
        return [row[column] for row in self.head if len(row) > column and row[column]]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line, cells) of each data row that is not blank; the line is that of the file from
        1, the row of a sheet, or the number of an object of JSON. Raises ``DataError``."""
        return self.scan.read_rows(self.plain)

    def written_columns(self) -> tuple[str, ...]:
        """The names of the columns as the first row writes them; `columns` if it has none. Raises
        ``DataError``."""
        return self.scan.header() or self.columns

    def written_rows(self) -> Iterator[list[str]]:
        """Yield the cells of each row of ``rows`` as they are written. Raises ``DataError``."""
        return (cells for _, cells in self.scan.data_rows())


def open_table(name: str, open: Open, *, is_header: IsHeader) -> Table | None:
    """Read the head of a table; None if it has no rows, or is a JSON of another shape.

    ``is_header(first row, second row)`` decides whether the first row has the column names. Raises
    ``DataError`` for a file that is no table.
    """
    try:
        with open() as raw:
            start = raw.read(_SNIFFED_BYTES)
    except OSError as error:
        raise DataError(f"{name} can't be read: {error.strerror or error}.") from error
    if start and (stranger := describe_stranger(name, start)) is not None:
        raise DataError(f"{name} is {stranger}.")
    if suffix_of(name) in WORKBOOK_SUFFIXES:
        return _make_table(open_workbook(name, open), is_header, Preamble())
    encoding = TextEncoding(name, start, whole=len(start) < _SNIFFED_BYTES)
    text = encoding.decode_start(start)
    if suffix_of(name) in JSON_SUFFIXES:
        source = open_json(name, open, encoding, text)
        if source is None:
            return None
        has_keys = source.keys is not None
        return _make_table(source, lambda first, second: has_keys, Preamble())
    lines = split_lines(text)
    if len(start) == _SNIFFED_BYTES and len(lines) > 1:
        # The last one is cut.
        del lines[-1]
    preamble = find_preamble(lines)
    spaces = suffix_of(name) == ".txt"
    delimiter = preamble.separator or find_delimiter(lines[preamble.lines :], spaces=spaces)
    csv = TextSource(
        name=name, file=open, encoding=encoding, delimiter=delimiter, skipped_lines=preamble.lines
    )
    return _make_table(csv, is_header, preamble)


def _make_table(source: Source, is_header: IsHeader, preamble: Preamble) -> Table | None:
    numbered, cells_left = list[tuple[int, list[str]]](), _MAX_HEAD_CELLS
    for line, cells in islice(source.rows(), HEAD_ROWS + 1):
        if len(cells) > MAX_COLUMNS:
            raise DataError(
                f"{source.name} line {line} has {len(cells):,} columns, more than {MAX_COLUMNS:,}: "
                f"save a table with the columns of labels and file names only."
            )
        numbered.append((line, cells))
        cells_left -= len(cells)
        if cells_left < 0 and len(numbered) > 2:
            break
    rows = [tuple(cell.strip() for cell in cells) for _, cells in numbered]
    if not rows:
        return None
    header = find_header(rows, is_header, preamble, source.delimiter)
    scan = TableScan(
        source, skipped_rows=header.rows, head=rows[header.rows :], width=len(header.columns)
    )
    return Table(
        scan=scan,
        header=header.stated,
        columns=header.columns,
        head=scan.head(),
        header_lines=max(1, numbered[0][0]) if header.rows else preamble.lines,
    )
