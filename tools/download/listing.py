"""Files as they are found, also in zips, sorted into images, tables and others."""

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from tools.download.archives import Member, members
from tools.download.image_files import ENTRY_DTYPE, Entries
from tools.download.name_index import IMAGE_SUFFIXES, Names, PathTable, suffix_of
from tools.download.storage import Refusal, Storage

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".json"})
# What to do with an archive that can't be read in place.
_PACKED = {
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


class Listing:
    """Paths and entries as they are found."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self._rows = bytearray()
        self._row = np.zeros(1, ENTRY_DTYPE)

    def add(self, path: str, row: tuple[int, ...]) -> None:
        self.paths.append(path)
        self._row[0] = row
        self._rows += self._row.tobytes()

    def sorted(self, holders: Sequence[str]) -> tuple[PathTable, Entries]:
        """By path."""
        order = np.array(sorted(range(len(self.paths)), key=self.paths.__getitem__), np.int64)
        rows = np.frombuffer(self._rows, ENTRY_DTYPE)[order]
        return PathTable(Names(self.paths, order)), Entries(rows, tuple(holders))


class Listings:
    """The files of a download, by what they are."""

    def __init__(self) -> None:
        self.images, self.tables = Listing(), Listing()
        self.others = 0
        self.holders: list[str] = []
        self.refused: list[Refusal] = []

    def add(self, storage: Storage, found: tuple[str, int, int] | Refusal) -> None:
        if isinstance(found, Refusal):
            self.refused.append(found)
            return
        path, size_bytes, version = found
        if suffix_of(path) != ".zip":
            self._add_file(path, (-1, 0, 0, size_bytes, size_bytes, version, 0))
            return
        # What can't be read as a zip is refused; that the file itself can't be read is an OSError.
        with storage.open(path) as file:
            for member in members(file, path):
                if isinstance(member, Refusal):
                    self.refused.append(member)
                else:
                    self._add_file(member.path, self._member_row(member, version))

    def _add_file(self, path: str, row: tuple[int, ...]) -> None:
        suffix = suffix_of(path)
        if suffix in IMAGE_SUFFIXES:
            self.images.add(path, row)
        elif suffix in TABLE_SUFFIXES:
            self.tables.add(path, row)
        else:
            self.others += 1
            if suffix in _PACKED:
                command = _PACKED[suffix].format(
                    name=_folder_less(path), stem=PurePosixPath(path).stem
                )
                self.refused.append(Refusal(path, f"can't be read in place: {command}"))

    def _member_row(self, member: Member, version: int) -> tuple[int, ...]:
        if not self.holders or self.holders[-1] != member.file:
            self.holders.append(member.file)
        return (
            len(self.holders) - 1,
            member.method,
            member.offset,
            member.stored_bytes,
            member.size_bytes,
            version,
            member.crc32,
        )


def _folder_less(path: str) -> str:
    return path.rpartition("/")[2]
