"""The table with the rows of the sample submission and the sample that each asks for."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from pipeline.storage.manifest import sample_key, submission_name
from tools.writing.output_folder import Store
from tools.writing.shard_file import ShardRecord, read_rows
from tools.writing.shard_plan import ShardPlan

# Rows of a row group.
_GROUP_ROWS = 2**16


def write_submission(
    folder: Path, shard_plan: ShardPlan, records: Sequence[ShardRecord], store: Store
) -> Path:
    """Write the table of split test, whose shards with samples are `records`, into `folder`."""
    rows = shard_plan.submission
    assert rows is not None
    keys = _keys_of_sources(shard_plan, records, store)
    asked = np.append(keys, -1)[rows.sources]
    schema = pa.schema([pa.field("key", pa.string()), *rows.cells.schema]).with_metadata(
        {"table": rows.table, "id_column": str(rows.id_column)}
    )
    path = folder / submission_name("test")
    with parquet.ParquetWriter(path, schema) as writer:
        for first in range(0, len(asked), _GROUP_ROWS):
            group = asked[first : first + _GROUP_ROWS].tolist()
            texts = pa.array([None if key < 0 else sample_key(key) for key in group], pa.string())
            cells = rows.cells.slice(first, len(group)).combine_chunks()
            writer.write_table(pa.Table.from_arrays([texts, *cells.columns], schema=schema))
    return path


def _keys_of_sources(
    shard_plan: ShardPlan, records: Sequence[ShardRecord], store: Store
) -> NDArray[np.int64]:
    """The key of each source in split test, -1 for those that are not stored there: int64 (n,)."""
    keys = np.full(len(shard_plan.sources), -1, np.int64)
    for record in records:
        stored = read_rows(store, record.name)["key"].astype(np.int64)
        keys[shard_plan.numbers("test", stored)] = stored
    return keys
