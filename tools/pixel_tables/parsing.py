"""The rows of a pixel table: bytes of the CSV -> uint8 pixels and the texts beside them.

pyarrow reads CSV column by column, and such a table has hundreds of them: on one core it needs
three times as long as the arithmetic on whole blocks below (120 against 375 MB/s, MNIST's form),
and it does not know values that stand in one cell. A block in which anything but the expected is
found is read once more, cell by cell, which is what names the row and the value.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tools.download.pixel_rows import NEWLINE, SPACE, RowForm, Rows, is_sound, parse_cells

# The arrays of a block then stay in a core's cache of 1 MiB; at four times it a third is left.
BLOCK_BYTES = 2**18
# Ends of cells before the first one.
_MARGIN = b"\n" * 4
_ZERO = ord("0")


def parse_lines(data: bytes, form: RowForm) -> Iterator[Rows]:
    """The rows of whole lines, block by block; what can't be read is rejected with a reason."""
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


def parse_block(data: bytes, form: RowForm) -> Rows | None:
    """All rows at once, or None if anything in them is not as it should be."""
    padded = np.frombuffer(_MARGIN + data, np.uint8)
    raw = padded[len(_MARGIN) - 1 :]
    is_end = (raw == ord(form.delimiter)) | (raw == NEWLINE)
    if form.packed:
        is_end |= raw == SPACE
    # The first is the margin's.
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
        if cells is None or not all(is_sound(cell, kind, name) for cell in set(cells)):
            return None
        texts.append(cells)
    return Rows(pixels, texts, np.arange(count), [], count)


def _texts(
    data: memoryview, ends: NDArray[np.int64], form: RowForm, column: int
) -> list[str] | None:
    """The cells of a column; None if one stands in quotes or is not UTF-8."""
    field = form.field(column)
    starts, stops = (ends[at :: len(form.separators)].tolist() for at in (field, field + 1))
    try:
        cells = [
            str(data[start + 1 : stop], "utf-8").strip()
            for start, stop in zip(starts, stops, strict=False)
        ]
    except UnicodeDecodeError:
        return None
    return None if any('"' in cell for cell in cells) else cells


def _integers(
    padded: NDArray[np.uint8], ends: NDArray[np.int64], form: RowForm
) -> NDArray[np.uint8] | None:
    """The values of the pixel fields, each between two `ends`; None unless all are integers from
    0 to 255 of at most three digits, or such and ".0"."""
    steps = np.diff(ends)
    ends = ends[1:]
    # Views of the bytes 3, 2 and 1 before; ends moved so would be new arrays of 64 bits.
    before = [padded[place:] for place in range(len(_MARGIN) - 1)]
    if np.any(padded == ord(".")):
        whole = (before[2].take(ends) == _ZERO) & (before[1].take(ends) == ord("."))
        ends, steps = ends - 2 * whole, steps - 2 * whole
    # Before a short cell lies the end of another: no digit. Bytes below "0" wrap.
    hundreds, tens, ones = (view.take(ends) - _ZERO for view in before)
    two = tens < 10
    three = two & (hundreds < 10)
    tens *= two
    hundreds *= three
    values = ones + 10 * tens + 100 * hundreds
    # 256 to 299 wrap to 0 to 43.
    sound = (ones < 10) & (hundreds < 3) & ((hundreds < 2) | (values >= 200))
    sound &= steps == two.view(np.uint8) + three + 2
    fields = form.pixel_fields
    by_row = (-1, len(form.separators))
    if not np.all(sound.reshape(by_row)[:, fields]):
        return None
    return np.ascontiguousarray(values.reshape(by_row)[:, fields])
