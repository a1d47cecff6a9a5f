"""The images of a parquet file, row group by row group, in bounded memory.

The least that can be decoded is a page, for which writers take about 1,000 rows of encoded images.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from pipeline.errors import DataError
from tools.arrays.image_layouts import ImageLayout
from tools.arrays.image_rows import EncodedRows, PixelRows
from tools.arrays.parquet_columns import ParquetRoles, encoded_cell
from tools.arrays.seekable_files import SeekableFiles
from tools.arrays.stored_array import BLOCK_BYTES, SAMPLED_BYTES

# Rows of encoded images or lists in memory at once.
_BATCH_ROWS = 64
# Column chunks are read through a buffer of this size.
_BUFFER_BYTES = 2**15
_SAMPLED_GROUPS = 8
_UNREADABLE = (OSError, pa.ArrowException, ValueError)


@contextmanager
def open_parquet(files: SeekableFiles, path: str) -> Iterator[parquet.ParquetFile]:
    """A parquet file; raises ``DataError`` with the file if it can't be read, here or later."""
    try:
        with (
            files.open(path) as stream,
            parquet.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file,
        ):
            yield file
    except _UNREADABLE as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise DataError(
            f"{path} can't be read as parquet: {reason}. Download it again if it is incomplete."
        ) from error


@dataclass(frozen=True, kw_only=True)
class ParquetEncoded(EncodedRows):
    """A column of image files."""

    files: SeekableFiles
    path: str
    column: str

    def blocks(self) -> Iterator[list[bytes | None]]:
        with open_parquet(self.files, self.path) as file:
            for batch in _batches(file, [self.column]):
                yield [encoded_cell(value) for value in batch.column(0).to_pylist()]


@dataclass(frozen=True, kw_only=True)
class ParquetLists(PixelRows):
    """A column of lists, each the pixels of an image; `layout` is that of an array (n, ...) whose
    rows are the lists."""

    files: SeekableFiles
    path: str
    column: str
    layout: ImageLayout
    row_shape: tuple[int, ...]

    def blocks(self, folder: Path) -> Iterator[NDArray[Any]]:
        row = 0
        with open_parquet(self.files, self.path) as file:
            for batch in _batches(file, [self.column]):
                yield self.layout.images(self._rows(batch.column(0), row))
                row += len(batch)

    def sample(self) -> NDArray[Any]:
        row_bytes, kept = prod(self.row_shape) * 8, []
        with open_parquet(self.files, self.path) as file:
            groups = _spread_groups(file)
            rows = max(1, min(1024, SAMPLED_BYTES // row_bytes) // len(groups))
            for group in groups:
                batches = _batches(file, [self.column], [group], min(rows, _BATCH_ROWS))
                kept += [_flat_lists(batch.column(0)) for batch in islice(batches, 1)]
        return np.concatenate(kept)

    def _rows(self, cells: pa.Array, first: int) -> NDArray[Any]:
        """(b, *row_shape) of lists; raises ``DataError`` for one of another length."""
        values = _flat_lists(cells)
        if cells.null_count or len(values) != len(cells) * prod(self.row_shape):
            wrong = next(
                n
                for n in range(len(cells))
                if len(_flat_lists(cells.slice(n, 1))) != prod(self.row_shape)
            )
            count = len(_flat_lists(cells.slice(wrong, 1)))
            raise DataError(
                f"{self.path} row {first + wrong + 1} has {count:,} values in column "
                f"{self.column!r}, and others have {prod(self.row_shape):,}. Remove the row."
            )
        return values.reshape(len(cells), *self.row_shape)


@dataclass(frozen=True, kw_only=True)
class ParquetColumns(PixelRows):
    """Columns of one pixel each."""

    files: SeekableFiles
    path: str
    columns: tuple[str, ...]
    layout: ImageLayout
    dtype: np.dtype[Any]

    def blocks(self, folder: Path) -> Iterator[NDArray[Any]]:
        with open_parquet(self.files, self.path) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                with tempfile.TemporaryFile(prefix="shardline-", dir=folder) as spool:
                    self._write_columns(file, group, rows, spool)
                    yield from self._read_rows(spool, rows)

    def sample(self) -> NDArray[Any]:
        kept = []
        with open_parquet(self.files, self.path) as file:
            for group in _spread_groups(file):
                rows = max(1, file.metadata.row_group(group).num_rows)
                count = max(
                    1, min(len(self.columns), SAMPLED_BYTES // _SAMPLED_GROUPS // rows // 8)
                )
                step = -(-len(self.columns) // count)
                names = self.columns[::step]
                table = file.read_row_group(group, columns=list(names))
                kept += [self._values(table[name]) for name in names]
        return np.concatenate(kept)

    def _write_columns(
        self, file: parquet.ParquetFile, group: int, rows: int, spool: IO[bytes]
    ) -> None:
        """Write the columns one after the other: a row group holds all rows of a column before the
        next column, and may be larger than the memory."""
        # Decoding takes about 13 bytes a value, whatever its type.
        step = max(1, 2 * BLOCK_BYTES // (13 * max(1, rows)))
        for first in range(0, len(self.columns), step):
            names = self.columns[first : first + step]
            table = file.read_row_group(group, columns=list(names), use_threads=False)
            for name in names:
                spool.write(self._values(table[name]).tobytes())
        spool.flush()

    def _read_rows(self, spool: IO[bytes], rows: int) -> Iterator[NDArray[Any]]:
        itemsize, width = self.dtype.itemsize, len(self.columns)
        step = max(1, BLOCK_BYTES // (width * itemsize))
        for first in range(0, rows, step):
            count = min(step, rows - first)
            block = np.empty((width, count), self.dtype)
            for column in range(width):
                spool.seek((column * rows + first) * itemsize)
                block[column] = np.frombuffer(spool.read(count * itemsize), self.dtype)
            yield self.layout.images(np.ascontiguousarray(block.T))

    def _values(self, column: pa.ChunkedArray) -> NDArray[Any]:
        if column.null_count:
            raise DataError(
                f"{self.path} has {column.null_count:,} empty cells in its columns of pixels. Fill "
                f"them, or remove these rows."
            )
        return np.asarray(column.to_numpy()).astype(self.dtype, copy=False)


def read_column(files: SeekableFiles, path: str, column: str) -> Iterator[pa.Array]:
    """A column in batches."""
    with open_parquet(files, path) as file:
        for batch in file.iter_batches(batch_size=2**16, columns=[column], use_threads=False):
            yield batch.column(0)


def list_shape(cell: Any) -> tuple[int, ...]:
    """The shape of nested lists: (h, w) of h lists of w values; by the first of each."""
    shape = []
    while isinstance(cell, list):
        shape.append(len(cell))
        cell = cell[0] if cell else None
    return tuple(shape)


def common_dtype(schema: pa.Schema, roles: ParquetRoles) -> np.dtype[Any]:
    """The type that holds the values of all columns of pixels."""
    kinds = {schema.field(name).type for name in roles.pixels}
    return np.result_type(*(np.dtype(kind.to_pandas_dtype()) for kind in kinds))


def _batches(
    file: parquet.ParquetFile,
    columns: Sequence[str],
    groups: Sequence[int] | None = None,
    rows: int = _BATCH_ROWS,
) -> Iterator[pa.RecordBatch]:
    chosen = range(file.num_row_groups) if groups is None else groups
    return iter(
        file.iter_batches(
            batch_size=rows, row_groups=list(chosen), columns=list(columns), use_threads=False
        )
    )


def _spread_groups(file: parquet.ParquetFile) -> list[int]:
    count = min(_SAMPLED_GROUPS, file.num_row_groups)
    spread = np.linspace(0, file.num_row_groups - 1, count).astype(int)
    return [n for n in dict.fromkeys(spread.tolist()) if file.metadata.row_group(n).num_rows]


def _flat_lists(cells: pa.Array) -> NDArray[Any]:
    """All values of lists, of lists of lists ..., one after the other."""
    while True:
        if isinstance(cells, pa.ExtensionArray):
            cells = cells.storage
        elif hasattr(cells, "flatten") and not pa.types.is_struct(cells.type):
            flat = cells.flatten()
            if flat.type == cells.type:
                break
            cells = flat
        else:
            break
    return np.asarray(cells.to_numpy(zero_copy_only=False))
