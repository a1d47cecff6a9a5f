"""The tables of a split: open them, and compare them with the manifest."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipeline.storage.manifest import (
    MANIFEST_NAME,
    MASK_DTYPE,
    SAMPLE_DTYPE,
    TARGET_COMPONENTS,
    Manifest,
    Split,
    masks_name,
    sample_key,
    samples_name,
    targets_name,
)
from pipeline.text import plural
from tools.checking.findings import Finding, merge_findings
from tools.writing.dataset_stats import min_median_max
from tools.writing.tar import BLOCK_BYTES, npy_header, padded

# A row of the index and its error.
Flaw = tuple[int, str]


class UnusableTableError(Exception):
    """The table `file` can't be used; the text says why."""

    def __init__(self, file: str, text: str) -> None:
        super().__init__(text)
        self.file = file


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The memory-mapped rows of a split: SAMPLE_DTYPE (n,); by task, float32 (n, targets) or
    MASK_DTYPE (n,)."""

    samples: NDArray[np.void]
    targets: NDArray[np.float32] | None = None
    masks: NDArray[np.void] | None = None

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def labeled(self) -> NDArray[np.bool_]:
        """Whether each sample has a label, targets or a mask: bool (n,)."""
        if self.masks is not None:
            return np.asarray(self.masks["size"] > 0)
        if self.targets is not None:
            return np.asarray(~np.isnan(self.targets).all(axis=1))
        return np.asarray(self.samples["label"] >= 0)

    def take(self, rows: slice | NDArray[np.int64]) -> "Tables":
        return Tables(
            samples=self.samples[rows],
            targets=None if self.targets is None else self.targets[rows],
            masks=None if self.masks is None else self.masks[rows],
        )


def open_tables(directory: Path, split: str, manifest: Manifest) -> Tables:
    """Map the tables of `split`; raises ``UnusableTableError``."""
    count = manifest.splits[split].samples
    targets = masks = None
    if TARGET_COMPONENTS[manifest.task] == "target.npy":
        shape = (count, len(manifest.targets or manifest.classes))
        path = directory / manifest.table_name(targets_name(split))
        targets = _open_table(path, np.float32, shape)
    if manifest.task == "segmentation":
        masks = _open_table(
            directory / manifest.table_name(masks_name(split)), MASK_DTYPE, (count,)
        )
    path = directory / manifest.table_name(samples_name(split))
    samples = _open_table(path, SAMPLE_DTYPE, (count,))
    return Tables(samples=samples, targets=targets, masks=masks)


def _open_table(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    # Not np.load, which raises many kinds of errors for a damaged header.
    header = npy_header(dtype, shape)
    size_bytes = len(header) + int(np.prod(shape)) * np.dtype(dtype).itemsize
    try:
        with path.open("rb") as file:
            is_same = file.read(len(header)) == header
        if is_same and path.stat().st_size == size_bytes:
            table: NDArray[Any] = np.memmap(path, dtype, "r", offset=len(header), shape=shape)
            return np.asarray(table)
    except OSError as error:
        raise UnusableTableError(path.name, f"it can't be read ({error.strerror})") from error
    raise UnusableTableError(
        path.name, f"it is not a table of {shape[0]:,} samples, the number in {MANIFEST_NAME}"
    )


def check_tables(split: str, tables: Tables, manifest: Manifest) -> Iterator[Finding]:
    """Compare the rows of the index with each other and with the manifest."""
    classes = len(manifest.classes) if manifest.task == "classification" else 0
    file, keys = manifest.table_name(samples_name(split)), tables.samples["key"]
    for flaws in (
        _shard_flaws(tables, manifest.splits[split]),
        _key_flaws(tables),
        _label_flaws(tables, classes),
        _nan_flaws(tables),
        _mask_flaws(tables),
        () if split == "test" and manifest.version > 2 else _missing_label_flaws(tables),
    ):
        yield from merge_findings(
            [Finding(file=file, text=text, row=row, key=int(keys[row])) for row, text in flaws],
            len(tables),
        )


def check_counts(split: str, tables: Tables, manifest: Manifest) -> Iterator[Finding]:
    """Compare the manifest's number of labeled samples and its class counts with the index, which
    doesn't have those of masks."""
    stated, labeled = manifest.splits[split].labeled, int(tables.labeled.sum())
    if labeled != stated:
        text = f"{split} has {plural(labeled, 'labeled sample')}, not {stated:,}"
        yield Finding(file=MANIFEST_NAME, text=text)
    if tables.targets is not None and manifest.classes:
        counts = np.asarray((tables.targets > 0).sum(axis=0), np.int64)
    elif manifest.task == "classification":
        labels, classes = tables.samples["label"], len(manifest.classes)
        counts = np.bincount(labels[(labels >= 0) & (labels < classes)], minlength=classes)
    else:
        return
    yield from check_class_counts(split, counts, manifest)


def check_class_counts(
    split: str, counts: NDArray[np.int64], manifest: Manifest
) -> Iterator[Finding]:
    """Compare the manifest's class counts with `counts`, int64 (classes,)."""
    stated = manifest.splits[split].class_counts
    if len(stated) != len(counts):
        text = f"{split} has class counts of {len(stated)} classes, not {len(counts)}"
        yield Finding(file=MANIFEST_NAME, text=text)
        return
    for name, number, count in zip(manifest.classes, stated, counts.tolist(), strict=True):
        if number != count:
            text = f"{split} has {plural(count, 'sample')} of class {name!r}, not {number:,}"
            yield Finding(file=MANIFEST_NAME, text=text)


def check_sizes(splits: Sequence[Tables], manifest: Manifest) -> Iterator[Finding]:
    """Compare the manifest's minimum, median and maximum with all samples."""
    for name, stated in (("height", manifest.heights), ("width", manifest.widths)):
        counts = Counter(np.concatenate([tables.samples[name] for tables in splits]).tolist())
        if stated != (actual := min_median_max(counts)):
            text = f"its {name}s (minimum, median, maximum) are {stated}, the index has {actual}"
            yield Finding(file=MANIFEST_NAME, text=text)


def _shard_flaws(tables: Tables, split: Split) -> Iterator[Flaw]:
    shards = tables.samples["shard"]
    expected = np.repeat(np.arange(len(split.shards)), [shard.samples for shard in split.shards])
    for row in np.flatnonzero(shards != expected).tolist():
        yield row, f"the index places it in shard {shards[row]} instead of {expected[row]}"


def _key_flaws(tables: Tables) -> Iterator[Flaw]:
    keys = tables.samples["key"].astype(np.int64)
    for row in (1 + np.flatnonzero(np.diff(keys) <= 0)).tolist():
        yield row, f"its key is not greater than {sample_key(int(keys[row - 1]))}, the key before"


def _label_flaws(tables: Tables, classes: int) -> Iterator[Flaw]:
    """Whether a sample may lack a label is another question."""
    labels = tables.samples["label"]
    wrong = (labels < -1) | (labels >= classes) if classes else labels != -1
    for row in np.flatnonzero(wrong).tolist():
        yield row, f"its label is {labels[row]}, but there are {plural(classes, 'class')}"


def _missing_label_flaws(tables: Tables) -> Iterator[Flaw]:
    what = "label" if tables.targets is None else "targets"
    what = what if tables.masks is None else "mask"
    for row in np.flatnonzero(~tables.labeled).tolist():
        yield row, f"it has no {what} in the index, which only samples of test may lack"


def _nan_flaws(tables: Tables) -> Iterator[Flaw]:
    """A row of targets is finite, or NaN as a whole."""
    if tables.targets is None:
        return
    for row in np.flatnonzero(np.isnan(tables.targets).any(axis=1) & tables.labeled).tolist():
        yield row, "some of its targets are NaN, others are not"
    for row in np.flatnonzero(np.isinf(tables.targets).any(axis=1)).tolist():
        yield row, "one of its targets is infinite"


def _mask_flaws(tables: Tables) -> Iterator[Flaw]:
    """A mask ends where the header of its image starts; fields of no mask are 0."""
    if tables.masks is None:
        return
    offsets, has_mask = tables.masks["offset"], tables.labeled
    ends = offsets + padded(tables.masks["size"].astype(np.int64)).astype(np.uint64)
    apart = has_mask & (ends + BLOCK_BYTES != tables.samples["offset"])
    for row in np.flatnonzero(apart).tolist():
        yield row, "the index doesn't place its mask directly before its image"
    for row in np.flatnonzero(~has_mask & ((offsets > 0) | (tables.masks["crc32"] > 0))).tolist():
        yield row, "its mask has the size 0 in the index, but not the offset 0 and the crc32 0"
