"""Write the tables of a split, behind the rows that an append finds."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from pipeline.storage.dataset import SplitIndex
from pipeline.storage.manifest import (
    CHECKSUM_COLUMN,
    MASK_DTYPE,
    SAMPLE_DTYPE,
    SOURCES_COLUMNS,
    masks_name,
    sample_key,
    samples_name,
    sources_name,
    targets_name,
)
from pipeline.storage.sources import read_source_column
from tools.download.label_sets import as_table
from tools.writing.dataset_stats import DatasetStats
from tools.writing.output_folder import Store
from tools.writing.shard_file import ShardRecord, read_rows
from tools.writing.shard_plan import ShardPlan
from tools.writing.tar import npy_header

# Rows of targets that are in memory at once.
_TABLE_ROWS = 256
_SOURCES_SCHEMA = pa.schema([(name, pa.string()) for name in (*SOURCES_COLUMNS, CHECKSUM_COLUMN)])


def write_tables(
    shard_plan: ShardPlan,
    split: str,
    records: Sequence[ShardRecord],
    folder: Path,
    store: Store,
    stats: DatasetStats,
    old: SplitIndex | None = None,
) -> list[Path]:
    """Write the tables of a split, the rows of `old` first, then shard by shard, so that memory
    doesn't grow with their number."""
    sources, count = shard_plan.sources, sum(record.samples for record in records)
    first_shard = 0 if old is None else len(old.split.shards)
    count += 0 if old is None else len(old)
    tables: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
        samples_name(split): (SAMPLE_DTYPE, (count,))
    }
    if sources.masks is not None:
        tables[masks_name(split)] = (MASK_DTYPE, (count,))
    elif sources.targets is not None:
        columns = sources.targets.shape[1]
        tables[targets_name(split)] = (np.dtype(np.float32), (count, columns))
    paths = [folder / shard_plan.table_name(name) for name in (*tables, sources_name(split))]
    with ExitStack() as stack:
        samples, *targets = (stack.enter_context(path.open("wb")) for path in paths[:-1])
        for file, (dtype, shape) in zip((samples, *targets), tables.values(), strict=True):
            file.write(npy_header(dtype, shape))
        writer = stack.enter_context(parquet.ParquetWriter(paths[-1], _SOURCES_SCHEMA))
        if old is not None:
            samples.write(old.samples.tobytes())
            if targets:
                targets[0].write((old.targets if sources.masks is None else old.masks).tobytes())
            columns = [read_source_column(old, name) for name in _SOURCES_SCHEMA.names]
            writer.write_table(pa.table(columns, schema=_SOURCES_SCHEMA))
            stats.add_sizes(old.samples)
        for number, record in enumerate(records, start=first_shard):
            rows = read_rows(store, record.name)
            samples.write(_copy_fields(rows, SAMPLE_DTYPE, shard=number).tobytes())
            if sources.masks is not None:
                targets[0].write(_copy_fields(rows, MASK_DTYPE, prefix="target_").tobytes())
            elif sources.targets is not None:
                numbers = shard_plan.numbers(split, rows["key"])
                for first in range(0, len(numbers), _TABLE_ROWS):
                    part = sources.targets[numbers[first : first + _TABLE_ROWS]]
                    targets[0].write(as_table(part).tobytes())
            writer.write_table(_origins(shard_plan, split, rows))
            stats.add(rows, training=split == "train")
    return paths


def _origins(shard_plan: ShardPlan, split: str, rows: NDArray[np.void]) -> pa.Table:
    """Rows of ``sources.parquet`` for RESULT_DTYPE `rows`."""
    keys = list(map(sample_key, rows["key"].tolist()))
    checksums = [f"{value:08x}" for value in rows["source_crc32"].tolist()]
    columns = [keys, *shard_plan.origins(split, rows["key"]), checksums]
    return pa.table(columns, schema=_SOURCES_SCHEMA)


def _copy_fields(
    rows: NDArray[np.void], dtype: np.dtype[Any], prefix: str = "", **constants: int
) -> NDArray[np.void]:
    """RESULT_DTYPE `rows` as `dtype`, whose field x is the field `prefix` + x or a constant."""
    table = np.zeros(len(rows), dtype)
    for name in dtype.names or ():
        table[name] = constants[name] if name in constants else rows[prefix + name]
    return table
