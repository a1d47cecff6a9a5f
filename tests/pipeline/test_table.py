"""Tables fit the terminal, and no cell is cut."""

import io
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pipeline.table import Table, blocks, column_widths, print_table

RULE = "\u2500"
words = st.text("abcdefghij-", min_size=1, max_size=12)
names = st.lists(words, min_size=1, max_size=5).map(" ".join).map(lambda text: text[:40].strip())
numbers = st.floats(0, 1e15).map("{:,.1f}".format) | st.just("")


@st.composite
def tables(draw: st.DrawFn) -> Table:
    columns = draw(st.integers(1, 12))
    row = st.tuples(names, *[numbers] * (columns - 1))
    return Table(
        title=draw(st.just("") | names),
        headers=draw(st.tuples(st.just("") | names, *[names] * (columns - 1))),
        rows=draw(st.lists(row, min_size=1, max_size=4)),
    )


def printed(table: Table, width: int) -> list[str]:
    out = io.StringIO()
    print_table(table, Console(file=out, width=width, markup=False, highlight=False))
    return out.getvalue().splitlines()


@given(tables(), st.sampled_from([60, 80, 120, 200]))
def test_no_cell_is_cut_and_no_line_is_wider_than_the_terminal(table: Table, width: int) -> None:
    lines = printed(table, width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "\u2026" not in text and "..." not in text
    for row in table.rows:
        # Numbers stand in one piece.
        assert all(cell in text for cell in row[1:])
    # Each block begins with the names.
    for widths in blocks(*column_widths(table), width):
        for name in (row[0] for row in table.rows):
            folded = textwrap.wrap(name, widths[0], break_on_hyphens=False)
            assert any(line.startswith(folded[0]) for line in lines)


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 60)), min_size=1, max_size=20))
def test_every_column_is_in_one_block(columns: list[tuple[int, int]]) -> None:
    least = [width for width, _ in columns]
    full = [width + more for width, more in columns]
    shown = blocks(least, full, 80)
    assert all(0 in block for block in shown)
    others = [column for block in shown for column in block if column]
    assert others == list(range(1, len(columns)))
    for block in shown:
        assert sum(block.values()) + 2 * len(block) <= 80
        assert all(1 <= width <= full[column] for column, width in block.items())


def test_columns_without_room_stand_below_in_their_order() -> None:
    further = (f"column number {number}" for number in range(1, 8))
    headers = ("", "images/s median", "lowest", "highest", *further)
    table = Table(title="loader", headers=headers, rows=[("full", *["123,456.7"] * 10)])
    lines = printed(table, 80)
    first, second = (number for number, line in enumerate(lines) if RULE in line)
    assert lines[0] == "loader"
    head = " ".join(lines[1:first])
    assert head.index("median") < head.index("lowest") < head.index("highest")
    assert "7" in " ".join(lines[first + 2 : second]) and lines[second + 1].startswith("full")
    wide = printed(table, 200)
    assert sum(RULE in line for line in wide) == 1


@pytest.mark.parametrize("width", [20, 30, 40])
def test_a_narrow_terminal_folds(width: int) -> None:
    table = Table(headers=("name", "value"), rows=[("a name of several words", "1" * 30)])
    lines = printed(table, width)
    assert max(map(len, lines)) <= width
    assert sum(line.count("1") for line in lines) == 30
