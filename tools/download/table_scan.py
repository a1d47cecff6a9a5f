"""One pass over a table: a sample, the number of rows, and how each column writes its numbers."""

from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import IO, Protocol

from tools.download.table_sample import NumberStyle, Row, Sample, number_style, spread_rows

# Rows that detection looks at first, and columns up to which it sees a sample of all.
HEAD_ROWS, MAX_SAMPLED_COLUMNS = 1000, 64


class Source(Protocol):
    """Where the rows of a table come from; `open` gives them as CSV."""

    @property
    def name(self) -> str:
        """Its path in the download."""

    @property
    def delimiter(self) -> str:
        """What parts the cells in what `open` gives."""

    @property
    def notes(self) -> Sequence[str]:
        """Sentences about what was assumed to read it."""

    def open(self) -> IO[bytes]:
        """The table as the bytes of a CSV in UTF-8."""

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line, cells) of each row that is not blank, also the header's; raises
        ``DataError``."""


class TableScan:
    """What the rows of `source` tell; copies of a table share it. Reads them when asked.

    Args:
        skipped_rows: 1 if the first row is the header.
        head: the first data rows, stripped.
        width: the number of columns.
    """

    def __init__(
        self, source: Source, *, skipped_rows: int, head: Sequence[Row], width: int
    ) -> None:
        self.source = source
        self._skipped_rows, self._head, self._width = skipped_rows, head, width

    @property
    def is_counted(self) -> bool:
        """Whether the table is narrow enough for a pass over all rows."""
        return self._width <= MAX_SAMPLED_COLUMNS

    def head(self, plain: Container[int] = ()) -> tuple[Row, ...]:
        """The first rows as they are read, the columns `plain` as they are written."""
        return _read(self._head, self._head_styles, plain)

    def sample(self, plain: Container[int] = ()) -> tuple[Row, ...]:
        """The sampled rows as they are read, the columns `plain` as they are written."""
        return _read(self._counted.rows, self._styles, plain)

    @property
    def row_count(self) -> int | None:
        """The number of data rows, None if the table is too wide."""
        return self._counted.row_count

    def read_rows(self, plain: Container[int] = ()) -> Iterator[tuple[int, list[str]]]:
        """Yield (line, cells) of each data row as it is read, the columns `plain` as they are
        written."""
        styles = self._head_styles
        for number, (line, cells) in enumerate(self.data_rows()):
            if number == HEAD_ROWS:
                styles = self._styles
            row = [cell.strip() for cell in cells]
            for column, style in styles.items():
                if column < len(row) and column not in plain:
                    row[column] = style.read(row[column])
            yield line, row

    def data_rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line, cells) of each data row as the source gives it."""
        return islice(self.source.rows(), self._skipped_rows, None)

    def header(self) -> tuple[str, ...]:
        """The cells of the header's row as the source gives them; () without one."""
        _, first = next(iter(self.source.rows()), (0, []))
        names = ["", *first] if len(first) == self._width - 1 else first
        return tuple(names) if self._skipped_rows else ()

    def style_note(self, column: int) -> str:
        """How the numbers of a column are written and read; "" if as usual."""
        style = self._styles.get(column)
        if style is None:
            return ""
        cells = list(self._cells(column))
        cell = next((cell for cell in cells if style.read(cell) != cell), cells[0])
        return style.value.format(cell=cell, read=style.read(cell))

    @cached_property
    def _counted(self) -> Sample:
        if not self.is_counted:
            return Sample(tuple(self._head), None)
        return spread_rows(cells for _, cells in self.data_rows())

    @cached_property
    def _head_styles(self) -> dict[int, NumberStyle]:
        """Those that change the head; other columns are decided when more rows are read."""
        columns = [column for column in range(self._width) if self._style(column, self._head)]
        return {n: style for n, style in self._styles.items() if n in columns} if columns else {}

    @cached_property
    def _styles(self) -> dict[int, NumberStyle]:
        rows = self._head if not self.is_counted else (*self._head, *self._counted.rows)
        styles = ((column, self._style(column, rows)) for column in range(self._width))
        return {column: style for column, style in styles if style is not None}

    def _style(self, column: int, rows: Sequence[Row]) -> NumberStyle | None:
        return number_style(lambda: _cells_of(rows, column), self.source.delimiter)

    def _cells(self, column: int) -> Iterator[str]:
        return filter(
            None, chain(_cells_of(self._head, column), _cells_of(self._counted.rows, column))
        )


def _read(
    rows: Sequence[Row], styles: Mapping[int, NumberStyle], plain: Container[int]
) -> tuple[Row, ...]:
    styles = {column: style for column, style in styles.items() if column not in plain}
    if not styles:
        return tuple(rows)
    return tuple(
        tuple(styles[n].read(cell) if n in styles else cell for n, cell in enumerate(row))
        for row in rows
    )


def _cells_of(rows: Sequence[Row], column: int) -> Iterator[str]:
    return (row[column] for row in rows if len(row) > column)
