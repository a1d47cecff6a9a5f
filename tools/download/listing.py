"""The files of a download and of its zips, sorted into images, tables and others."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import BinaryIO

import numpy as np

from pipeline.errors import DataError
from tools.download.archives import DamagedMemberError, Member, members
from tools.download.budget import Budget
from tools.download.image_files import ENTRY_DTYPE, Entries, open_file
from tools.download.json_tables import JSON_SUFFIXES
from tools.download.name_index import IMAGE_SUFFIXES, Names, PathTable, name_of, suffix_of
from tools.download.seven_zip import repack
from tools.download.storage import LeftOut, SkippedFile, Storage, is_unreadable
from tools.download.strangers import describe_stranger
from tools.download.text_encoding import TextEncoding
from tools.download.unreadable_formats import unreadable_suffix
from tools.download.workbooks import OTHER_SPREADSHEETS, WORKBOOK_SUFFIXES
from tools.download.zip_names import (
    choose_encoding,
    decode_path,
    is_undecoded,
    plausible_encoding,
    undecoded_parts,
)

ARCHIVE_SUFFIXES = frozenset({".zip", ".7z"})
TABLE_SUFFIXES = (
    frozenset({".csv", ".tsv", ".txt", *OTHER_SPREADSHEETS}) | JSON_SUFFIXES | WORKBOOK_SUFFIXES
)
# Commands that unpack archives which can't be read in place.
_UNPACK_COMMANDS = {
    ".7z": "7z x {name}",
    ".rar": "unrar x {name}",
    ".tar": "tar xf {name}",
    ".tgz": "tar xf {name}",
    ".gz": "tar xf {name} (or gunzip {name})",
    ".bz2": "tar xf {name}",
    ".xz": "tar xf {name}",
    ".z01": "zip -s 0 {stem}.zip --out whole.zip",
    ".001": "cat {stem}.* > {stem}",
}
# A folder with this name has smaller copies of images, unless it has the only ones.
_THUMBNAILS = "thumbnails"
# Text of tables in which names are looked for: of a table, and of all.
_TABLE_BYTES, _ALL_TABLES_BYTES = 2**21, 2**23


class EntryList:
    """Paths of one kind of file and their entries, in the order of their discovery."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self._rows = bytearray()
        self._row = np.zeros(1, ENTRY_DTYPE)

    def add(self, path: str, row: tuple[int, ...]) -> None:
        """Add a path and the values of its entry, see ENTRY_DTYPE."""
        self.paths.append(path)
        self._row[0] = row
        self._rows += self._row.tobytes()

    def rename(self, name: Callable[[str], str]) -> None:
        """Give each file another path."""
        self.paths = [name(path) for path in self.paths]

    def items(self) -> Iterator[tuple[str, np.void]]:
        """The path and the entry of each file."""
        return zip(self.paths, np.frombuffer(self._rows, ENTRY_DTYPE), strict=True)

    def sorted(self, archives: Sequence[str]) -> tuple[PathTable, Entries]:
        """Paths and entries, sorted by path."""
        order = np.array(sorted(range(len(self.paths)), key=self.paths.__getitem__), np.int64)
        rows = np.frombuffer(self._rows, ENTRY_DTYPE)[order]
        return PathTable(Names(self.paths, order)), Entries(rows, tuple(archives))


class Listing:
    """The files of a download by kind; `others` are neither image nor table."""

    def __init__(self) -> None:
        self.images, self.tables, self.others = EntryList(), EntryList(), EntryList()
        self._budget = Budget()
        self.archives: list[str] = []
        self.skipped: list[SkippedFile] = []
        # Folders and files of systems, in the order of their discovery.
        self.left_out: dict[str, None] = {}
        self.unreadable: Counter[str] = Counter()
        self._thumbnails: list[tuple[str, tuple[int, ...]]] = []
        # Zips with names that are not decoded.
        self._undecoded: dict[str, None] = {}

    def add(self, storage: Storage, file: tuple[str, int, int] | SkippedFile | LeftOut) -> None:
        """Add (path, size in bytes, version), for an archive all its members. Raises ``OSError``
        where one can't be opened; damaged zips and members are skipped."""
        if isinstance(file, SkippedFile | LeftOut):
            self._add_unread(file)
            return
        path, size_bytes, version = file
        if suffix_of(path) not in ARCHIVE_SUFFIXES:
            self._add_file(path, (-1, 0, 0, size_bytes, size_bytes, version, 0))
            return
        try:
            stream = storage.open(path)
        except OSError as error:
            if not is_unreadable(error):
                raise
            self.skipped.append(SkippedFile(path, f"it can't be read: {error.strerror}"))
            return
        with stream:
            for member in _members(stream, path, self._budget):
                if not member.path.isascii() and is_undecoded(member.path[len(path) :]):
                    self._undecoded[path] = None
                if isinstance(member, SkippedFile | LeftOut):
                    self._add_unread(member)
                else:
                    self._add_file(member.path, self._member_row(member, version))

    def finish(self, storage: Storage, within: str, zip_encoding: str | None) -> tuple[str, ...]:
        """Decide about thumbnails and about names that are not decoded, once all files are added;
        returns sentences about what was guessed. Raises ``MisuseError``."""
        wanted = _THUMBNAILS in within.lower().split("/") or not self._are_copies()
        for path, row in self._thumbnails:
            if wanted:
                self._add_kind(path, row)
            else:
                end = path.lower().index(f"{_THUMBNAILS}/") + len(_THUMBNAILS)
                self.left_out[path[:end]] = None
        return tuple(
            note
            for zip_path in self._undecoded
            for note in self._decode(storage, zip_path, zip_encoding)
        )

    def _are_copies(self) -> bool:
        """Whether the thumbnails are few beside the other images, or have their names."""
        names = [PurePosixPath(path).stem for path, _ in self._thumbnails if _is_image(path)]
        if len(names) <= len(self.images.paths):
            return bool(self.images.paths)
        others = {PurePosixPath(path).stem for path in self.images.paths}
        return 2 * sum(name in others for name in names) > len(names)

    def _decode(self, storage: Storage, zip_path: str, stated: str | None) -> Iterator[str]:
        """Decode the names in a zip; yields a sentence if their encoding was guessed."""
        start = zip_path + "/"
        kinds = (self.images, self.tables, self.others)
        images, tables, others = (
            undecoded_parts([path[len(start) :] for path in kind.paths if path.startswith(start)])
            for kind in kinds
        )
        if names := [*images, *tables]:
            text = "" if stated else self._tables_text(storage)
            chosen = choose_encoding(zip_path, names, text, stated)
            encoding = chosen.encoding
            if chosen.note:
                yield chosen.note
        else:
            encoding = plausible_encoding(others)

        def decoded(path: str) -> str:
            return (
                start + decode_path(path[len(start) :], encoding)
                if path.startswith(start)
                else path
            )

        for kind in kinds:
            kind.rename(decoded)
        self.skipped = [SkippedFile(decoded(file.path), file.reason) for file in self.skipped]
        self.left_out = {decoded(path): None for path in self.left_out}

    def _tables_text(self, storage: Storage) -> str:
        """The first part of each table that is text."""
        texts, left = [], _ALL_TABLES_BYTES
        for path, row in self.tables.items():
            if left <= 0:
                break
            try:
                with open_file(storage, path, row, self.archives) as file:
                    start = file.read(min(left, _TABLE_BYTES))
                if not describe_stranger(path, start):
                    encoding = TextEncoding(path, start, whole=len(start) == row["size_bytes"])
                    texts.append(encoding.decode_start(start))
                    left -= len(start)
            except (DataError, OSError):
                continue
        return "\n".join(texts)

    def _add_unread(self, file: SkippedFile | LeftOut) -> None:
        if isinstance(file, SkippedFile):
            self.skipped.append(file)
        elif file.counted:
            self.left_out[file.path] = None

    def _add_file(self, path: str, row: tuple[int, ...]) -> None:
        self._budget.take_file()
        lower = path.lower()
        if _THUMBNAILS in lower and _THUMBNAILS in lower.split("/")[:-1]:
            self._thumbnails.append((path, row))
        else:
            self._add_kind(path, row)

    def _add_kind(self, path: str, row: tuple[int, ...]) -> None:
        suffix = suffix_of(path)
        if _is_image(path):
            self.images.add(path, row)
            return
        if suffix in TABLE_SUFFIXES:
            self.tables.add(path, row)
            return
        self.others.add(path, row)
        if (unreadable := unreadable_suffix(path, suffix)) is not None:
            self.unreadable[unreadable] += 1
            return
        if command := _UNPACK_COMMANDS.get(suffix):
            command = command.format(name=name_of(path), stem=PurePosixPath(path).stem)
            self.skipped.append(SkippedFile(path, f"can't be read in place, run: {command}"))

    def _member_row(self, member: Member, version: int) -> tuple[int, ...]:
        if not self.archives or self.archives[-1] != member.archive:
            self.archives.append(member.archive)
        return (
            len(self.archives) - 1,
            member.method,
            member.offset,
            member.stored_bytes,
            member.size_bytes,
            version,
            member.crc32,
        )


def _members(file: BinaryIO, path: str, budget: Budget) -> Iterator[Member | SkippedFile | LeftOut]:
    """The members of a zip or a 7z."""
    if suffix_of(path) == ".zip":
        yield from members(file, path, budget=budget)
        return
    try:
        repacked, archive = repack(file, path)
    except DamagedMemberError as error:
        yield SkippedFile(path, str(error))
    else:
        yield from members(repacked, path, archive=archive, budget=budget)


def _is_image(path: str) -> bool:
    return suffix_of(path) in IMAGE_SUFFIXES
