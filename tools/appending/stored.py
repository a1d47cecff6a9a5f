"""Tell the sources that finished shards lack from those that they have, by path, content and
label."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import MisuseError
from pipeline.printable import printable
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import CHECKSUM_COLUMN, DUPLICATES_NAME, REJECTED_NAME, SPLITS
from pipeline.storage.sources import read_source_column
from pipeline.text import join_names, plural
from tools.appending.classes import with_stored_classes
from tools.config import ShardConfig
from tools.console import Output
from tools.download.label_sets import as_table
from tools.download.sources import Sources
from tools.workers import Workers
from tools.writing.block_encoding import source_checksums
from tools.writing.blocks import Block, BlockSettings
from tools.writing.csv_tables import read_left_out, read_rejected
from tools.writing.shard_plan import block_images
from tools.writing.split_sampling import TRAIN, VAL
from tools.writing.splits import Standing, download_val

Integers = NDArray[np.int64]
# Rows of targets that are compared at once.
_TARGET_ROWS = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Stored:
    """The stored sources, the latest first: their names, groups and checksums, text or null; int8
    (n,) their splits, indices into SPLITS; int64 (n,) their rows in the index of the split."""

    dataset: Dataset
    names: pa.Array
    groups: pa.Array
    checksums: pa.Array
    splits: NDArray[np.int8]
    rows: Integers


def read_stored(dataset: Dataset) -> Stored:
    """The sources of all splits. Raises ``DataError`` if a table is damaged."""
    indices = {name: dataset.split(name) for name in dataset.manifest.splits}
    parts = [np.full(len(index), SPLITS.index(name), np.int8) for name, index in indices.items()]

    def column(name: str) -> pa.Array:
        chunks = [read_source_column(index, name) for index in indices.values()]
        flat = pa.chunked_array([chunk for one in chunks for chunk in one.chunks], pa.string())
        return flat.combine_chunks().take(pa.array(range(len(flat) - 1, -1, -1), pa.int64()))

    return Stored(
        dataset=dataset,
        names=column("source"),
        groups=column("group"),
        checksums=column(CHECKSUM_COLUMN),
        splits=np.flip(np.concatenate(parts)).copy(),
        rows=np.flip(np.concatenate([np.arange(len(part)) for part in parts])).copy(),
    )


def new_sources(
    sources: Sources,
    dataset: Dataset,
    config: ShardConfig,
    workers: Workers,
    folder: Path,
    output: Output,
) -> tuple[Sources, Standing]:
    """The sources that `dataset` lacks, numbered by its classes, and what decides their splits.
    Prints what is left out; `folder` takes temporary files.

    Raises ``MisuseError`` for changed sources, if --changed refuses them, for new sources without
    groups where stored ones have some, and as ``with_stored_classes`` does.
    """
    sources = with_stored_classes(sources, dataset.manifest, config)
    stored = read_stored(dataset)
    names = [printable(name) for name in sources.names]
    known = _indices(names, stored.names)
    changed = np.zeros(len(sources), np.bool_)
    numbers = np.flatnonzero(known >= 0)
    with output.progress("comparing", len(numbers), unit="images") as advance:
        blocks = _blocks(sources, numbers, config, folder)
        checksums = [np.empty(0, np.uint32)]
        for part in workers.ordered(source_checksums, blocks, rescue=_no_checksums):
            checksums.append(part)
            advance(len(part))
    changed[numbers] = ~(
        _has_stored_content(np.concatenate(checksums), stored, known[numbers])
        & _has_stored_label(sources, numbers, stored, known[numbers])
    )
    rejected = set(read_rejected(dataset))
    failed = _are_among(names, {source for source, _ in rejected}) & (known < 0)
    copies = _are_among(names, read_left_out(dataset)) & (known < 0)
    _refuse_changed([names[number] for number in np.flatnonzero(changed)], stored, config)
    for sentence in _describe_left_out(known, changed, failed, copies, config):
        output.print(sentence)
    is_new = (known < 0) & ~copies
    if config.changed == "store-again":
        is_new |= changed
    else:
        is_new &= ~failed
    _refuse_lost_groups(sources, int(is_new.sum()), stored, config)
    standing = Standing(
        splits=_standing_splits(sources, known, stored)[is_new],
        val_from=download_val(sources.splits, sources.has_label, config.test),
    )
    others = tuple(pair for pair in sources.rejected if tuple(map(printable, pair)) not in rejected)
    return replace(sources.take(np.flatnonzero(is_new)), rejected=others), standing


def _indices(texts: list[str], among: pa.Array) -> Integers:
    """Where each text first is in `among`, -1 if it is not: int64 (n,)."""
    found = pc.index_in(pa.array(texts, pa.string()), value_set=among)
    return np.asarray(found.fill_null(-1).to_numpy(), np.int64)


def _are_among(texts: list[str], among: set[str]) -> NDArray[np.bool_]:
    """Whether each text is one of `among`: bool (n,)."""
    return np.fromiter((text in among for text in texts), np.bool_, len(texts))


def _blocks(
    sources: Sources, numbers: Integers, config: ShardConfig, folder: Path
) -> Iterator[Block]:
    settings = BlockSettings(task=sources.task, classes=0, encoding=config.encoding)
    step = block_images(sources)
    for first in range(0, len(numbers), step):
        part = numbers[first : first + step]
        labeled = sources.has_label[part]
        yield Block(
            first=0,
            images=sources.images.take(part),
            labeled=labeled,
            labels=sources.labels[part],
            settings=settings,
            folder=folder,
            masks=None if sources.masks is None else sources.masks.take(part[labeled]),
        )


def _no_checksums(block: Block) -> NDArray[np.uint32]:
    return np.zeros(len(block.images), np.uint32)


def _has_stored_content(
    checksums: NDArray[np.uint32], stored: Stored, known: Integers
) -> NDArray[np.bool_]:
    """Whether each of the stored sources `known` has this CRC-32: bool (n,)."""
    texts = pa.array([f"{value:08x}" for value in checksums.tolist()], pa.string())
    same = pc.equal(texts, stored.checksums.take(pa.array(known)))
    return np.asarray(same.fill_null(False).to_numpy(zero_copy_only=False), np.bool_)


def _has_stored_label(
    sources: Sources, numbers: Integers, stored: Stored, known: Integers
) -> NDArray[np.bool_]:
    """Whether the sources `numbers` have the label or the targets of the stored ones `known`: bool
    (n,). What the mask shows is part of the content."""
    same = np.ones(len(numbers), np.bool_)
    for name in stored.dataset.manifest.splits:
        index = stored.dataset.split(name)
        here = np.flatnonzero(stored.splits[known] == SPLITS.index(name))
        rows = stored.rows[known[here]]
        if sources.targets is None:
            same[here] = index.samples["label"][rows] == sources.labels[numbers[here]]
            continue
        for first in range(0, len(here), _TARGET_ROWS):
            part = slice(first, first + _TARGET_ROWS)
            now, before = as_table(sources.targets[numbers[here[part]]]), index.targets[rows[part]]
            equal = (now == before) | (np.isnan(now) & np.isnan(before))
            same[here[part]] = equal.all(axis=1)
    return same


def _standing_splits(sources: Sources, known: Integers, stored: Stored) -> NDArray[np.int8]:
    """``Standing.splits``. A group that stands in train and in val counts as one of val."""
    standing = np.full(len(sources), -1, np.int8)
    standing[known >= 0] = stored.splits[known[known >= 0]]
    standing[standing > max(TRAIN, VAL)] = -1
    if sources.groups is None:
        return standing
    texts = [printable(name) for name in sources.group_names]
    by_group = np.full(max(len(texts), int(sources.groups.max()) + 1), -1, np.int8)
    np.maximum.at(by_group, sources.groups, standing)
    for split in (TRAIN, VAL):
        groups = stored.groups.filter(pa.array(stored.splits == split)).drop_null()
        found = np.flatnonzero(_indices(texts, groups) >= 0)
        by_group[found] = np.maximum(by_group[found], split)
    return by_group[sources.groups]


def _refuse_changed(names: list[str], stored: Stored, config: ShardConfig) -> None:
    if not names or config.changed != "refuse":
        return
    if stored.checksums.null_count:
        raise MisuseError(
            f"{config.out} was made before sources had checksums, so whether "
            f"{plural(len(names), 'source')} of {config.src} changed is unknown: pass --changed "
            f"skip to take them as stored."
        )
    raise MisuseError(
        f"{plural(len(names), 'source')} of {config.src} changed since {config.out} stored them "
        f"({join_names(names)}): pass --changed store-again to store them again beside the earlier "
        f"samples, or --changed skip to leave them out."
    )


def _refuse_lost_groups(sources: Sources, new: int, stored: Stored, config: ShardConfig) -> None:
    """Raise ``MisuseError`` if a draw of splits would divide groups, because they are not read."""
    if new and sources.groups is None and stored.groups.null_count < len(stored.groups):
        raise MisuseError(
            f"{config.out} has groups, but none are read from {config.src}, so its groups might be "
            f"divided between splits: pass the --group-column or --group-pattern of those shards "
            f"again (--group-pattern '(.+)' makes each image its own group)."
        )


def _describe_left_out(
    known: Integers,
    changed: NDArray[np.bool_],
    failed: NDArray[np.bool_],
    copies: NDArray[np.bool_],
    config: ShardConfig,
) -> Iterator[str]:
    """Which sources are not added, and which are added again."""
    if same := int(np.sum((known >= 0) & ~changed)):
        yield f"Left out {plural(same, 'source')} that {config.out} has already."
    again = config.changed == "store-again"
    if count := int(changed.sum()):
        what = "Stores again" if again else "Left out"
        yield f"{what} {plural(count, 'source')} that changed (--changed {config.changed})."
    if (count := int(failed.sum())) and not again:
        yield (
            f"Left out {plural(count, 'source')} that {REJECTED_NAME} lists; --changed store-again "
            f"tries them again."
        )
    if count := int(copies.sum()):
        what = "copy" if count == 1 else "copies"
        yield f"Left out {count:,} {what} that an earlier run left out ({DUPLICATES_NAME})."
