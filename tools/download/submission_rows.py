"""The rows of a sample submission, as the download writes them."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tools.download.tables import Table

_BATCH_ROWS = 2**14


@dataclass(frozen=True, kw_only=True, eq=False)
class SubmissionRows:
    """A sample submission.

    Args:
        table: its path in the download.
        id_column: index of the column that has the ids.
        cells: all its columns, as strings.
        sources: int64 (rows,), the source of split test that each row asks for; -1 without one.
    """

    table: str
    id_column: int
    cells: pa.Table
    sources: NDArray[np.int64]

    def digest(self) -> bytes:
        """A SHA-256 over all of it."""
        digest = hashlib.sha256(repr((self.table, self.id_column)).encode())
        digest.update(np.ascontiguousarray(self.sources).data)
        for batch in self.cells.to_batches(max_chunksize=_BATCH_ROWS):
            digest.update(batch.serialize())
        return digest.digest()


def read_cells(table: Table) -> pa.Table:
    """All rows with the names and cells as the table writes them; a missing cell is empty, and
    cells beyond the columns are left out. Raises ``DataError``."""
    names = [_valid(name) for name in table.written_columns()]
    schema = pa.schema([pa.field(name, pa.string()) for name in names])
    rows = table.written_rows()
    return pa.Table.from_batches(list(_batches(rows, schema)), schema)


def _batches(rows: Iterator[list[str]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    width = len(schema)
    while block := list(islice(rows, _BATCH_ROWS)):
        padded = [_fit(row, width) for row in block]
        columns = [
            pa.array(list(map(_valid, column)), pa.string()) for column in zip(*padded, strict=True)
        ]
        yield pa.record_batch(columns, schema=schema)


def _fit(row: Sequence[str], width: int) -> Sequence[str]:
    return row if len(row) == width else [*row[:width], *[""] * (width - len(row))]


def _valid(text: str) -> str:
    """The text without halves of letters, which JSON may have and UTF-8 can't."""
    return text if text.isascii() else text.encode(errors="replace").decode()
