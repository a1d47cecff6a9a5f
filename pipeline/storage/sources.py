"""Where samples come from: columns of ``SPLIT.sources.parquet``, and the rows of a submission."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.arrays import Integers
from pipeline.errors import DataError
from pipeline.storage.dataset import SplitIndex
from pipeline.storage.manifest import MANIFEST_NAME, sources_name

if TYPE_CHECKING:
    import pyarrow as pa


def read_source_column(index: SplitIndex, column: str) -> "pa.ChunkedArray":
    """A column of the sources, strings (samples,), a row for each row of the index's tables; nulls
    where shards of version 2 lack the column.

    Raises ``DataError`` if a file is missing, damaged or does not fit its split.
    """
    # Takes a tenth of a second to import, which most runs don't need.
    import pyarrow as pa
    import pyarrow.parquet as parquet

    chunks: list[pa.Array] = []
    for name, split in index.splits.items():
        path = index.file(sources_name(name))
        try:
            with path.open("rb") as file, parquet.ParquetFile(file) as sources:
                rows, has_column = sources.metadata.num_rows, column in sources.schema_arrow.names
                table = sources.read([column] if has_column else [])
        except (OSError, pa.ArrowException) as error:
            reason = getattr(error, "strerror", None) or "damaged or cut off"
            raise DataError(f"{path} can't be read ({reason}): make the shards again.") from error
        if rows != split.samples:
            raise DataError(
                f"{path} does not fit the {split.samples} samples that {MANIFEST_NAME} states: "
                f"make the shards again."
            )
        chunks += (
            table[column].cast(pa.string()).chunks if has_column else [pa.nulls(rows, pa.string())]
        )
    return pa.chunked_array(chunks, pa.string())


def read_submission_table(path: Path) -> "pa.Table":
    """The table ``SPLIT.submission.parquet``. Two of its columns may have the same name, which
    ``parquet.read_table`` refuses. Raises ``OSError`` or ``pyarrow.ArrowException``."""
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(path) as file:
        return file.read()


def read_groups(index: SplitIndex) -> Integers:
    """The group of each sample, int64 (samples,), as the row of the group's first sample. A sample
    without a group is alone in its own. Raises as ``read_source_column`` does."""
    names = read_source_column(index, "group").combine_chunks().dictionary_encode()
    groups = np.arange(len(names))
    grouped = np.flatnonzero(names.is_valid())
    codes = names.indices.drop_null().to_numpy()
    _, firsts = np.unique(codes, return_index=True)
    groups[grouped] = grouped[firsts][codes]
    return groups
