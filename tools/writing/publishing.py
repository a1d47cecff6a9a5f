"""From finished shards to a dataset: the tables of each split, the rejected, the manifest."""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.storage.manifest import (
    IMAGE_COMPONENTS,
    MANIFEST_NAME,
    MASK_DTYPE,
    REJECTED_NAME,
    SAMPLE_DTYPE,
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
from tools.text import natural_key, printable
from tools.writing.dataset_stats import DatasetStats, spread
from tools.writing.shard_file import ShardRecord, read_rows
from tools.writing.shard_plan import ShardPlan
from tools.writing.store import Store

_SOURCES_SCHEMA = pa.schema([("key", pa.string()), ("source", pa.string())])


def publish(
    shard_plan: ShardPlan,
    config: ShardConfig,
    records: Sequence[ShardRecord],
    store: Store,
    stats: DatasetStats,
) -> Manifest:
    """Write all that isn't in a shard, the manifest last; `stats` counts the samples. Raises
    ``DataError`` where nothing is left to train on."""
    rejected = all_rejected(shard_plan, records)
    with store.scratch() as folder:
        files = _Files(folder, store)
        write_rejected(files.path(REJECTED_NAME), rejected)
        files.put(REJECTED_NAME)
        for record in records:
            if record.samples:
                files.digests[index_name(record.name)] = record.index_sha256
        splits = {}
        for name in shard_plan.plan.bounds:
            own = [record for record in records if record.split == name and record.samples]
            if own:
                splits[name] = _write_split(shard_plan, name, own, files, stats)
        if "train" not in splits:
            raise DataError(
                f"{config.src}: no sample is left to train on; see the reasons in "
                f"{config.out}/{REJECTED_NAME}."
            )
        manifest = _manifest(
            shard_plan, config, splits, files.digests, stats, rejected=len(rejected)
        )
        path = files.path(MANIFEST_NAME)
        path.write_text(manifest.to_json(), encoding="utf-8")
        store.finish(path)
    return manifest


def all_rejected(shard_plan: ShardPlan, records: Sequence[ShardRecord]) -> list[tuple[str, str]]:
    """Every source that made no sample, and why."""
    found = list(shard_plan.sources.rejected)
    for record in records:
        found += [(shard_plan.name(record.split, key), reason) for key, reason in record.rejected]
    return found


def write_rejected(path: Path, rejected: Iterable[tuple[str, str]]) -> None:
    """The list of rejected sources, by name."""
    rows = sorted((natural_key(source), source, reason) for source, reason in rejected)
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("source", "reason"))
        writer.writerows(row[1:] for row in rows)


class _Files:
    """Files on their way into the store; `digests` are SHA-256 in hex, by name."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.digests: dict[str, str] = {}
        self._folder, self._store = folder, store

    def path(self, name: str) -> Path:
        return self._folder / name

    def rows(self, shard: str) -> NDArray[np.void]:
        return read_rows(self._store, shard)

    def put(self, name: str) -> None:
        with self.path(name).open("rb") as file:
            self.digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
        self._store.put(self.path(name), name)


def _write_split(
    shard_plan: ShardPlan,
    split: str,
    records: Sequence[ShardRecord],
    files: _Files,
    stats: DatasetStats,
) -> Split:
    """The tables of a split, written shard by shard: memory doesn't grow with their number."""
    count = sum(record.samples for record in records)
    names = [samples_name(split), sources_name(split)]
    tables = [_NpyFile(files.path(samples_name(split)), SAMPLE_DTYPE, (count,))]
    if shard_plan.sources.masks is not None:
        names.append(masks_name(split))
        tables.append(_NpyFile(files.path(names[-1]), MASK_DTYPE, (count,)))
    if shard_plan.sources.targets is not None:
        names.append(targets_name(split))
        shape = (count, shard_plan.sources.targets.shape[1])
        tables.append(_NpyFile(files.path(names[-1]), np.dtype(np.float32), shape))
    with parquet.ParquetWriter(files.path(sources_name(split)), _SOURCES_SCHEMA) as sources:
        for number, record in enumerate(records):
            rows = files.rows(record.name)
            tables[0].append(_sample_rows(rows, number))
            if shard_plan.sources.masks is not None:
                tables[1].append(_mask_rows(rows))
            elif shard_plan.sources.targets is not None:
                tables[1].append(shard_plan.sources.targets[shard_plan.numbers(split, rows["key"])])
            keys = rows["key"].tolist()
            columns = [
                [sample_key(key) for key in keys],
                [shard_plan.name(split, key) for key in keys],
            ]
            sources.write_table(pa.table(columns, schema=_SOURCES_SCHEMA))
            stats.add(rows, training=split == "train")
    for table in tables:
        table.close()
    for name in names:
        files.put(name)
    shown = np.sum([record.shown for record in records], axis=0)
    return Split(
        shards=tuple(record.shard for record in records), class_counts=tuple(shown.tolist())
    )


class _NpyFile:
    """A .npy file of a known shape, written row by row."""

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self._file = path.open("wb")
        header = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, rows: NDArray[Any]) -> None:
        self._file.write(rows.tobytes())

    def close(self) -> None:
        self._file.close()


def _sample_rows(rows: NDArray[np.void], shard: int) -> NDArray[np.void]:
    out = np.zeros(len(rows), SAMPLE_DTYPE)
    out["shard"] = shard
    for name in ("key", "offset", "size", "label", "height", "width", "crc32"):
        out[name] = rows[name]
    return out


def _mask_rows(rows: NDArray[np.void]) -> NDArray[np.void]:
    out = np.zeros(len(rows), MASK_DTYPE)
    for name in ("offset", "size", "crc32"):
        out[name] = rows[f"target_{name}"]
    return out


def _manifest(
    shard_plan: ShardPlan,
    config: ShardConfig,
    splits: dict[str, Split],
    files: dict[str, str],
    stats: DatasetStats,
    *,
    rejected: int,
) -> Manifest:
    mean, std = stats.mean_and_std()
    return Manifest(
        task=shard_plan.sources.task,
        classes=tuple(map(printable, shard_plan.plan.classes)),
        targets=shard_plan.sources.target_names,
        splits=splits,
        files=dict(sorted(files.items())),
        image_components=tuple(IMAGE_COMPONENTS[n] for n in sorted(stats.components)),
        mean=mean,
        std=std,
        heights=spread(stats.heights),
        widths=spread(stats.widths),
        rejected=rejected,
        made_by={"tool": tool_version(), "arguments": config.shaping},
    )


def tool_version() -> str:
    try:
        return f"shardline {version('shardline')}"
    except PackageNotFoundError:
        return "shardline (not installed)"
