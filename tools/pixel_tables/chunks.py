"""Chunks of a pixel table: split by the main process, parsed by workers, which write the pixels.

A value takes at least two bytes of CSV, so the rows of a chunk fit in the spool file at half of
the chunk's offset in the table. The gaps between chunks are holes, which take no disk space.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.storage.manifest import SPLITS
from tools.download.name_patterns import split_of_cell
from tools.download.sources import LabelCodes
from tools.download.tables import Table
from tools.pixel_tables.parsing import parse_lines
from tools.pixel_tables.pixel_rows import RowFormat

# Large enough that sending one costs little, small enough to hold several.
CHUNK_BYTES = 2**21
_BOM = b"\xef\xbb\xbf"


class Column(NamedTuple):
    """A column of texts: numbers (float32), splits (int8, indices into SPLITS), or int32 indices
    into `texts`."""

    values: NDArray[Any]
    texts: tuple[str, ...] | None = None


class Span(NamedTuple):
    """Bytes of a local file, which a worker reads itself: sending them costs as much as parsing
    them."""

    path: Path
    offset: int
    length: int

    def read(self) -> bytes:
        """Raises ``DataError`` if the file was cut off."""
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.offset)
            data = file.read(self.length)
        if len(data) != self.length:
            raise DataError(f"{self.path} changed while it was read. Run the command again.")
        return data


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Lines of the table `name`. The first `header_lines` are not rows. The pixels go to the rows
    of the file `spool` from row `slot` on."""

    name: str
    form: RowFormat
    lines: bytes | Span
    header_lines: int
    spool: Path
    slot: int


@dataclass(frozen=True, kw_only=True)
class ParsedChunk:
    """`slots` (row of the spool) and `lines` (from 0 in the chunk) of each row; `columns` are its
    texts; `rejected`: (line, reason); `line_count` and `read_bytes` of the whole chunk."""

    slots: NDArray[np.int64]
    lines: NDArray[np.int64]
    columns: tuple[Column, ...]
    rejected: list[tuple[int, str]]
    line_count: int
    read_bytes: int


def split_into_chunks(
    table: Table, form: RowFormat, spool: Path, slot: int, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Chunk]:
    """Split the table at line ends, for the rows of the spool from `slot` on."""
    offset = 0
    for lines in _split_lines(table, chunk_bytes):
        yield Chunk(
            name=table.name,
            form=form,
            lines=lines,
            header_lines=table.header_lines if offset == 0 else 0,
            spool=spool,
            slot=slot + offset // (2 * form.values),
        )
        offset += lines.length if isinstance(lines, Span) else len(lines)


def _split_lines(table: Table, chunk_bytes: int) -> Iterator[bytes | Span]:
    """The lines of a local file as long as they are ASCII, then those of the decoded text."""
    path, end = table.ascii_file(), 0
    if path is not None:
        for span in _ascii_spans(path, chunk_bytes):
            yield span
            end = span.offset + span.length
        if end == path.stat().st_size:
            return
    with table.open() as file:
        while end > 0:
            end -= len(file.read(min(end, CHUNK_BYTES)))
        while data := file.read(chunk_bytes):
            yield data + file.readline()


def _ascii_spans(path: Path, chunk_bytes: int) -> Iterator[Span]:
    """The lines of a file up to those with other characters."""
    offset, buffer = 0, bytearray(chunk_bytes)
    with path.open("rb") as file:
        while count := file.readinto(buffer):
            line = file.readline()
            data = buffer if count == chunk_bytes else buffer[:count]
            if not (data.isascii() and line.isascii()):
                return
            yield Span(path, offset, count + len(line))
            offset += count + len(line)


def parse_chunk(chunk: Chunk) -> ParsedChunk:
    """Parse a chunk and write its pixels; called in a worker process."""
    lines, form = chunk.lines, chunk.form
    text = lines.read() if isinstance(lines, Span) else lines
    data, read_bytes = text.removeprefix(_BOM), len(text)
    line_count = chunk.header_lines
    for _ in range(line_count):
        data = data.partition(b"\n")[2]
    numbers, rejected, count = [], [], 0
    texts: list[list[str]] = [[] for _ in form.texts]
    with chunk.spool.open("r+b") as file:
        file.seek(chunk.slot * form.values)
        for rows in parse_lines(data, form):
            pixels = rows.pixels
            if form.pixel_range is not None:
                pixels = form.pixel_range.to_uint8(pixels)
            file.write(pixels.data)
            numbers.append(rows.lines + line_count)
            rejected += [(line + line_count, reason) for line, reason in rows.rejected]
            for cells, more in zip(texts, rows.texts, strict=True):
                cells += more
            count += len(rows.lines)
            line_count += rows.line_count
    return ParsedChunk(
        slots=np.arange(chunk.slot, chunk.slot + count),
        lines=np.concatenate(numbers) if numbers else np.empty(0, np.int64),
        columns=tuple(
            _make_column(cells, kind, form.columns[number])
            for cells, (number, kind) in zip(texts, form.texts, strict=True)
        ),
        rejected=rejected,
        line_count=line_count,
        read_bytes=read_bytes,
    )


def _make_column(cells: list[str], kind: str, name: str) -> Column:
    if kind in ("number", "one_hot"):
        return Column(np.array([float(cell) for cell in cells], np.float32))
    codes = LabelCodes()
    values = np.array([codes[cell] for cell in cells], np.int32)
    if kind == "split":
        splits = [SPLITS.index(split_of_cell(name, text) or "") for text in codes.texts]
        return Column(np.array(splits, np.int8)[values])
    return Column(values, codes.texts)
