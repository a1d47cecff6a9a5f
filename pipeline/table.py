"""Tables that fit the terminal: columns that have no room beside the others stand below them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable

from pipeline.console import open_console
from pipeline.printable import printable

# Names and other text are folded from this width on if columns of numbers need the room.
_FOLDED = 24
# Names keep so many columns beside a cell that has no room otherwise.
_NARROWEST = 12
# Columns of the terminal between two columns of the table.
_GAP = 2

Widths = dict[int, int]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of texts.

    Attributes:
        headers: of the columns, which are in the order of importance; the first names the rows.
        texts: columns of text, which are folded and aligned to the left. The others have numbers.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    texts: Collection[int] = (0,)


def print_table(table: Table, console: Console | None = None) -> None:
    """Print `table` in as many blocks as its columns need; each begins with the names of the rows.
    No cell is cut."""
    console = console or open_console()
    if table.title:
        console.print(table.title, style="italic", soft_wrap=False)
    for widths in blocks(*column_widths(table), console.width):
        console.print(_block(table, widths), soft_wrap=False)
        console.print()


def column_widths(table: Table) -> tuple[list[int], list[int]]:
    """The least width of each column, with folded texts and headers, and the full one."""
    least, full = [], []
    for number, header in enumerate(table.headers):
        cells = max((_width(row[number]) for row in table.rows), default=0)
        words = max(map(_width, header.split()), default=0)
        is_text = number in table.texts
        least.append(max(words, min(cells, _FOLDED) if is_text else cells))
        full.append(max(_width(header), cells))
    return least, full


def blocks(least: Sequence[int], full: Sequence[int], room: int) -> list[Widths]:
    """The columns of each block, column -> width: in their order, as many as `room` allows at their
    `least` widths; then they grow up to their `full` widths. Column 0 is in each block."""
    filled: list[Widths] = []
    for column in range(1, len(full)):
        if not filled or _total(filled[-1]) + least[column] + _GAP > room:
            names = min(least[0], max(_NARROWEST, room - least[column] - 2 * _GAP))
            filled.append({0: names})
        spare = room - _total(filled[-1]) - _GAP
        filled[-1][column] = max(1, min(least[column], spare))
    if not filled:
        filled = [{0: min(least[0], room - _GAP)}]
    for block in filled:
        for column in block:
            block[column] += max(0, min(full[column] - block[column], room - _total(block)))
    return filled


def _total(widths: Widths) -> int:
    return sum(widths.values()) + _GAP * len(widths)


def _width(text: str) -> int:
    return max(map(cell_len, printable(text).split("\n")))


def _block(table: Table, widths: Widths) -> RichTable:
    drawn = RichTable(
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_header=any(table.headers),
    )
    for column, width in widths.items():
        drawn.add_column(
            table.headers[column],
            justify="left" if column in table.texts else "right",
            width=width,
            overflow="fold",
        )
    for row in table.rows:
        drawn.add_row(*(row[column] for column in widths))
    return drawn
