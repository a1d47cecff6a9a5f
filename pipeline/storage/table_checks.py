"""Check the values of a split's tables against the manifest.

The rows are checked in blocks that fit into a processor's cache: a million take 30 ms.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.storage.manifest import MANIFEST_NAME, Manifest, Split

_BLOCK_BYTES = 2**19
_TARGETS_BLOCK_BYTES = 2**22

ADVICE = "Copy it again, or make the shards again."


def check_samples(rows: NDArray[Any], split: Split, manifest: Manifest, path: Path) -> None:
    """Raise ``DataError`` with the first row of the sample index, SAMPLE_DTYPE (samples,), that has
    an impossible value."""
    tars = np.array([shard.bytes for shard in split.shards], np.uint64)
    shards = np.repeat(
        np.arange(len(tars), dtype=np.uint32), [shard.samples for shard in split.shards]
    )
    classes, key = len(manifest.classes), -1
    counted = np.zeros(classes, np.int64)
    lowest = -1 if split.unlabeled else 0
    highest = classes - 1
    if manifest.task != "classification":
        lowest = highest = -1
    for first, block in _blocks(rows, _BLOCK_BYTES):
        part = _Part(path, first, block)
        part.require("shard", block["shard"] == shards[first:][: len(block)], "that of the order")
        keys = np.append(key, block["key"].astype(np.int64))
        part.require("key", keys[1:] > keys[:-1], "greater than the key before")
        key = keys[-1]
        part.require_range("size", 1, 2**32)
        part.require_extents(tars[block["shard"]])
        part.require_range("label", lowest, highest)
        part.require_range("height", manifest.heights[0], manifest.heights[2])
        part.require_range("width", manifest.widths[0], manifest.widths[2])
        if manifest.task == "classification":
            counted += np.bincount(block["label"] + 1, minlength=classes + 1)[1:]
    if manifest.task == "classification" and tuple(counted.tolist()) != split.class_counts:
        raise DataError(f"{path} has other class_counts than {MANIFEST_NAME}. {ADVICE}")


def check_masks(rows: NDArray[Any], split: Split, path: Path) -> None:
    """Raise ``DataError`` with the first row of MASK_DTYPE (samples,) that has an impossible
    value."""
    tars = np.array([shard.bytes for shard in split.shards], np.uint64)
    limits = np.repeat(tars, [shard.samples for shard in split.shards])
    for first, block in _blocks(rows, _BLOCK_BYTES):
        _Part(path, first, block).require_extents(limits[first:][: len(block)])
    _require_labeled(path, int(np.count_nonzero(rows["size"])), split)


class _Part:
    """Some rows of a table, the first of which is row `first`."""

    def __init__(self, path: Path, first: int, rows: NDArray[Any]) -> None:
        self._path, self._first, self._rows = path, first, rows

    def require(self, field: str, valid: NDArray[np.bool_], expected: str) -> None:
        if not valid.all():
            row = int(np.argmin(valid))
            _refuse(self._path, field, self._first + row, self._rows[field][row], expected)

    def require_range(self, field: str, low: int, high: int) -> None:
        values = self._rows[field].copy()
        if values.min() < low or values.max() > high:
            self.require(field, (values >= low) & (values <= high), f"from {low} to {high}")

    def require_extents(self, limits: NDArray[np.uint64]) -> None:
        """Offset and size must be within the tar, whose size in bytes is the limit of each row."""
        expected = f"within the tar's bytes in {MANIFEST_NAME}"
        offsets, sizes = self._rows["offset"].copy(), self._rows["size"]
        self.require("offset", offsets <= limits, expected)
        self.require("size", sizes <= limits - offsets, expected)


def check_targets(rows: NDArray[np.float32], split: Split, path: Path, *, only_flags: bool) -> None:
    """Raise ``DataError`` with the first row of float32 (samples, targets) that has an impossible
    value; with `only_flags` all but 0 and 1 are."""
    labeled = 0
    for first, block in _blocks(rows, _TARGETS_BLOCK_BYTES):
        missing = np.isnan(block).all(axis=1, keepdims=True)
        possible = (block == 0) | (block == 1) if only_flags else np.isfinite(block)
        wrong = np.argwhere(~(possible | missing))
        if len(wrong):
            row, column = wrong[0].tolist()
            expected = "0 or 1" if only_flags else "finite"
            _refuse(path, f"target {column}", first + row, block[row, column], expected)
        labeled += len(block) - int(np.count_nonzero(missing))
    _require_labeled(path, labeled, split)


def _require_labeled(path: Path, labeled: int, split: Split) -> None:
    if labeled != split.labeled:
        raise DataError(
            f"{path} has {labeled} labeled samples, {MANIFEST_NAME} says {split.labeled}. {ADVICE}"
        )


def _refuse(path: Path, field: str, row: int, value: Any, expected: str) -> None:
    raise DataError(
        f"{path} has the {field} {value} in row {row}, which must be {expected}. {ADVICE}"
    )


def _blocks(rows: NDArray[Any], block_bytes: int) -> Iterator[tuple[int, NDArray[Any]]]:
    row_bytes = rows.nbytes // len(rows)
    count = max(1, block_bytes // max(1, row_bytes))
    for first in range(0, len(rows), count):
        yield first, rows[first : first + count]
