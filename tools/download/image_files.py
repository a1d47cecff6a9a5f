"""Image files as a worker reads them: alone in a folder, or stretches of a zip."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from tools.download.archives import (
    LOCAL_HEADER_BYTES,
    STORED,
    DamagedMemberError,
    data_offset,
    inflated,
    unpack,
)
from tools.download.storage import Storage

# Where a file's bytes lie. `holder`: the place in `Entries.holders` of the zip that holds them, -1
# if the file stands for itself; `offset`: of the member's header there; `version` as in
# ``Storage.version``, of the zip where there is one; sizes in bytes.
ENTRY_DTYPE = np.dtype(
    [
        ("holder", "<i4"),
        ("method", "<i4"),
        ("offset", "<i8"),
        ("stored_bytes", "<i8"),
        ("size_bytes", "<i8"),
        ("version", "<i8"),
        ("crc32", "<u4"),
    ]
)


@dataclass(frozen=True)
class Entries:
    """`rows`: ENTRY_DTYPE (n,); `holders`: paths of zips."""

    rows: NDArray[np.void]
    holders: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, numbers: NDArray[np.int64]) -> "Entries":
        return replace(self, rows=self.rows[numbers])


@dataclass(frozen=True)
class ImageFiles:
    """Image files of `storage` by relative path."""

    storage: Storage
    paths: Sequence[str]
    entries: Entries

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def mean_bytes(self) -> int:
        return int(self.entries.rows["size_bytes"].mean()) if len(self) else 0

    def take(self, numbers: NDArray[np.int64]) -> "ImageFiles | LoadedFiles":
        paths = tuple(self.paths[n] for n in numbers.tolist())
        chosen = ImageFiles(self.storage, paths, self.entries.take(numbers))
        return LoadedFiles(chosen.load(sys.maxsize)) if self.storage.in_process else chosen

    def load(self, max_bytes: int) -> Iterator[tuple[int, bytes | str]]:
        """For each file its size in bytes, and its contents or the reason why they can't be used.

        Raises ``DataError`` where a file can't be read, or changed since the index was made.
        """
        for path, row in zip(self.paths, self.entries.rows, strict=True):
            size_bytes = int(row["size_bytes"])
            if size_bytes > max_bytes:
                yield size_bytes, too_large(size_bytes)
                continue
            try:
                yield size_bytes, read_file(self.storage, path, row, self.entries.holders)
            except DamagedMemberError as error:
                yield size_bytes, str(error)


class LoadedFiles:
    """Files that only this process can read, with their contents."""

    def __init__(self, files: Iterable[tuple[int, bytes | str]]) -> None:
        self._files = tuple(files)

    def __len__(self) -> int:
        return len(self._files)

    @property
    def mean_bytes(self) -> int:
        return sum(size_bytes for size_bytes, _ in self._files) // max(1, len(self))

    def take(self, numbers: NDArray[np.int64]) -> "LoadedFiles":
        return LoadedFiles(self._files[n] for n in numbers.tolist())

    def load(self, max_bytes: int) -> Iterator[tuple[int, bytes | str]]:
        for size_bytes, contents in self._files:
            fits = size_bytes <= max_bytes
            yield size_bytes, contents if fits else too_large(size_bytes)


def too_large(size_bytes: int) -> str:
    return f"{size_bytes:,} bytes are more than --max-bytes allows"


def read_file(storage: Storage, path: str, row: np.void, holders: Sequence[str]) -> bytes:
    """The contents of one entry. Raises ``DataError`` where it can't be read or has changed,
    ``DamagedMemberError`` where a zip is damaged."""
    number = int(row["holder"])
    name = path if number < 0 else holders[number]
    try:
        if number >= 0:
            start = _member_start(storage, name, int(row["offset"]))
            stored = storage.read(name, start, start + int(row["stored_bytes"]))
            return unpack(stored, int(row["method"]), int(row["size_bytes"]), int(row["crc32"]))
        if storage.local is None:
            data = storage.read(path)
            version = int(row["version"])
        else:
            data, version = _read_local(f"{storage.local}/{path}")
    except OSError as error:
        raise DataError(
            f"{storage.where(name)} can't be read: {error.strerror or error}. Mend that and start "
            f"again: what is written is kept."
        ) from error
    if len(data) != row["size_bytes"] or version != row["version"]:
        raise DataError(
            f"{storage.where(path)} changed while the download was read: start again when nothing "
            f"writes to it."
        )
    return data


def open_file(storage: Storage, path: str, row: np.void, holders: Sequence[str]) -> IO[bytes]:
    """One entry as a stream from its beginning; raises as ``read_file`` does."""
    number = int(row["holder"])
    try:
        if number < 0:
            return storage.open(path)
        start = _member_start(storage, holders[number], int(row["offset"]))
        file = storage.open(holders[number])
    except OSError as error:
        raise DataError(f"{storage.where(path)} can't be read: {error.strerror}.") from error
    except DamagedMemberError as error:
        raise DataError(f"{storage.where(path)} can't be read: {error}.") from error
    return inflated(file, start, int(row["stored_bytes"]), stored=row["method"] == STORED)


def _member_start(storage: Storage, name: str, offset: int) -> int:
    return data_offset(storage.read(name, offset, offset + LOCAL_HEADER_BYTES), offset)


def _read_local(path: str) -> tuple[bytes, int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        status = os.fstat(descriptor)
        pieces, left = [], status.st_size + 1
        while left and (piece := os.read(descriptor, left)):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces), status.st_mtime_ns
    finally:
        os.close(descriptor)
