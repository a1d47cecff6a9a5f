"""Read the tables of a split, ``.npy`` files, and check them with their SHA-256 and their bounds.

A table up to HELD_BYTES is held in memory: a memory map ends the process (SIGBUS) if its file is
cut off during the run. Only larger ones are mapped.
"""

import hashlib
import io
import math
import os
import stat
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.storage.manifest import (
    MANIFEST_NAME,
    MASK_DTYPE,
    SAMPLE_DTYPE,
    Manifest,
    Split,
    masks_name,
    samples_name,
    targets_name,
)

# 29 million rows of a sample index.
HELD_BYTES = 2**30
# Bytes of targets that are checked at once.
_BLOCK_BYTES = 2**26
# Most bytes of a header.
_HEADER_BYTES = 2**12

_ADVICE = "Copy it again, or make the shards again."


class SplitTables:
    """The tables of a dataset's splits, each read and checked when it is first used.

    `file` gives the path of a file. All methods raise ``DataError`` if a table is missing, damaged
    or has a value that its field can't have.
    """

    def __init__(self, manifest: Manifest, file: Callable[[str], Path]) -> None:
        self._manifest, self._file = manifest, file
        self._tables: dict[str, NDArray[Any]] = {}

    def samples(self, split: str) -> NDArray[np.void]:
        """SAMPLE_DTYPE (samples,), read-only."""
        name, facts = samples_name(split), self._manifest.splits[split]

        def check(rows: NDArray[Any], path: Path) -> None:
            check_samples(rows, facts, self._manifest, path)

        return self._table(name, SAMPLE_DTYPE, (facts.samples,), check)

    def masks(self, split: str) -> NDArray[np.void]:
        """MASK_DTYPE (samples,), read-only."""
        name, facts = masks_name(split), self._manifest.splits[split]

        def check(rows: NDArray[Any], path: Path) -> None:
            check_masks(rows, facts, path)

        return self._table(name, MASK_DTYPE, (facts.samples,), check)

    def targets(self, split: str) -> NDArray[np.float32]:
        """float32 (samples, targets), read-only."""
        name, facts = targets_name(split), self._manifest.splits[split]
        columns = len(self._manifest.targets or self._manifest.classes)
        only_flags = self._manifest.task == "multi-label"

        def check(rows: NDArray[Any], path: Path) -> None:
            check_targets(rows, facts, path, only_flags=only_flags)

        return self._table(name, np.dtype(np.float32), (facts.samples, columns), check)

    def _table(
        self,
        name: str,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        check: Callable[[NDArray[Any], Path], None],
    ) -> NDArray[Any]:
        if name not in self._tables:
            path = self._file(name)
            table = read_table(path, dtype, shape, self._manifest.files[name])
            check(table, path)
            self._tables[name] = table
        return self._tables[name]


def read_table(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], sha256: str
) -> NDArray[Any]:
    """The table in a ``.npy`` file, read-only; raises ``DataError`` if its SHA-256, its dtype or
    its shape is another."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DataError(f"{path} is not a file. {_ADVICE}")
            if status.st_size > HELD_BYTES:
                return _map(path, file, dtype, shape, sha256)
            data = file.read()
    except OSError as error:
        raise DataError(f"{path} can't be read ({error.strerror}): {_ADVICE.lower()}") from error
    _require_hash(path, hashlib.sha256(data).hexdigest(), sha256)
    start = _start(path, memoryview(data), dtype, shape)
    return np.frombuffer(data, dtype, offset=start).reshape(shape)


def _map(
    path: Path, file: io.BufferedReader, dtype: np.dtype[Any], shape: tuple[int, ...], sha256: str
) -> NDArray[Any]:
    _require_hash(path, hashlib.file_digest(file, "sha256").hexdigest(), sha256)
    data = np.memmap(path, np.uint8, "r")
    start = _start(path, data.data, dtype, shape)
    return np.asarray(data)[start:].view(dtype).reshape(shape)


def _require_hash(path: Path, actual: str, stated: str) -> None:
    if actual != stated:
        raise DataError(
            f"{path} is damaged or cut off: its sha256 differs from that in {MANIFEST_NAME}. "
            f"{_ADVICE}"
        )


def _start(path: Path, data: memoryview, dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    """The offset of the values in bytes; raises ``DataError`` unless they are of `dtype` and
    `shape`."""
    header = io.BytesIO(data[:_HEADER_BYTES])
    try:
        is_known = np.lib.format.read_magic(header) == (1, 0)
        stated = np.lib.format.read_array_header_1_0(header) if is_known else None
    except (ValueError, TypeError, SyntaxError, EOFError, tokenize.TokenError, RecursionError):
        stated = None
    size = header.tell() + math.prod(shape) * dtype.itemsize
    if stated != (shape, False, dtype) or len(data) != size:
        raise DataError(
            f"{path} does not fit the {shape[0]} samples that {MANIFEST_NAME} states: make the "
            f"shards again."
        )
    return header.tell()


def check_samples(rows: NDArray[Any], split: Split, manifest: Manifest, path: Path) -> None:
    """Raise ``DataError`` with the first row of the sample index, SAMPLE_DTYPE (samples,), that has
    an impossible value."""
    counts = [shard.samples for shard in split.shards]
    shards = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
    _require(path, "shard", rows["shard"], rows["shard"] == shards, "in the order of the shards")
    keys = rows["key"]
    rising = np.append(True, keys[1:] > keys[:-1])
    _require(path, "key", keys, rising, "greater than the key before")
    _check_extents(rows, np.repeat([shard.bytes for shard in split.shards], counts), path)
    _require(path, "size", rows["size"], rows["size"] > 0, "above 0")
    labels, classes = rows["label"], len(manifest.classes)
    if manifest.task == "classification":
        lowest = -1 if split.unlabeled else 0
        in_range = (labels >= lowest) & (labels < classes)
        _require(path, "label", labels, in_range, f"from {lowest} to {classes - 1}")
        counted = np.bincount(labels[labels >= 0], minlength=classes)
        if tuple(counted.tolist()) != split.class_counts:
            raise DataError(f"{path} has other class_counts than {MANIFEST_NAME}. {_ADVICE}")
    else:
        _require(path, "label", labels, labels == -1, f"-1, as in any {manifest.task}")
    for field, (low, _, high) in (("height", manifest.heights), ("width", manifest.widths)):
        sides = rows[field]
        _require(path, field, sides, (sides >= low) & (sides <= high), f"from {low} to {high} px")


def check_masks(rows: NDArray[Any], split: Split, path: Path) -> None:
    """Raise ``DataError`` with the first row of MASK_DTYPE (samples,) that has an impossible
    value."""
    counts = [shard.samples for shard in split.shards]
    _check_extents(rows, np.repeat([shard.bytes for shard in split.shards], counts), path)
    _require_labeled(path, int(np.count_nonzero(rows["size"])), split)


def check_targets(rows: NDArray[np.float32], split: Split, path: Path, *, only_flags: bool) -> None:
    """Raise ``DataError`` with the first row of float32 (samples, targets) that has an impossible
    value; with `only_flags` all but 0 and 1 are."""
    labeled = 0
    for first, block in _blocks(rows):
        missing = np.isnan(block).all(axis=1, keepdims=True)
        possible = (block == 0) | (block == 1) if only_flags else np.isfinite(block)
        wrong = np.argwhere(~(possible | missing))
        if len(wrong):
            row, column = wrong[0].tolist()
            expected = "0 or 1" if only_flags else "finite"
            _refuse(path, f"target {column}", first + row, block[row, column], expected)
        labeled += len(block) - int(np.count_nonzero(missing))
    _require_labeled(path, labeled, split)


def _check_extents(rows: NDArray[Any], tar_bytes: NDArray[Any], path: Path) -> None:
    """Offset and size must be within the tar."""
    limit = tar_bytes.astype(np.uint64)
    within = f"within the tar's bytes in {MANIFEST_NAME}"
    offsets, sizes = rows["offset"], rows["size"]
    _require(path, "offset", offsets, offsets <= limit, within)
    _require(path, "size", sizes, sizes <= limit - offsets, within)


def _require_labeled(path: Path, labeled: int, split: Split) -> None:
    if labeled != split.labeled:
        raise DataError(
            f"{path} has {labeled} labeled samples, {MANIFEST_NAME} says {split.labeled}. {_ADVICE}"
        )


def _require(
    path: Path, field: str, values: NDArray[Any], valid: NDArray[np.bool_], expected: str
) -> None:
    if not valid.all():
        row = int(np.argmin(valid))
        _refuse(path, field, row, values[row], expected)


def _refuse(path: Path, field: str, row: int, value: Any, expected: str) -> None:
    raise DataError(
        f"{path} has the {field} {value} in row {row}, which must be {expected}. {_ADVICE}"
    )


def _blocks(rows: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    count = max(1, _BLOCK_BYTES // max(1, rows.itemsize * rows.shape[1]))
    for first in range(0, len(rows), count):
        yield first, rows[first : first + count]
