"""The tables beside the tars: are they there, whole, and of one mind with the manifest?"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipeline.storage.manifest import (
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
from tools.checking.findings import Finding, gathered
from tools.text import plural
from tools.writing.dataset_stats import min_median_max
from tools.writing.tar import BLOCK_BYTES, padded

# A row of the index, and what is wrong with it.
Flaw = tuple[int, str]


class UnusableTableError(Exception):
    """The table `file` can't be used; the text says why."""

    def __init__(self, file: str, text: str) -> None:
        super().__init__(text)
        self.file = file


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The rows of a split, mapped: SAMPLE_DTYPE (n,); by task, float32 (n, targets) or MASK_DTYPE
    (n,)."""

    samples: NDArray[np.void]
    targets: NDArray[np.float32] | None = None
    masks: NDArray[np.void] | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, part: slice | NDArray[np.int64]) -> "Tables":
        return Tables(
            samples=self.samples[part],
            targets=None if self.targets is None else self.targets[part],
            masks=None if self.masks is None else self.masks[part],
        )


def npy_header(dtype: DTypeLike, shape: tuple[int, ...]) -> bytes:
    """What a ``.npy`` of this type and shape begins with."""
    header = BytesIO()
    description = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(
        header, {"descr": description, "fortran_order": False, "shape": shape}
    )
    return header.getvalue()


def open_tables(directory: Path, split: str, manifest: Manifest) -> Tables:
    """Map the tables of `split`; raises ``UnusableTableError``."""
    count = manifest.splits[split].samples
    targets = masks = None
    if TARGET_COMPONENTS[manifest.task] == "target.npy":
        shape = (count, len(manifest.targets or manifest.classes))
        targets = _open_table(directory / targets_name(split), np.float32, shape)
    if manifest.task == "segmentation":
        masks = _open_table(directory / masks_name(split), MASK_DTYPE, (count,))
    samples = _open_table(directory / samples_name(split), SAMPLE_DTYPE, (count,))
    return Tables(samples=samples, targets=targets, masks=masks)


def check_tables(split: str, tables: Tables, manifest: Manifest) -> Iterator[Finding]:
    """What the index and the manifest disagree about."""
    known = len(manifest.classes) if manifest.task == "classification" else 0
    for flaws in (
        _shard_flaws(tables, manifest.splits[split]),
        _key_flaws(tables),
        _label_flaws(tables, known),
        _mask_flaws(tables),
    ):
        keys = tables.samples["key"]
        file = samples_name(split)
        yield from gathered(
            [Finding(file=file, text=text, row=row, key=int(keys[row])) for row, text in flaws],
            len(tables),
        )


def check_counts(split: str, tables: Tables, manifest: Manifest) -> Iterator[Finding]:
    """Whether the manifest counts the classes as the index shows them; masks alone show theirs."""
    if tables.targets is not None and manifest.classes:
        counts = np.asarray((tables.targets > 0).sum(axis=0), np.int64)
    elif manifest.task == "classification":
        labels, known = tables.samples["label"], len(manifest.classes)
        counts = np.bincount(labels[(labels >= 0) & (labels < known)], minlength=known)
    else:
        return
    yield from check_class_counts(split, counts, manifest)


def check_class_counts(
    split: str, counts: NDArray[np.int64], manifest: Manifest
) -> Iterator[Finding]:
    """`counts`: samples of each class, as found."""
    stated = manifest.splits[split].class_counts
    if len(stated) != len(counts):
        text = f"{split} counts {len(stated)} classes of {len(counts)}"
        yield Finding(file="dataset.json", text=text)
        return
    for name, said, count in zip(manifest.classes, stated, counts.tolist(), strict=True):
        if said != count:
            text = f"{split} has {count} of class {name!r}, not {said}"
            yield Finding(file="dataset.json", text=text)


def check_sizes(splits: Sequence[Tables], manifest: Manifest) -> Iterator[Finding]:
    """Whether the manifest's (minimum, median, maximum) are those of all samples together."""
    for name in ("height", "width"):
        counts = Counter(np.concatenate([tables.samples[name] for tables in splits]).tolist())
        stated = manifest.heights if name == "height" else manifest.widths
        if stated != (found := min_median_max(counts)):
            text = f"it says {stated} of {name}s (minimum, median, maximum), they are {found}"
            yield Finding(file="dataset.json", text=text)


def _shard_flaws(tables: Tables, split: Split) -> Iterator[Flaw]:
    found = tables.samples["shard"]
    stated = np.repeat(np.arange(len(split.shards)), [shard.samples for shard in split.shards])
    for row in np.flatnonzero(found != stated).tolist():
        yield row, f"it is said to be in shard {found[row]}, not in {stated[row]}"


def _key_flaws(tables: Tables) -> Iterator[Flaw]:
    keys = tables.samples["key"].astype(np.int64)
    for row in (1 + np.flatnonzero(np.diff(keys) <= 0)).tolist():
        yield row, f"it stands behind {sample_key(int(keys[row - 1]))}, but keys rise"


def _label_flaws(tables: Tables, classes: int) -> Iterator[Flaw]:
    labels = tables.samples["label"]
    wrong = (labels < 0) | (labels >= classes) if classes else labels != -1
    for row in np.flatnonzero(wrong).tolist():
        yield row, f"its label is {labels[row]}, there are {plural(classes, 'class')}"


def _mask_flaws(tables: Tables) -> Iterator[Flaw]:
    """A mask lies before its image, with the image's header between them."""
    if tables.masks is None:
        return
    ends = tables.masks["offset"] + padded(tables.masks["size"].astype(np.int64)).astype(np.uint64)
    for row in np.flatnonzero(ends + BLOCK_BYTES != tables.samples["offset"]).tolist():
        yield row, "its mask is said to lie elsewhere than before its image"


def _open_table(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    # np.load is not asked: it fails in many ways where a header is damaged.
    header = npy_header(dtype, shape)
    size_bytes = len(header) + int(np.prod(shape)) * np.dtype(dtype).itemsize
    try:
        with path.open("rb") as file:
            found = file.read(len(header))
        if found == header and path.stat().st_size == size_bytes:
            table: NDArray[Any] = np.memmap(path, dtype, "r", offset=len(header), shape=shape)
            return np.asarray(table)
    except OSError as error:
        raise UnusableTableError(path.name, f"it can't be read ({error.strerror})") from error
    raise UnusableTableError(
        path.name, f"it is no table of the {shape[0]:,} samples that dataset.json speaks of"
    )
