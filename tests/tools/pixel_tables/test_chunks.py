"""Pixel tables read in chunks and blocks: the same rows as cell by cell."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from tests.helpers.pixel_csvs import NAMED, find, write
from tools.download.table_text import TextSource
from tools.pixel_tables import parsing
from tools.pixel_tables.chunks import Chunk, Span, parse_chunk, split_into_chunks
from tools.pixel_tables.parsing import parse_block, parse_lines
from tools.pixel_tables.pixel_rows import RowFormat, parse_cells


def test_pieces_of_any_size_give_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [[str(n % 7), *[str(n % 256) if n % 3 else "0"] * 16] for n in range(300)]
    (part,) = find(write(tmp_path, "\n".join(map(",".join, [NAMED, *rows]))))
    expected = np.array([[int(cell) for cell in row[1:]] for row in rows], np.uint8)
    monkeypatch.setattr(parsing, "BLOCK_BYTES", 100)
    spool = tmp_path / "spool"
    for chunk_bytes in (1, 40, 1000, 10**6):
        spool.write_bytes(b"")
        parsed = [
            parse_chunk(chunk)
            for chunk in split_into_chunks(part.table, part.row_format(), spool, 5, chunk_bytes)
        ]
        slots = np.concatenate([chunk.slots for chunk in parsed])
        assert len(set(slots.tolist())) == 300 and slots.min() >= 5
        spooled = np.fromfile(spool, np.uint8)
        spooled = np.concatenate([spooled, np.zeros(-len(spooled) % 16, np.uint8)])
        np.testing.assert_array_equal(spooled.reshape(-1, 16)[slots], expected)
        assert sum(chunk.line_count for chunk in parsed) == 301
        assert sum(chunk.read_bytes for chunk in parsed) == (tmp_path / "train.csv").stat().st_size


SHORT = RowFormat(
    delimiter=",",
    columns=("label", "a", "b", "c"),
    pixels=(1, 2, 3),
    values=3,
    texts=((0, "label"),),
)

PACKED = RowFormat(
    delimiter=",", columns=("pixels", "label"), pixels=(0,), values=3, texts=((1, "label"),)
)

plain = st.integers(0, 255)
spellings = st.sampled_from(["{}", "{:02}", "{:03}", "{}.0"])


@given(
    rows=st.lists(st.lists(st.tuples(plain, spellings), min_size=3, max_size=3), min_size=1),
    packed=st.booleans(),
)
def test_blocks_are_parsed_like_int(rows: Any, packed: bool) -> None:
    cells = [[form.format(value) for value, form in row] for row in rows]
    if any(len(cell.removesuffix(".0")) > 3 for row in cells for cell in row):
        return
    if packed:
        lines = [" ".join(row) + ",x" for row in cells]
    else:
        lines = ["x," + ",".join(row) for row in cells]
    data = ("\n".join(lines) + "\n").encode()
    parsed = parse_block(data, PACKED if packed else SHORT)
    assert parsed is not None and parsed.texts == [["x"] * len(rows)]
    assert parsed.pixels.tolist() == [[value for value, _ in row] for row in rows]


@given(data=st.text(alphabet='0123456789.,,,  \n\n"-xé\r', max_size=60), packed=st.booleans())
def test_a_block_is_parsed_like_its_cells_or_not_at_all(data: str, packed: bool) -> None:
    form = PACKED if packed else SHORT
    block = data.encode() + b"\n"
    whole, single = parse_block(block, form), parse_cells(block, form)
    if whole is not None:
        assert not single.rejected
        assert whole.texts == single.texts and whole.line_count == single.line_count
        np.testing.assert_array_equal(whole.pixels, single.pixels)
        np.testing.assert_array_equal(whole.lines, single.lines)


@given(
    cell=st.one_of(st.text(max_size=4), st.integers(-300, 1300).map(str)), index=st.integers(0, 2)
)
def test_a_cell_is_a_pixel_or_rejected_by_value(cell: str, index: int) -> None:
    if set(cell) & set(',\n\r"'):
        return
    cells = ["1", "22", "255"]
    cells[index] = cell
    (rows,) = parse_lines(f"x,{','.join(cells)}".encode(), SHORT)
    try:
        value = float(cell)
    except ValueError:
        value = -1
    if value in range(256):
        assert rows.pixels[0, index] == value and not rows.rejected
    else:
        assert len(rows.pixels) == 0 and repr(cell.strip()) in rows.rejected[0][1]


@pytest.mark.parametrize("chunk_bytes", [50, 400, 10**6])
def test_a_local_table_is_read_by_the_workers_as_long_as_it_is_ascii(
    tmp_path: Path, chunk_bytes: int
) -> None:
    rows = [[f"é{n}" if n > 40 else str(n), *["7"] * 16] for n in range(60)]
    (part,) = find(write(tmp_path, "\n".join(map(",".join, [NAMED, *rows]))))
    (tmp_path / "spool").touch()
    source = part.table.scan.source
    assert isinstance(source, TextSource) and source.ascii_file() is None
    # As for a table that begins with more ASCII than is looked at.
    source.encoding.name = ""
    chunks = list(
        split_into_chunks(part.table, part.row_format(), tmp_path / "spool", 0, chunk_bytes)
    )
    texts = [
        chunk.lines.read() if isinstance(chunk.lines, Span) else chunk.lines for chunk in chunks
    ]
    assert b"".join(texts) == (tmp_path / "train.csv").read_bytes()
    kinds = [isinstance(chunk.lines, Span) for chunk in chunks]
    assert kinds == sorted(kinds, reverse=True)
    assert any(kinds) == (chunk_bytes < 1000) and not all(kinds)
    assert [label for chunk in chunks for label in labels_of(chunk)] == [row[0] for row in rows]


def labels_of(chunk: Chunk) -> list[str]:
    (column,) = parse_chunk(chunk).columns
    assert column.texts is not None
    return [column.texts[code] for code in column.values]


def test_a_table_that_is_cut_off_meanwhile_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes(b"1,2\n")
    with pytest.raises(DataError, match=r"train\.csv changed while it was read"):
        Span(tmp_path / "train.csv", 0, 5).read()
