"""From the parts of a download to its sources, in memory that a million rows don't fill."""

from array import array
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, MisuseError
from tools.download.file_index import FileIndex
from tools.download.label_parsing import Value
from tools.download.name_index import Names
from tools.download.sources import SPLITS, LabelCodes, Sources
from tools.download.targets import Targets
from tools.text import plural


class FilePart(Protocol):
    """A part of a download whose images are files."""

    @property
    def name(self) -> str:
        """What names the images: the table; "" if they speak for themselves."""
        ...

    @property
    def split(self) -> str | None:
        """The split that the part is named for."""
        ...

    @property
    def divided(self) -> bool:
        """Whether its sources say their splits themselves."""
        ...

    @property
    def grouped(self) -> bool:
        """Whether its sources come in groups."""
        ...

    @property
    def option(self) -> str:
        """How to ask for it."""
        ...

    def describe(self) -> str: ...

    def targets(self, index: FileIndex) -> Targets:
        """An empty collection of what its sources are to be learned for."""
        ...

    def collect(self, index: FileIndex, into: "FileSources") -> None:
        """Add its sources."""
        ...


class RowPlaces(Sequence[str]):
    """The row that named each source, as in "train.csv row 17"; the file's path where none did."""

    def __init__(
        self, tables: Sequence[str], table: NDArray[np.int8], line: NDArray[np.int64], paths: Names
    ) -> None:
        # Memory views give Python's integers at a tenth of an array's cost.
        self._tables, self._table = tables, memoryview(table.data)
        self._line, self._paths = memoryview(line.data), paths

    def __len__(self) -> int:
        return len(self._line)

    def __getitem__(self, number: int) -> str:  # type: ignore[override]
        if not self._line[number]:
            return self._paths[number]
        return f"{self._tables[self._table[number]]} row {self._line[number]}"


class FileSources:
    """Image files gathered from one part after the other, by their numbers in the index."""

    def __init__(self, index: FileIndex, targets: Targets) -> None:
        self.index, self.targets = index, targets
        self.rejected: list[tuple[str, str]] = []
        self.unmasked, self.first_unmasked = 0, ""
        self._tables: list[str] = []
        self._numbers, self._lines, self._parts = array("q"), array("q"), array("b")
        self._splits, self._groups, self._group_codes = bytearray(), array("i"), LabelCodes()
        # For each image the source that it is, counting from 1.
        self._source = np.zeros(len(index.images), np.int32).data
        self._again, self._otherwise, self._first_otherwise = 0, 0, ""

    def begin(self, name: str) -> None:
        """The sources of another part follow."""
        self._tables.append(name)

    def place(self, line: int) -> str:
        return f"{self._tables[-1]} row {line}"

    def reject(self, line: int, reason: str) -> None:
        self.rejected.append((self.place(line), reason))

    def leave_unmasked(self, line: int) -> None:
        """A row names no mask, as those of a test split do."""
        self.unmasked += 1
        self.first_unmasked = self.first_unmasked or self.place(line)

    def add(
        self, number: int, value: Value | int, *, split: str | None, line: int = 0, group: str = ""
    ) -> None:
        """An image and what it shows; `line` is that of the table, 0 if there is none. An image
        that came before with the same value is left out, with another it is rejected."""
        before = self._source[number]
        if before:
            self._add_again(number, value, line, before - 1)
            return
        self._numbers.append(number)
        self._source[number] = len(self._numbers)
        self.targets.add(value)
        self._lines.append(line)
        self._parts.append(len(self._tables) - 1)
        self._splits.append(SPLITS.index(split or SPLITS[0]))
        self._groups.append(self._group_codes[group] if group else -1)

    def _add_again(self, number: int, value: Value | int, line: int, before: int) -> None:
        if self.targets.same(before, value):
            self._again += 1
            return
        self._otherwise += 1
        first = self._tables[self._parts[before]]
        self._first_otherwise = self._first_otherwise or self.index.images[number]
        self.reject(
            line,
            f"names {self.index.images[number]} again, which {first} row {self._lines[before]} "
            f"named with another label ({self.targets.show(before)})",
        )

    def finish(self, *, divided: bool, grouped: bool) -> Sources:
        """Raises ``DataError`` where nothing was added, or where a table names most of its images
        again and again."""
        self._check()
        numbers = np.frombuffer(self._numbers, np.int64)
        splits = np.frombuffer(bytes(self._splits), np.int8)
        paths = Names(self.index.images, numbers)
        lines, parts = np.frombuffer(self._lines, np.int64), np.frombuffer(self._parts, np.int8)
        return Sources(
            images=self.index.take(numbers),
            names=paths,
            places=RowPlaces(self._tables, parts, lines, paths) if lines.any() else None,
            splits=splits if divided and len(np.unique(splits)) > 1 else None,
            groups=_apart(np.frombuffer(self._groups, np.int32)) if grouped else None,
            rejected=tuple(self.rejected),
            notes=tuple(self._notes(numbers)),
            **self.targets.fields(self.index),
        )

    def _check(self) -> None:
        if not self._numbers:
            first = "; first: {}: {}".format(*self.rejected[0]) if self.rejected else ""
            raise DataError(
                f"{self.index.storage.url}: no source has both an image and a label{first}."
            )
        if self._otherwise > len(self._numbers):
            raise DataError(
                f"{self._tables[-1]} names {plural(len(self._numbers), 'image')}, and "
                f"{self._otherwise:,} times one of them again with another label (first: "
                f"{self._first_otherwise}): it holds a row for each object or vote, not for each "
                f"image. Make a table of one row an image and name it with --labels."
            )

    def _notes(self, used: NDArray[np.int64]) -> list[str]:
        notes = []
        used = np.concatenate([used, self.targets.files()])
        left = np.setdiff1d(np.array(self.index.numbers), used)
        first = self.index.images[int(left[0])] if len(left) else ""
        if len(left):
            notes.append(f"{plural(len(left), 'image')} without a label left out (first: {first}).")
        if self.unmasked:
            rows = plural(self.unmasked, "row")
            notes.append(f"{rows} without a mask left out (first: {self.first_unmasked}).")
        if self._again:
            rows = plural(self._again, "row")
            notes.append(f"{rows} left out that name an image again with the same label.")
        return notes


def _apart(groups: NDArray[np.int32]) -> NDArray[np.int32]:
    """Each source without a group (-1) as a group of its own."""
    alone = np.cumsum(groups < 0) + groups.max()
    return np.where(groups < 0, alone, groups).astype(np.int32)


def gather_files(parts: Sequence[FilePart], index: FileIndex) -> Sources:
    """All sources of `parts`; raises ``DataError`` where there are none, ``MisuseError`` where the
    parts are of different tasks."""
    gathered = FileSources(index, parts[0].targets(index))
    for part in parts:
        if type(part.targets(index)) is not type(gathered.targets):
            options = " or ".join(part.option for part in parts)
            raise MisuseError(f"The parts are of different tasks: say --task, or {options}.")
        gathered.begin(part.name)
        part.collect(index, gathered)
    return gathered.finish(
        divided=len(parts) > 1 or any(part.divided for part in parts),
        grouped=any(part.grouped for part in parts),
    )
