"""Complete a dataset from finished shards: the tables of each split, rejected.csv, the manifest."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.errors import DataError
from pipeline.printable import printable
from pipeline.storage.dataset import Dataset, SplitIndex
from pipeline.storage.manifest import (
    DUPLICATES_NAME,
    IMAGE_COMPONENTS,
    MANIFEST_NAME,
    REJECTED_NAME,
    SPLITS,
    Manifest,
    Split,
    index_name,
    submission_name,
)
from pipeline.versions import installed_version
from tools.config import ShardConfig
from tools.duplicates.groups import Group, write_groups
from tools.like import measured
from tools.writing.appended import split_of, with_history
from tools.writing.csv_tables import read_duplicates, read_rejected
from tools.writing.dataset_stats import DatasetStats, min_median_max
from tools.writing.output_folder import Store
from tools.writing.rejected import list_rejected, write_rejected
from tools.writing.shard_file import ShardRecord
from tools.writing.shard_plan import ShardPlan
from tools.writing.split_tables import write_tables
from tools.writing.submission_table import write_submission


def publish(
    shard_plan: ShardPlan,
    config: ShardConfig,
    records: Sequence[ShardRecord],
    store: Store,
    stats: DatasetStats,
    duplicates: Sequence[Group] = (),
) -> Manifest:
    """Write everything but the shards, the manifest last, and add the samples to `stats`. Raises
    ``DataError`` if no training sample is left, or none to add."""
    before = None if shard_plan.base is None else Dataset(config.out)
    if before is not None and not any(record.samples for record in records):
        raise DataError(f"{config.src}: no sample is left to add, since all were rejected.")
    rejected = list_rejected(shard_plan, records)
    if before is not None:
        tried = {source for source, _ in rejected} | set(shard_plan.all_names())
        rejected += [pair for pair in read_rejected(before) if pair[0] not in tried]
    digests = {index_name(record.name): record.index_sha256 for record in records if record.samples}
    with store.scratch() as folder:
        path = folder / shard_plan.table_name(REJECTED_NAME)
        write_rejected(path, rejected)
        digests[path.name] = _put(path, store)
        earlier = [] if before is None else read_duplicates(before)
        if duplicates or earlier:
            path = folder / shard_plan.table_name(DUPLICATES_NAME)
            write_groups(path, duplicates, earlier)
            digests[path.name] = _put(path, store)
        splits = {}
        for name in SPLITS:
            kept = [record for record in records if record.split == name and record.samples]
            old = before.split(name) if before and name in before.manifest.splits else None
            if kept or old is not None:
                for path in _write_files(shard_plan, name, kept, folder, store, stats, old):
                    digests[path.name] = _put(path, store)
                splits[name] = split_of(kept, len(shard_plan.plan.classes), old)
        if ("train" if shard_plan.like is None or shard_plan.base else "test") not in splits:
            raise DataError(
                f"{config.src}: no sample is left to train on or to predict; see the reasons in "
                f"{config.out}/{REJECTED_NAME}."
            )
        manifest = _manifest(shard_plan, config, splits, digests, stats, rejected=len(rejected))
        path = folder / MANIFEST_NAME
        path.write_text(manifest.to_json(), encoding="utf-8")
        store.finish(path, manifest.files)
    return manifest


def _write_files(
    shard_plan: ShardPlan,
    split: str,
    records: Sequence[ShardRecord],
    folder: Path,
    store: Store,
    stats: DatasetStats,
    old: SplitIndex | None,
) -> Iterator[Path]:
    """Write the tables of a split, and the sample submission that it has or had."""
    yield from write_tables(shard_plan, split, records, folder, store, stats, old)
    name = submission_name(split)
    if split == "test" and shard_plan.submission is not None:
        yield write_submission(folder, shard_plan, records, store)
    elif old is not None and old.lists(name):
        path = folder / shard_plan.table_name(name)
        shutil.copyfile(old.file(name), path)
        yield path


def _put(path: Path, store: Store) -> str:
    """Put a file into the store; returns its SHA-256 in hex."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    store.put(path, path.name)
    return digest


def _manifest(
    shard_plan: ShardPlan,
    config: ShardConfig,
    splits: dict[str, Split],
    digests: dict[str, str],
    stats: DatasetStats,
    *,
    rejected: int,
) -> Manifest:
    if shard_plan.base is not None:
        facts = replace(
            shard_plan.base.manifest,
            classes=tuple(map(printable, shard_plan.plan.classes)),
            labels=tuple(map(printable, shard_plan.plan.class_labels)),
            splits=splits,
            heights=min_median_max(stats.heights),
            widths=min_median_max(stats.widths),
            rejected=rejected,
        )
        return with_history(facts, shard_plan.base, digests, config, tool_version())
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
    return f"shardline {installed_version('shardline') or '(not installed)'}"
