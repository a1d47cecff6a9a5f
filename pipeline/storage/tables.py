"""Read the tables of a split, ``.npy`` files, and check them with their SHA-256 and their bounds.

A table up to HELD_BYTES is held in memory: a memory map ends the process (SIGBUS) if its file is
cut off during the run. Only larger ones are mapped.
"""

import hashlib
import io
import math
import os
import tokenize
from collections.abc import Callable
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
    masks_name,
    samples_name,
    targets_name,
)
from pipeline.storage.plain_files import NotPlainFileError, open_plain
from pipeline.storage.table_checks import ADVICE, check_masks, check_samples, check_targets

# 29 million rows of a sample index.
HELD_BYTES = 2**30
# Most bytes of a header.
_HEADER_BYTES = 2**12


class SplitTables:
    """The tables of a dataset's splits, each read and checked when it is first used.

    `file` gives the path of a file that has at most so many bytes. All methods raise ``DataError``
    if a table is missing, damaged or has a value that its field can't have.
    """

    def __init__(self, manifest: Manifest, file: Callable[[str, int], Path]) -> None:
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
            path = self._file(name, _HEADER_BYTES + math.prod(shape) * dtype.itemsize)
            sha256 = self._manifest.files[self._manifest.table_name(name)]
            table = read_table(path, dtype, shape, sha256)
            check(table, path)
            self._tables[name] = table
        return self._tables[name]


def read_table(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], sha256: str
) -> NDArray[Any]:
    """The table in a ``.npy`` file, read-only; raises ``DataError`` if its SHA-256, its dtype or
    its shape is another."""
    try:
        with open_plain(path) as file:
            if os.fstat(file.fileno()).st_size > HELD_BYTES:
                return _map(path, file, dtype, shape, sha256)
            data = file.read()
    except NotPlainFileError as error:
        raise DataError(f"{path} is not a file. {ADVICE}") from error
    except OSError as error:
        raise DataError(f"{path} can't be read ({error.strerror}): {ADVICE.lower()}") from error
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
            f"{ADVICE}"
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
