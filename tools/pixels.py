"""Pixel tables are read once, in constant memory: pieces of the CSV -> raw pixels in a spool file.

    parent: cut at line ends -> workers: parse a piece -> parent: append to the spool

A row then is a source at a known offset of the spool, and shuffling costs no memory. Arrow parses a
piece; one in which it stumbles is read line by line, to name the row and the value.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
from numpy.typing import NDArray

from pipeline.errors import DataError
from tools.layouts import PixelTable, is_divided
from tools.sources import SPLITS, LabelCodes, Sources
from tools.spool import SpooledPixels
from tools.workers import Workers

# Arrow's time a byte rises on larger pieces, since a column's cells lie ever farther apart; on
# smaller ones its work a column shows.
PIECE_BYTES = 4 * 2**20


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of a table: whole lines, but for a last one without a line end. `first`: it begins
    the table."""

    part: PixelTable
    data: bytes
    first: bool


@dataclass(frozen=True, kw_only=True)
class ParsedPiece:
    """`pixels`: uint8 (rows, pixels) as bytes; `labels` and `lines` (from 0 in the piece) of each
    row; `rejected`: line and reason; `line_count`: of all lines; `read_bytes`: of the piece."""

    pixels: bytes
    labels: list[str]
    lines: NDArray[np.int64]
    rejected: list[tuple[int, str]]
    line_count: int
    read_bytes: int


class RowNames(Sequence[str]):
    """Where each source lies, as in "train.csv row 17": the line of the file, counting from 1."""

    def __init__(self, tables: Sequence[str], table: NDArray[np.int8], line: NDArray[np.int64]):
        # Memory views give Python's integers at a tenth of an array's cost.
        self._tables, self._table, self._line = (
            tables,
            memoryview(table.data),
            memoryview(line.data),
        )

    def __len__(self) -> int:
        return len(self._line)

    def __getitem__(self, number: int) -> str:  # type: ignore[override]
        return f"{self._tables[self._table[number]]} row {self._line[number]}"


def gather_pixels(
    parts: Sequence[PixelTable], workers: Workers, spool: Path, advance: Callable[[int], None]
) -> Sources:
    """Write the pixels of all rows of `parts` to the file `spool`, calling `advance` with the bytes
    read; raises ``DataError`` where there are no rows or the shapes of the parts differ."""
    if len({part.shape for part in parts}) > 1:
        shapes = ", ".join(f"{part.table.name} {part.shape}" for part in parts)
        raise DataError(f"The pixel tables hold images of several sizes: {shapes}.")
    codes, rejected = LabelCodes(), []
    labels, lines, tables, splits = [], [], [], []
    with spool.open("wb") as file:
        for number, part in enumerate(parts):
            first_line = 1
            for parsed in workers.ordered(parse_piece, cut(part), rescue=_refuse):
                file.write(parsed.pixels)
                labels.append(np.array([codes[text] for text in parsed.labels], np.int32))
                lines.append(parsed.lines + first_line)
                tables.append(np.full(len(parsed.labels), number, np.int8))
                splits.append(np.full(len(parsed.labels), _split(part), np.int8))
                rejected += [
                    (f"{part.table.name} row {line + first_line}", reason)
                    for line, reason in parsed.rejected
                ]
                first_line += parsed.line_count
                advance(parsed.read_bytes)
    total = sum(len(some) for some in labels)
    if not total:
        first = "; first: {}: {}".format(*rejected[0]) if rejected else ""
        raise DataError(f"{parts[0].table.name}: no row is an image with a label{first}.")
    shape, planar = parts[0].shape, parts[0].planar
    names = [part.table.name for part in parts]
    return Sources(
        images=SpooledPixels(spool, np.arange(total), shape, planar),
        names=RowNames(names, np.concatenate(tables), np.concatenate(lines)),
        labels=np.concatenate(labels),
        classes=codes.texts,
        splits=np.concatenate(splits) if is_divided(parts) else None,
        rejected=tuple(rejected),
    )


def cut(part: PixelTable, piece_bytes: int = PIECE_BYTES) -> Iterator[Piece]:
    """Pieces that cover the table."""
    # The head is of no use to a worker, and a megabyte to send.
    slim = replace(part, table=replace(part.table, head=(), open=io.BytesIO))
    with part.table.open() as file:
        first = True
        while data := file.read(piece_bytes):
            yield Piece(part=slim, data=data + file.readline(), first=first)
            first = False


def parse_piece(piece: Piece) -> ParsedPiece:
    """Runs in a worker."""
    data, skipped = piece.data, 0
    if piece.first:
        data = data.removeprefix(b"\xef\xbb\xbf")
        skipped = 1 if piece.part.table.header else 0
    try:
        return _parse_whole(data, piece.part, skipped)
    except (pa.ArrowInvalid, pa.ArrowKeyError):
        return _parse_lines(data, piece.part, skipped)


def _parse_whole(data: bytes, part: PixelTable, skipped: int) -> ParsedPiece:
    """All rows at once; raises ``ArrowInvalid`` at anything that isn't 0 to 255, and where the
    rows aren't one a line."""
    body = data.split(b"\n", 1)[1] if skipped else data
    names = [str(n) for n in range(len(part.table.columns))]
    types = dict.fromkeys(names, pa.string()) | {str(n): pa.uint8() for n in part.pixels}
    if not body.strip():
        return _parse_lines(data, part, skipped)
    table = arrow_csv.read_csv(
        pa.BufferReader(body),
        read_options=arrow_csv.ReadOptions(
            column_names=names, use_threads=False, block_size=len(body) + 1
        ),
        parse_options=arrow_csv.ParseOptions(delimiter=part.table.delimiter),
        convert_options=arrow_csv.ConvertOptions(
            column_types=types, null_values=[], strings_can_be_null=False
        ),
    )
    line_count = body.count(b"\n") + (not body.endswith(b"\n"))
    labels = [text.strip() for text in table.column(str(part.label)).to_pylist()]
    if table.num_rows != line_count or "" in labels:
        raise pa.ArrowInvalid("blank lines or labels")
    pixels = np.stack([table.column(str(n)).to_numpy() for n in part.pixels])
    return ParsedPiece(
        pixels=pixels.T.tobytes(),
        labels=labels,
        lines=np.arange(skipped, skipped + line_count),
        rejected=[],
        line_count=skipped + line_count,
        read_bytes=len(data),
    )


def _parse_lines(data: bytes, part: PixelTable, skipped: int) -> ParsedPiece:
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    pixels, labels, numbers, rejected = [], [], [], []
    for number, line in enumerate(lines[skipped:], start=skipped):
        if not line.strip():
            continue
        row = _parse_row(line.decode(errors="replace"), part)
        if isinstance(row, str):
            rejected.append((number, row))
        else:
            labels.append(row[0])
            pixels.append(row[1])
            numbers.append(number)
    return ParsedPiece(
        pixels=b"".join(pixels),
        labels=labels,
        lines=np.array(numbers, np.int64),
        rejected=rejected,
        line_count=len(lines),
        read_bytes=len(data),
    )


def _parse_row(line: str, part: PixelTable) -> tuple[str, bytes] | str:
    """Label and pixels, or what is wrong."""
    cells = [cell.strip().strip('"') for cell in line.split(part.table.delimiter)]
    if len(cells) != len(part.table.columns):
        return (
            f"the row is cut short or too long: {len(cells)} cells, not {len(part.table.columns)}"
        )
    if not cells[part.label]:
        return "no label"
    try:
        return cells[part.label], bytes(int(cells[n]) for n in part.pixels)
    except ValueError:
        wrong = next(n for n in part.pixels if not _is_pixel(cells[n]))
        name = part.table.columns[wrong]
        return f"column {name!r} is {cells[wrong]!r}, not an integer from 0 to 255"


def _is_pixel(cell: str) -> bool:
    try:
        return 0 <= int(cell) <= 255
    except ValueError:
        return False


def _split(part: PixelTable) -> int:
    return SPLITS.index(part.split or SPLITS[0])


def _refuse(piece: Piece) -> ParsedPiece:
    raise DataError(
        f"{piece.part.table.name}: {len(piece.data)} bytes of it killed the process that read "
        f"them. Out of memory? Try fewer --workers."
    )
