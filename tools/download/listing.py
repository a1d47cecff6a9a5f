"""The files of a download and of its zips, sorted into images, tables and others."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from tools.download.archives import Member, members
from tools.download.image_files import ENTRY_DTYPE, Entries
from tools.download.json_tables import JSON_SUFFIXES
from tools.download.name_index import IMAGE_SUFFIXES, Names, PathTable, name_of, suffix_of
from tools.download.storage import SkippedFile, Storage
from tools.download.workbooks import OTHER_SPREADSHEETS, WORKBOOK_SUFFIXES

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

    def sorted(self, archives: Sequence[str]) -> tuple[PathTable, Entries]:
        """Paths and entries, sorted by path."""
        order = np.array(sorted(range(len(self.paths)), key=self.paths.__getitem__), np.int64)
        rows = np.frombuffer(self._rows, ENTRY_DTYPE)[order]
        return PathTable(Names(self.paths, order)), Entries(rows, tuple(archives))


class Listing:
    """The files of a download by kind; `others` are neither image nor table."""

    def __init__(self) -> None:
        self.images, self.tables, self.others = EntryList(), EntryList(), EntryList()
        self.archives: list[str] = []
        self.skipped: list[SkippedFile] = []

    def add(self, storage: Storage, file: tuple[str, int, int] | SkippedFile) -> None:
        """Add (path, size in bytes, version), for a zip all its members. Raises ``OSError`` where
        a zip can't be opened; damaged zips and members are skipped."""
        if isinstance(file, SkippedFile):
            self.skipped.append(file)
            return
        path, size_bytes, version = file
        if suffix_of(path) != ".zip":
            self._add_file(path, (-1, 0, 0, size_bytes, size_bytes, version, 0))
            return
        with storage.open(path) as stream:
            for member in members(stream, path):
                if isinstance(member, SkippedFile):
                    self.skipped.append(member)
                else:
                    self._add_file(member.path, self._member_row(member, version))

    def _add_file(self, path: str, row: tuple[int, ...]) -> None:
        suffix = suffix_of(path)
        if suffix in IMAGE_SUFFIXES:
            self.images.add(path, row)
            return
        if suffix in TABLE_SUFFIXES:
            self.tables.add(path, row)
            return
        self.others.add(path, row)
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
