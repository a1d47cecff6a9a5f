"""Pieces of a pixel table: cut in the parent, parsed in workers, which also write the pixels.

A value takes two bytes of CSV or more, so a piece's rows fit in the spool at half the offset that
it has in the table; what is left between them is a hole of the file and takes no disk.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tools.download.name_patterns import split_of_cell
from tools.download.pixel_rows import RowForm
from tools.download.sources import SPLITS, LabelCodes
from tools.download.tables import Table
from tools.pixel_tables.parsing import parse_lines

# Large enough that sending it costs next to nothing, small enough to keep several.
PIECE_BYTES = 2**21
_BOM = b"\xef\xbb\xbf"


class Column(NamedTuple):
    """A column of texts: numbers (float32), splits (int8, of SPLITS), or int32 indices into
    `texts`."""

    values: NDArray[Any]
    texts: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of a table: whole lines, but for a last one without a line end. Its first
    `header_lines` are no rows; its pixels belong in `spool` from row `slot` on."""

    name: str
    form: RowForm
    data: bytes
    header_lines: int
    spool: Path
    slot: int


@dataclass(frozen=True, kw_only=True)
class ParsedPiece:
    """`slots` (rows of the spool) and `lines` (from 0 in the piece) of each row; `columns` are its
    texts; `rejected`: line and reason; `line_count`: of all lines; `read_bytes`: of the piece."""

    slots: NDArray[np.int64]
    lines: NDArray[np.int64]
    columns: tuple[Column, ...]
    rejected: list[tuple[int, str]]
    line_count: int
    read_bytes: int


def cut(
    table: Table, form: RowForm, spool: Path, slot: int, piece_bytes: int = PIECE_BYTES
) -> Iterator[Piece]:
    """Pieces that cover the table, for the rows of the spool from `slot` on."""
    offset = 0
    with table.open() as file:
        while data := file.read(piece_bytes):
            data += file.readline()
            yield Piece(
                name=table.name,
                form=form,
                data=data,
                header_lines=int(table.header and offset == 0),
                spool=spool,
                slot=slot + offset // (2 * form.values),
            )
            offset += len(data)


def parse_piece(piece: Piece) -> ParsedPiece:
    """Runs in a worker."""
    data, form = piece.data.removeprefix(_BOM), piece.form
    line_count = piece.header_lines
    if line_count:
        data = data.partition(b"\n")[2]
    lines, rejected, count = [], [], 0
    texts: list[list[str]] = [[] for _ in form.texts]
    with piece.spool.open("r+b") as file:
        file.seek(piece.slot * form.values)
        for rows in parse_lines(data, form):
            file.write(rows.pixels.data)
            lines.append(rows.lines + line_count)
            rejected += [(line + line_count, reason) for line, reason in rows.rejected]
            for cells, more in zip(texts, rows.texts, strict=True):
                cells += more
            count += len(rows.lines)
            line_count += rows.line_count
    return ParsedPiece(
        slots=np.arange(piece.slot, piece.slot + count),
        lines=np.concatenate(lines) if lines else np.empty(0, np.int64),
        columns=tuple(
            _column(cells, kind, form.columns[number])
            for cells, (number, kind) in zip(texts, form.texts, strict=True)
        ),
        rejected=rejected,
        line_count=line_count,
        read_bytes=len(piece.data),
    )


def _column(cells: list[str], kind: str, name: str) -> Column:
    if kind in ("number", "hot"):
        return Column(np.array([float(cell) for cell in cells], np.float32))
    codes = LabelCodes()
    values = np.array([codes[cell] for cell in cells], np.int32)
    if kind == "split":
        splits = [SPLITS.index(split_of_cell(name, text) or "") for text in codes.texts]
        return Column(np.array(splits, np.int8)[values])
    return Column(values, codes.texts)
