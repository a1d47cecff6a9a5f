"""Parse the rows of a pixel table: bytes of the CSV -> uint8 pixels and the other columns' texts.

pyarrow reads CSV column by column, and such a table has hundreds: on one core it takes three times
as long as the arithmetic on whole blocks below (120 MB/s against 375 MB/s on MNIST), and it does
not split values that share a cell. A block with anything unexpected is parsed again cell by cell,
which finds the row and the value for the error.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tools.pixel_tables.pixel_rows import (
    NEWLINE,
    SPACE,
    RowFormat,
    Rows,
    is_valid_text,
    parse_cells,
)

# The arrays of such a block fit in a core's cache of 1 MiB; four times the size has a third of the
# speed.
BLOCK_BYTES = 2**18
# Ends of cells, put before the first cell.
_MARGIN = b"\n" * 4
_ZERO = ord("0")


def parse_lines(data: bytes, form: RowFormat) -> Iterator[Rows]:
    """Parse whole lines block by block; a row that can't be parsed is rejected with a reason."""
    if data and not data.endswith(b"\n"):
        data += b"\n"
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + BLOCK_BYTES) + 1 or data.index(b"\n", start) + 1
        block = data[start:end]
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n")
        yield parse_block(block, form) or parse_cells(block, form)
        start = end


def parse_block(data: bytes, form: RowFormat) -> Rows | None:
    """Parse all rows at once; None if anything is unexpected."""
    padded = np.frombuffer(_MARGIN + data, np.uint8)
    raw = padded[len(_MARGIN) - 1 :]
    is_end = (raw == ord(form.delimiter)) | (raw == NEWLINE)
    if form.packed:
        is_end |= raw == SPACE
    # The first end belongs to the margin.
    ends = np.flatnonzero(is_end)
    count, rest = divmod(len(ends) - 1, len(form.separators))
    if rest or not np.all(raw.take(ends[1:]).reshape(count, -1) == form.separators):
        return None
    pixels = _integers(padded, ends, form)
    if pixels is None:
        return None
    texts = []
    for column, kind in form.texts:
        cells = _texts(raw.data, ends, form, column)
        name = form.columns[column]
        if cells is None or not all(is_valid_text(cell, kind, name) for cell in set(cells)):
            return None
        texts.append(cells)
    return Rows(pixels, texts, np.arange(count), [], count)


def _texts(
    data: memoryview, ends: NDArray[np.int64], form: RowFormat, column: int
) -> list[str] | None:
    """The cells of a column; None if one is quoted or not UTF-8."""
    field = form.field(column)
    starts, stops = (ends[n :: len(form.separators)].tolist() for n in (field, field + 1))
    try:
        cells = [
            str(data[start + 1 : stop], "utf-8").strip()
            for start, stop in zip(starts, stops, strict=False)
        ]
    except UnicodeDecodeError:
        return None
    return None if any('"' in cell for cell in cells) else cells


def _integers(
    padded: NDArray[np.uint8], ends: NDArray[np.int64], form: RowFormat
) -> NDArray[np.uint8] | None:
    """The values of the pixel fields, each between two `ends`; None unless all are integers from
    0 to 255 with at most three digits and perhaps ".0"."""
    steps = np.diff(ends)
    ends = ends[1:]
    # Views of the 3rd, 2nd and 1st byte before an end; shifting the ends would copy int64 arrays.
    before = [padded[n:] for n in range(len(_MARGIN) - 1)]
    if np.any(padded == ord(".")):
        whole = (before[2].take(ends) == _ZERO) & (before[1].take(ends) == ord("."))
        ends, steps = ends - 2 * whole, steps - 2 * whole
    # The byte before a short cell ends another cell and is no digit. Bytes below "0" wrap.
    hundreds, tens, ones = (view.take(ends) - _ZERO for view in before)
    two = tens < 10
    three = two & (hundreds < 10)
    tens *= two
    hundreds *= three
    values = ones + 10 * tens + 100 * hundreds
    # 256 to 299 wrap to 0 to 43.
    valid = (ones < 10) & (hundreds < 3) & ((hundreds < 2) | (values >= 200))
    valid &= steps == two.view(np.uint8) + three + 2
    fields = form.pixel_fields
    by_row = (-1, len(form.separators))
    if not np.all(valid.reshape(by_row)[:, fields]):
        return None
    return np.ascontiguousarray(values.reshape(by_row)[:, fields])
