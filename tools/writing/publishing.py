"""Complete a dataset from finished shards: the tables of each split, rejected.csv, the manifest."""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.natural_order import natural_key
from pipeline.printable import defused, printable
from pipeline.storage.manifest import (
    DUPLICATES_NAME,
    IMAGE_COMPONENTS,
    MANIFEST_NAME,
    MASK_DTYPE,
    REJECTED_NAME,
    SAMPLE_DTYPE,
    SOURCES_COLUMNS,
    Manifest,
    Split,
    index_name,
    masks_name,
    sample_key,
    samples_name,
    sources_name,
    targets_name,
)
from tools.config import ShardConfig
from tools.download.label_sets import as_table
from tools.duplicates.groups import Group, write_groups
from tools.like import measured
from tools.writing.dataset_stats import DatasetStats, min_median_max
from tools.writing.output_folder import Store
from tools.writing.shard_file import ShardRecord, read_rows
from tools.writing.shard_plan import ShardPlan
from tools.writing.submission_table import write_submission
from tools.writing.tar import npy_header

# Rows of targets that are in memory at once.
_TABLE_ROWS = 256
_SOURCES_SCHEMA = pa.schema([(name, pa.string()) for name in SOURCES_COLUMNS])


def publish(
    shard_plan: ShardPlan,
    config: ShardConfig,
    records: Sequence[ShardRecord],
    store: Store,
    stats: DatasetStats,
    duplicates: Sequence[Group] = (),
) -> Manifest:
    """Write everything but the shards, the manifest last, and add the samples to `stats`. Raises
    ``DataError`` if no training sample is left."""
    rejected = list_rejected(shard_plan, records)
    digests = {index_name(record.name): record.index_sha256 for record in records if record.samples}
    with store.scratch() as folder:
        write_rejected(folder / REJECTED_NAME, rejected)
        digests[REJECTED_NAME] = _put(folder / REJECTED_NAME, store)
        if duplicates:
            write_groups(folder / DUPLICATES_NAME, duplicates)
            digests[DUPLICATES_NAME] = _put(folder / DUPLICATES_NAME, store)
        splits = {}
        for name in shard_plan.plan.bounds:
            kept = [record for record in records if record.split == name and record.samples]
            if kept:
                for path in _write_tables(shard_plan, name, kept, folder, store, stats):
                    digests[path.name] = _put(path, store)
                counts = np.sum([record.class_counts for record in kept], axis=0).tolist()
                splits[name] = Split(
                    shards=tuple(record.shard for record in kept),
                    labeled=sum(record.labeled for record in kept),
                    class_counts=tuple(counts),
                )
                if name == "test" and shard_plan.submission is not None:
                    path = write_submission(folder, shard_plan, kept, store)
                    digests[path.name] = _put(path, store)
        if ("train" if shard_plan.like is None else "test") not in splits:
            raise DataError(
                f"{config.src}: no sample is left to train on or to predict; see the reasons in "
                f"{config.out}/{REJECTED_NAME}."
            )
        manifest = _manifest(shard_plan, config, splits, digests, stats, rejected=len(rejected))
        path = folder / MANIFEST_NAME
        path.write_text(manifest.to_json(), encoding="utf-8")
        store.finish(path)
    return manifest


def list_rejected(shard_plan: ShardPlan, records: Sequence[ShardRecord]) -> list[tuple[str, str]]:
    """Name and reason of every rejected source."""
    rejected = list(shard_plan.sources.rejected)
    for record in records:
        rejected += [(shard_plan.name(record.split, key), why) for key, why in record.rejected]
    return rejected


def write_rejected(path: Path, rejected: Iterable[tuple[str, str]]) -> None:
    """Write rejected.csv, sorted by name."""
    rows = sorted((natural_key(source), source, reason) for source, reason in rejected)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("source", "reason"))
        writer.writerows(defused(map(printable, row[1:])) for row in rows)


def _put(path: Path, store: Store) -> str:
    """Put a file into the store; returns its SHA-256 in hex."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    store.put(path, path.name)
    return digest


def _write_tables(
    shard_plan: ShardPlan,
    split: str,
    records: Sequence[ShardRecord],
    folder: Path,
    store: Store,
    stats: DatasetStats,
) -> list[Path]:
    """Write the tables of a split, shard by shard, so that memory doesn't grow with their
    number."""
    sources, count = shard_plan.sources, sum(record.samples for record in records)
    tables: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {
        samples_name(split): (SAMPLE_DTYPE, (count,))
    }
    if sources.masks is not None:
        tables[masks_name(split)] = (MASK_DTYPE, (count,))
    elif sources.targets is not None:
        columns = sources.targets.shape[1]
        tables[targets_name(split)] = (np.dtype(np.float32), (count, columns))
    paths = [folder / name for name in (*tables, sources_name(split))]
    with ExitStack() as stack:
        samples, *targets = (stack.enter_context(path.open("wb")) for path in paths[:-1])
        for file, (dtype, shape) in zip((samples, *targets), tables.values(), strict=True):
            file.write(npy_header(dtype, shape))
        writer = stack.enter_context(parquet.ParquetWriter(paths[-1], _SOURCES_SCHEMA))
        for number, record in enumerate(records):
            rows = read_rows(store, record.name)
            samples.write(_copy_fields(rows, SAMPLE_DTYPE, shard=number).tobytes())
            if sources.masks is not None:
                targets[0].write(_copy_fields(rows, MASK_DTYPE, prefix="target_").tobytes())
            elif sources.targets is not None:
                numbers = shard_plan.numbers(split, rows["key"])
                for first in range(0, len(numbers), _TABLE_ROWS):
                    part = sources.targets[numbers[first : first + _TABLE_ROWS]]
                    targets[0].write(as_table(part).tobytes())
            writer.write_table(_origins(shard_plan, split, rows["key"]))
            stats.add(rows, training=split == "train")
    return paths


def _origins(shard_plan: ShardPlan, split: str, keys: NDArray[np.int64]) -> pa.Table:
    """Rows of ``sources.parquet``."""
    columns = list(map(sample_key, keys.tolist())), *shard_plan.origins(split, keys)
    return pa.table(list(columns), schema=_SOURCES_SCHEMA)


def _copy_fields(
    rows: NDArray[np.void], dtype: np.dtype[Any], prefix: str = "", **constants: int
) -> NDArray[np.void]:
    """RESULT_DTYPE `rows` as `dtype`, whose field x is the field `prefix` + x or a constant."""
    table = np.zeros(len(rows), dtype)
    for name in dtype.names or ():
        table[name] = constants[name] if name in constants else rows[prefix + name]
    return table


def _manifest(
    shard_plan: ShardPlan,
    config: ShardConfig,
    splits: dict[str, Split],
    digests: dict[str, str],
    stats: DatasetStats,
    *,
    rejected: int,
) -> Manifest:
    like = shard_plan.like and shard_plan.like.manifest
    mean, std = (like.mean, like.std) if like else stats.mean_and_std()
    return Manifest(
        task=shard_plan.sources.task,
        classes=tuple(map(printable, shard_plan.plan.classes)),
        labels=tuple(map(printable, shard_plan.plan.class_labels)),
        targets=shard_plan.sources.target_names,
        splits=splits,
        files=dict(sorted(digests.items())),
        image_components=tuple(IMAGE_COMPONENTS[n] for n in sorted(stats.components)),
        mean=mean,
        std=std,
        heights=min_median_max(stats.heights),
        widths=min_median_max(stats.widths),
        rejected=rejected,
        made_by={
            "tool": tool_version(),
            "arguments": config.shaping,
            "measured": measured(shard_plan.settings.encoding, shard_plan.sources.label_separator),
            **({} if shard_plan.like is None else {"like": shard_plan.like.fingerprint}),
        },
    )


def tool_version() -> str:
    """Name and version of this package."""
    try:
        return f"shardline {version('shardline')}"
    except PackageNotFoundError:
        return "shardline (not installed)"
