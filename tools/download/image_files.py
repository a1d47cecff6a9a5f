"""Image files, in a folder or in a zip, as worker processes read them."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from tools.download.archive_streams import inflated
from tools.download.archives import (
    LOCAL_HEADER_BYTES,
    STORED,
    DamagedMemberError,
    data_offset,
    unpack,
)
from tools.download.storage import Storage, is_unreadable
from tools.images.formats import identify
from tools.images.non_images import describe_non_image

# The location of a file's bytes. `archive`: index in `Entries.archives` of the zip that holds them,
# -1 for a plain file; `offset`: of the member's header in the zip; `version`: of the zip or the
# plain file, see ``Storage.version``; sizes in bytes.
ENTRY_DTYPE = np.dtype(
    [
        ("archive", "<i4"),
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
    """`rows`: ENTRY_DTYPE (n,); `archives`: paths of zips."""

    rows: NDArray[np.void]
    archives: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, numbers: NDArray[np.int64]) -> "Entries":
        """The entries of these numbers, in this order."""
        return replace(self, rows=self.rows[numbers])


@dataclass(frozen=True)
class ImageFiles:
    """Image files of `storage`, by relative path."""

    storage: Storage
    paths: Sequence[str]
    entries: Entries

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def mean_bytes(self) -> int:
        """The mean size of a file."""
        return int(self.entries.rows["size_bytes"].mean()) if len(self) else 0

    def take(self, numbers: NDArray[np.int64]) -> "ImageFiles | LoadedFiles":
        """The files of these numbers, in this order; with their contents if only this process can
        read them."""
        paths = tuple(self.paths[n] for n in numbers.tolist())
        files = ImageFiles(self.storage, paths, self.entries.take(numbers))
        return LoadedFiles(files.load(sys.maxsize)) if self.storage.in_process else files

    def load(self, max_bytes: int) -> Iterator[tuple[int, bytes | str]]:
        """Yield the size in bytes of each file, and its contents or the reason to reject it.

        Raises ``DataError`` if a file can't be read or has changed since it was indexed.
        """
        for path, row in zip(self.paths, self.entries.rows, strict=True):
            size_bytes = int(row["size_bytes"])
            if size_bytes > max_bytes:
                yield size_bytes, too_large(size_bytes)
                continue
            try:
                yield size_bytes, read_file(self.storage, path, row, self.entries.archives)
            except DamagedMemberError as error:
                yield size_bytes, str(error)


class LoadedFiles:
    """The contents of files that only this process can read."""

    def __init__(self, files: Iterable[tuple[int, bytes | str]]) -> None:
        self._files = tuple(files)

    def __len__(self) -> int:
        return len(self._files)

    @property
    def mean_bytes(self) -> int:
        """The mean size of a file."""
        return sum(size_bytes for size_bytes, _ in self._files) // max(1, len(self))

    def take(self, numbers: NDArray[np.int64]) -> "LoadedFiles":
        """The files of these numbers, in this order."""
        return LoadedFiles(self._files[n] for n in numbers.tolist())

    def load(self, max_bytes: int) -> Iterator[tuple[int, bytes | str]]:
        """Yield the size in bytes of each file, and its contents or the reason to reject it."""
        for size_bytes, contents in self._files:
            fits = size_bytes <= max_bytes
            yield size_bytes, contents if fits else too_large(size_bytes)


def too_large(size_bytes: int) -> str:
    """The reason to reject a file for its size."""
    return f"the file has {size_bytes:,} bytes, more than --max-bytes allows"


def read_file(storage: Storage, path: str, row: np.void, archives: Sequence[str]) -> bytes:
    """The contents of an image's entry. Raises ``DataError`` if it has changed or its disk or
    network fails, ``DamagedMemberError`` if it alone can't be read."""
    archive = int(row["archive"])
    name = path if archive < 0 else archives[archive]
    try:
        if archive >= 0:
            start = _member_start(storage, name, int(row["offset"]))
            stored = storage.read(name, start, start + int(row["stored_bytes"]))
            method, size_bytes, crc32 = (int(row[n]) for n in ("method", "size_bytes", "crc32"))
            return unpack(stored, method, size_bytes, crc32, _describe_non_image)
        if storage.local is None:
            data = storage.read(path)
            version = int(row["version"])
        else:
            data, version = _read_local(f"{storage.local}/{path}")
    except OSError as error:
        if archive < 0 and is_unreadable(error):
            raise DamagedMemberError(f"it can't be read: {error.strerror}") from error
        raise DataError(
            f"{storage.where(name)} can't be read: {error.strerror or error}. Make it readable "
            f"and run the same command again: it keeps the finished shards."
        ) from error
    is_same = version == row["version"] or storage.trust_size
    if len(data) != row["size_bytes"] or not is_same:
        raise DataError(
            f"{storage.where(path)} changed while the download was read. Run the command again "
            f"when no other program writes to the download, or with --trust-size if its disk "
            f"changes the times of files by itself."
        )
    return data


def _describe_non_image(start: bytes) -> str | None:
    """What a file is that begins with `start`, if it is no image."""
    return None if identify(start)[0] else describe_non_image(start)


def open_file(storage: Storage, path: str, row: np.void, archives: Sequence[str]) -> IO[bytes]:
    """One entry as a stream from its beginning; raises ``DataError`` if it can't be read."""
    archive = int(row["archive"])
    try:
        if archive < 0:
            return storage.open(path)
        start = _member_start(storage, archives[archive], int(row["offset"]))
        file = storage.open(archives[archive])
    except (OSError, DamagedMemberError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{storage.where(path)} can't be read: {reason}.") from error
    return inflated(file, start, int(row["stored_bytes"]), stored=row["method"] == STORED)


def _member_start(storage: Storage, name: str, offset: int) -> int:
    return data_offset(storage.read(name, offset, offset + LOCAL_HEADER_BYTES), offset)


def _read_local(path: str) -> tuple[bytes, int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        status = os.fstat(descriptor)
        # A byte more than it has: a read that ends one short of that reached its end.
        chunks, remaining = [], status.st_size + 1
        while remaining and (chunk := os.read(descriptor, remaining)):
            chunks.append(chunk)
            remaining -= len(chunk)
            if remaining == 1:
                break
        return b"".join(chunks), status.st_mtime_ns
    finally:
        os.close(descriptor)
