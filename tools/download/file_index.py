"""An index of all files of a download, including those in zips.

Tables name images by text, which is looked up in the index and never reaches the file system.
"""

import hashlib
import zlib
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, MisuseError
from tools.download.archives import DamagedMemberError
from tools.download.copies import Copies, find_copies
from tools.download.image_files import ENTRY_DTYPE, Entries, ImageFiles, open_file, read_file
from tools.download.listing import ARCHIVE_SUFFIXES, Listing
from tools.download.name_index import NameIndex, Names, PathTable, suffix_of
from tools.download.storage import LeftOut, SkippedFile, Storage

# Tables up to this size are compared by contents.
_HASHED_TABLE_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class FileIndex:
    """The files of a download; an image's number is its index in `images`.

    Args:
        images: paths relative to `storage`, sorted; `entries` locate their bytes.
        tables: paths of CSV, TSV, text and JSON files, sorted; `table_entries` locate their bytes.
        others: paths of all other files, sorted; `other_entries` locate their bytes.
        empty: tables of 0 bytes.
        skipped: files that are not read, and why.
        left_out: the number of files and folders that a system or a viewer made, and the first.
        unreadable: the number of files by the suffix of an image format that is not read, see
            ``describe_unreadable``; they are also in `others`.
        notes: sentences about what was guessed.
        within: folder that the sources are restricted to; "" for all folders.
    """

    storage: Storage
    images: PathTable
    entries: Entries
    tables: tuple[str, ...]
    table_entries: Entries
    others: PathTable
    other_entries: Entries
    empty: tuple[str, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    left_out: tuple[int, str] = (0, "")
    unreadable: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    within: str = ""

    @cached_property
    def _names(self) -> NameIndex:
        return NameIndex(self.images)

    @property
    def identity(self) -> str:
        """A SHA-256 over the paths and sizes of all images and tables, the checksums in zips and
        the contents of small tables. What is read from images and large tables is compared by
        ``ShardRun``; of a URL, tables count with their versions."""
        digest = hashlib.sha256()
        for path in (*self.images, *self.tables):
            digest.update(path.encode(errors="surrogateescape") + b"\0")
        images, tables = self.entries.rows.copy(), self.table_entries.rows.copy()
        images["version"] = 0
        for path, row in zip(self.tables, tables, strict=True):
            if row["archive"] >= 0:
                row["version"] = 0
            elif self.storage.local is not None:
                row["version"] = 0
                if row["size_bytes"] <= _HASHED_TABLE_BYTES:
                    with suppress(DataError, OSError), self.open(path) as file:
                        row["crc32"] = zlib.crc32(file.read())
        digest.update(images.tobytes() + tables.tobytes())
        return digest.hexdigest()

    @property
    def versions(self) -> str:
        """A SHA-256 over the versions of all images and large tables."""
        tables = self.table_entries.rows
        large = tables["version"][tables["size_bytes"] > _HASHED_TABLE_BYTES]
        versions = self.entries.rows["version"].tobytes() + large.tobytes()
        return hashlib.sha256(versions).hexdigest()

    @cached_property
    def numbers(self) -> range:
        """Numbers of the images that may be sources: those in the folder `within`."""
        if not self.within:
            return range(len(self.images))
        # "0" follows "/" in ASCII.
        return range(*(bisect_left(self.images, self.within + end) for end in "/0"))

    @cached_property
    def copies(self) -> Copies:
        """Which images are copies of others."""
        sizes = self.entries.rows["size_bytes"].astype(np.int64)
        return find_copies(self.images, self._names.hashes(), sizes, self.numbers, self._read_image)

    @cached_property
    def _original(self) -> memoryview:
        # Memory views give Python's integers at a tenth of an array's cost.
        return self.copies.original.data

    def sources(self) -> Iterator[int]:
        """Numbers of the images that may be sources, without copies."""
        return (number for number in self.numbers if self._original[number] == number)

    def find(self, text: str) -> list[int]:
        """Numbers of the possible sources that `text` may name; see ``NameIndex.find``. A copy
        counts as its original."""
        return self._without_copies(self._names.find(text, self.numbers))

    def find_anywhere(self, text: str) -> list[int]:
        """Numbers of the images in any folder that `text` may name."""
        return self._without_copies(self._names.find(text, range(len(self.images))))

    def _without_copies(self, numbers: list[int]) -> list[int]:
        return list(dict.fromkeys(self._original[number] for number in numbers))

    def _read_image(self, number: int) -> bytes | None:
        row = self.entries.rows[number]
        try:
            return read_file(self.storage, self.images[number], row, self.entries.archives)
        except (DataError, DamagedMemberError):
            return None

    def number_of(self, path: str) -> int | None:
        """The number of the image with exactly this path."""
        number = bisect_left(self.images, path)
        return number if number < len(self.images) and self.images[number] == path else None

    def table_named(self, path: str) -> str | None:
        """The table with this path, or the only table whose path ends in it."""
        root = self.storage.local.resolve() if self.storage.local is not None else None
        if root is not None and Path(path).is_absolute() and Path(path).is_relative_to(root):
            path = Path(path).relative_to(root).as_posix()
        path = plain_path(path)
        if path in self.tables:
            return path
        ending = [table for table in self.tables if table.endswith("/" + path)]
        return ending[0] if len(ending) == 1 else None

    def open(self, path: str) -> IO[bytes]:
        """One of `tables` or `others` as a stream; raises ``DataError`` if it can't be read."""
        row, entries = self._entry(path)
        return open_file(self.storage, path, row, entries.archives)

    def size_bytes(self, path: str) -> int:
        """The size of one of `tables` or `others`."""
        return int(self._entry(path)[0]["size_bytes"])

    def _entry(self, path: str) -> tuple[np.void, Entries]:
        for paths, entries in (
            (self.tables, self.table_entries),
            (self.others, self.other_entries),
        ):
            number = bisect_left(paths, path)
            if number < len(paths) and paths[number] == path:
                return entries.rows[number], entries
        raise KeyError(path)

    def take(self, numbers: NDArray[np.int64]) -> ImageFiles:
        """The images of these numbers."""
        return ImageFiles(self.storage, Names(self.images, numbers), self.entries.take(numbers))

    def take_or_empty(self, numbers: NDArray[np.int64]) -> ImageFiles:
        """The images of these numbers; -1 gives an entry of 0 bytes with the path ""."""
        rows = np.zeros(len(numbers), ENTRY_DTYPE)
        rows["archive"] = -1
        present = numbers >= 0
        rows[present] = self.entries.rows[numbers[present]]
        paths = Names(self.images, numbers)
        return ImageFiles(self.storage, paths, Entries(rows, self.entries.archives))


def plain_path(path: str) -> str:
    """A path as the index has it, without "./" before and "/" after it; "" for the root."""
    plain = PurePosixPath(path).as_posix().strip("/")
    return "" if plain == "." else plain


def folder_of(path: str) -> str:
    """The folder of a relative path; "" for the root."""
    return path.rpartition("/")[0]


def under(path: str, folder: str) -> bool:
    """Whether `path` is in `folder` or in a folder below it; "" is the root."""
    return not folder or path.startswith(folder + "/")


def ancestors(path: str) -> list[str]:
    """The folders above a relative path, the nearest first, the root "" last."""
    return [str(folder) if folder.name else "" for folder in PurePosixPath(path).parents]


def index_files(
    src: str,
    *,
    images: str | None = None,
    follow_links: bool = False,
    skip: Collection[Path] = (),
    zip_encoding: str | None = None,
    trust_size: bool = False,
) -> FileIndex:
    """Index the folder, archive or URL `src`.

    Ignores hidden files, ``__MACOSX``, shard directories and the folders `skip`. `images` is the
    folder that the sources are restricted to, `zip_encoding` the encoding of names in zips that are
    not UTF-8, `trust_size` ignores the times of files. Raises ``DataError`` if a file can't be
    read, ``MisuseError`` if `src` or `images` does not exist or the encoding of names is not clear.
    """
    listing = Listing()
    within = "" if images is None else plain_path(images)
    try:
        storage, files = _list_files(src, follow_links, skip)
        storage = replace(storage, trust_size=trust_size)
        for file in files:
            is_timed = trust_size and isinstance(file, tuple)
            listing.add(storage, (*file[:2], 0) if is_timed else file)  # type: ignore[index]
    except OSError as error:
        name = error.filename or src
        raise DataError(f"{name} can't be read: {error.strerror or error}.") from error
    index = _make_index(storage, listing, within, listing.finish(storage, within, zip_encoding))
    if index.within and not index.numbers:
        raise MisuseError(f"--images {images}: {src} has no such folder with images.")
    return index


def _make_index(
    storage: Storage, listing: Listing, within: str, notes: tuple[str, ...]
) -> FileIndex:
    images, entries = listing.images.sorted(listing.archives)
    tables, table_entries = listing.tables.sorted(listing.archives)
    others, other_entries = listing.others.sorted(listing.archives)
    empty = np.flatnonzero(table_entries.rows["size_bytes"] == 0)
    return FileIndex(
        storage=storage,
        images=images,
        entries=entries,
        tables=tuple(tables),
        table_entries=table_entries,
        others=others,
        other_entries=other_entries,
        empty=tuple(tables[n] for n in empty.tolist()),
        skipped=tuple(listing.skipped),
        left_out=(len(listing.left_out), next(iter(listing.left_out), "")),
        unreadable=dict(listing.unreadable),
        notes=notes,
        within=within,
    )


def _list_files(
    src: str, follow_links: bool, skip: Collection[Path]
) -> tuple[Storage, Iterable[tuple[str, int, int] | SkippedFile | LeftOut]]:
    """The storage of `src` and (path, size in bytes, version) of its files."""
    storage = Storage(src)
    if suffix_of(src) in ARCHIVE_SUFFIXES and not (storage.local and storage.local.is_dir()):
        protocol, separator, path = src.rpartition("://")
        above, _, name = path.rpartition("/")
        root = "/" if path.startswith("/") else "" if protocol else "."
        storage = Storage(protocol + separator + (above or root))
        file = None if storage.local is None else storage.local / name
        if file is not None and file.exists() and not file.is_file():
            raise MisuseError(f"--src {src} is a pipe or a device: give a folder or a file.")
        try:
            return storage, [(name, *storage.version(name))]
        except FileNotFoundError as error:
            raise MisuseError(f"--src {src} does not exist.") from error
    if storage.local is not None and not storage.local.is_dir():
        problem = "is not a folder" if storage.local.exists() else "does not exist"
        raise MisuseError(f"--src {src} {problem}. Pass the folder of the download, or its zip.")
    return storage, storage.walk(follow_links=follow_links, skip=skip)
