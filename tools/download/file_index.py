"""One index of all files of a download, also of those in zips; what names an image is looked up in
it, so that no name of a table ever reaches the file system."""

import hashlib
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, MisuseError
from tools.download.image_files import Entries, ImageFiles, open_file
from tools.download.listing import Listings
from tools.download.name_index import NameIndex, Names, PathTable, suffix_of
from tools.download.storage import Refusal, Storage
from tools.text import plural


@dataclass(frozen=True, kw_only=True)
class FileIndex:
    """`images` are paths relative to `storage`, sorted, `entries` where their bytes lie; `tables`
    are CSV, TSV, text and JSON files, likewise, and `empty` those of 0 bytes; `refused` are files
    that are not looked at, and why. Sources are looked for in the folder `within`, "" for all."""

    storage: Storage
    images: PathTable
    entries: Entries
    tables: tuple[str, ...]
    table_entries: Entries
    empty: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    within: str = ""

    @cached_property
    def _names(self) -> NameIndex:
        return NameIndex(self.images)

    @property
    def identity(self) -> str:
        """A hash of what the download was when it was indexed: paths, sizes, versions."""
        found = hashlib.sha256()
        for path in (*self.images, *self.tables):
            found.update(path.encode(errors="surrogateescape") + b"\0")
        found.update(self.entries.rows.tobytes() + self.table_entries.rows.tobytes())
        return found.hexdigest()

    @cached_property
    def numbers(self) -> range:
        """The images that may be sources."""
        if not self.within:
            return range(len(self.images))
        # "0" follows "/".
        ends = (bisect_left(self.images, self.within + sign) for sign in "/0")
        return range(*ends)

    def find(self, text: str) -> list[int]:
        """Numbers of the possible sources that `text` may name; see ``NameIndex.find``."""
        return self._names.find(text, self.numbers)

    def find_any(self, text: str) -> list[int]:
        """Numbers of the images that `text` may name, wherever they lie."""
        return self._names.find(text, range(len(self.images)))

    def at(self, path: str) -> int | None:
        """The image of exactly this path."""
        number = bisect_left(self.images, path)
        return number if number < len(self.images) and self.images[number] == path else None

    def _inside(self, path: str) -> str:
        """A path as it may be typed, relative to the download."""
        local = self.storage.local
        if (
            local is not None
            and Path(path).is_absolute()
            and Path(path).is_relative_to(local.resolve())
        ):
            return Path(path).relative_to(local.resolve()).as_posix()
        return path

    def table_named(self, path: str) -> str | None:
        """The table of this path, or the only one whose path ends so."""
        wanted = plain_path(self._inside(path))
        if wanted in self.tables:
            return wanted
        ending = [table for table in self.tables if table.endswith("/" + wanted)]
        return ending[0] if len(ending) == 1 else None

    def open(self, table: str) -> IO[bytes]:
        """One of `tables` as a stream; raises ``DataError`` where it can't be read."""
        row = self.table_entries.rows[self.tables.index(table)]
        return open_file(self.storage, table, row, self.table_entries.holders)

    def size_bytes(self, table: str) -> int:
        return int(self.table_entries.rows["size_bytes"][self.tables.index(table)])

    def where(self, path: str) -> str:
        """The whole path, for people."""
        return self.storage.where(path)

    def take(self, numbers: NDArray[np.int64]) -> ImageFiles:
        """The images of these numbers."""
        return ImageFiles(self.storage, Names(self.images, numbers), self.entries.take(numbers))


def plain_path(path: str) -> str:
    """As paths stand in the index: without "./" before and "/" after it; "" for the root."""
    plain = PurePosixPath(path).as_posix().strip("/")
    return "" if plain == "." else plain


def folder_of(path: str) -> str:
    """The folder of a relative path; "" for the root."""
    return path.rpartition("/")[0]


def under(path: str, folder: str) -> bool:
    """Whether `path` lies in `folder` or deeper; "" is the root."""
    return not folder or path.startswith(folder + "/")


def ancestors(path: str) -> list[str]:
    """The folders above a relative path, the nearest first, the root "" last."""
    return [str(folder) if folder.name else "" for folder in PurePosixPath(path).parents]


def index_files(
    src: str, *, images: str | None = None, follow_links: bool = False, skip: Collection[Path] = ()
) -> FileIndex:
    """Index the folder, zip or URL `src`; hidden files, ``__MACOSX``, shard directories and the
    folders `skip` are left out.

    `images`: folder to which the images are restricted. Raises ``DataError`` where nothing is found
    or something can't be read, ``MisuseError`` where `src` or `images` don't exist.
    """
    try:
        storage, found = _found(src, follow_links, skip)
        listings = Listings()
        for entry in found:
            listings.add(storage, entry)
    except OSError as error:
        where = error.filename or src
        raise DataError(f"{where} can't be read: {error.strerror or error}.") from error
    index = _index(storage, listings, "" if images is None else plain_path(images))
    if index.within and not index.numbers:
        raise MisuseError(f"--images {images}: no image lies in such a folder of {src}.")
    if not index.images and len(index.tables) == len(index.empty):
        raise DataError(_nothing(src, index.refused, listings.others))
    return index


def _index(storage: Storage, listings: Listings, within: str) -> FileIndex:
    images, entries = listings.images.sorted(listings.holders)
    tables, table_entries = listings.tables.sorted(listings.holders)
    empty = np.flatnonzero(table_entries.rows["size_bytes"] == 0)
    return FileIndex(
        storage=storage,
        images=images,
        entries=entries,
        tables=tuple(tables),
        table_entries=table_entries,
        empty=tuple(tables[n] for n in empty.tolist()),
        refused=tuple(listings.refused),
        within=within,
    )


def _found(
    src: str, follow_links: bool, skip: Collection[Path]
) -> tuple[Storage, Iterable[tuple[str, int, int] | Refusal]]:
    storage = Storage(src)
    if suffix_of(src) == ".zip" and not (storage.local and storage.local.is_dir()):
        protocol, between, path = src.rpartition("://")
        above, _, name = path.rpartition("/")
        root = "/" if path.startswith("/") else "" if protocol else "."
        storage = Storage(protocol + between + (above or root))
        try:
            return storage, [(name, *storage.version(name))]
        except FileNotFoundError as error:
            raise MisuseError(f"--src {src} does not exist.") from error
    if storage.local is not None and not storage.local.is_dir():
        raise MisuseError(
            f"--src {src} is not a folder: give the folder of the download, or its zip."
        )
    return storage, storage.walk(follow_links=follow_links, skip=skip)


def _nothing(src: str, refused: Sequence[Refusal], others: int) -> str:
    listed = "".join(f"\n  {refusal.path}: {refusal.reason}" for refusal in refused[:5])
    return (
        f"{src} holds no images and no CSV ({plural(others, 'other file')}): give the folder of "
        f"the download as --src." + (f" Not looked at:{listed}" if listed else "")
    )
