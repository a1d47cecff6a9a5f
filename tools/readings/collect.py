"""Collect the sources of a download's parts, in little memory for a million rows."""

from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.storage.manifest import SPLITS
from pipeline.text import plural
from tools.download.file_index import FileIndex
from tools.download.name_index import Names
from tools.download.sources import LabelCodes, RowNames, Sources
from tools.readings.targets import ClassTargets, Target, Targets


@dataclass(frozen=True, kw_only=True)
class FilePart(ABC):
    """A part of a download whose images are files.

    Args:
        option: the option that selects this part, as typed in a shell.
        name: table that names the images; "" if there is none.
        split: split of the sources that have no split of their own.
        has_splits: whether the sources have splits of their own.
        has_groups: whether the sources have groups.
    """

    option: str
    name: str = ""
    split: str | None = None
    has_splits: bool = False
    has_groups: bool = False

    @abstractmethod
    def describe(self) -> str:
        """What the part is, as a phrase for the user."""

    def targets(self, index: FileIndex) -> Targets:
        """An empty collection for the targets of its sources."""
        return ClassTargets()

    @abstractmethod
    def collect(self, index: FileIndex, sources: "FileSources") -> None:
        """Add its sources."""


class FileSources:
    """Sources of image files, part by part, by their numbers in the index."""

    def __init__(
        self, index: FileIndex, targets: Targets, splits: NDArray[np.int8] | None = None
    ) -> None:
        self.index, self.targets = index, targets
        # Split of each image where another table says it, see ``SPLITS``; -1 elsewhere.
        self._split_facts = None if splits is None else memoryview(splits.data)
        self._labeled = bytearray()
        self.rejected: list[tuple[str, str]] = []
        self.without_mask, self.first_without_mask = 0, ""
        self._tables: list[str] = []
        self._numbers, self._lines, self._parts = array("q"), array("q"), array("b")
        self._splits, self._groups, self._group_codes = bytearray(), array("i"), LabelCodes()
        # The source of each image, counting from 1.
        self._source = np.zeros(len(index.images), np.int32).data
        self._repeated, self._conflicting = 0, 0
        self._first_conflicting = self._conflicting_table = ""

    def begin_part(self, name: str) -> None:
        """Begin the part that the next sources belong to."""
        self._tables.append(name)

    def reject(self, line: int, reason: str) -> None:
        """Reject a row of the table."""
        self.rejected.append((self._row(line), reason))

    def skip_without_mask(self, line: int) -> None:
        """Leave out a row that names no mask, as the rows of test splits do."""
        self.without_mask += 1
        self.first_without_mask = self.first_without_mask or self._row(line)

    def add(
        self, number: int, target: Target, *, split: str | None, line: int = 0, group: str = ""
    ) -> None:
        """Add an image and its target; `line` is the line of the table, 0 without a table. An
        image that was added before is left out if the target is the same, else it is rejected."""
        if previous := self._source[number]:
            self._add_again(number, target, line, previous - 1)
            return
        self.targets.add(target)
        self._append(number, split, line, group, labeled=True)

    def add_unlabeled(self, number: int) -> None:
        """Add an image of split test that has no label; it is left out if it was added before."""
        if not self._source[number]:
            self.targets.add_missing()
            self._append(number, "test", 0, "", labeled=False)

    def _append(
        self, number: int, split: str | None, line: int, group: str, *, labeled: bool
    ) -> None:
        self._numbers.append(number)
        self._source[number] = len(self._numbers)
        self._lines.append(line)
        self._parts.append(len(self._tables) - 1)
        fact = -1 if self._split_facts is None or not labeled else self._split_facts[number]
        self._splits.append(fact if fact >= 0 else SPLITS.index(split or SPLITS[0]))
        self._groups.append(self._group_codes[group] if group else -1)
        self._labeled.append(labeled)

    @property
    def labeled_count(self) -> int:
        """The number of sources that have a label."""
        return self._labeled.count(1)

    def unused(self) -> list[int]:
        """Numbers of the images that may be sources and are none yet, without copies."""
        numbers = np.array(self.index.numbers)
        is_original = self.index.copies.original[numbers] == numbers
        is_free = np.asarray(self._source)[numbers] == 0
        return list(map(int, numbers[is_original & is_free]))

    def finish(self, *, has_splits: bool, has_groups: bool) -> Sources:
        """All sources. Raises ``DataError`` if there are none, or if a table names most of its
        images again with other labels."""
        self._check()
        numbers = np.frombuffer(self._numbers, np.int64)
        splits = np.frombuffer(bytes(self._splits), np.int8)
        paths = Names(self.index.images, numbers)
        lines, parts = np.frombuffer(self._lines, np.int64), np.frombuffer(self._parts, np.int8)
        return Sources(
            images=self.index.take(numbers),
            names=paths,
            origins=RowNames(self._tables, parts, lines, paths) if lines.any() else None,
            splits=splits if has_splits and len(np.unique(splits)) > 1 else None,
            labeled=None if all(self._labeled) else np.frombuffer(self._labeled, np.bool_),
            groups=_fill_groups(np.frombuffer(self._groups, np.int32)) if has_groups else None,
            group_names=self._group_codes.texts if has_groups else (),
            rejected=tuple(self.rejected),
            notes=tuple(self._notes(numbers)),
            **self.targets.fields(self.index),
        )

    def _row_of(self, source: int) -> str:
        return f"{self._tables[self._parts[source]]} row {self._lines[source]}"

    def _row(self, line: int) -> str:
        return f"{self._tables[-1]} row {line}"

    def _add_again(self, number: int, target: Target, line: int, previous: int) -> None:
        if self.targets.merge(previous, target):
            return
        if self.targets.equals(previous, target):
            self._repeated += 1
            return
        path = self.index.images[number]
        self._conflicting += 1
        if self._conflicting == 1:
            first = f"{self._row_of(previous)}: {self.targets.show(previous)}"
            self._conflicting_table = self._tables[-1]
            self._first_conflicting = f"{path} in {self._row(line)}, after {first}"

    def _check(self) -> None:
        if not self.labeled_count:
            first = "; first: {}: {}".format(*self.rejected[0]) if self.rejected else ""
            raise DataError(
                f"{self.index.storage.url}: no source has both an image and a label{first}."
            )
        if self._conflicting:
            raise DataError(
                f"{self._conflicting_table} names {plural(self.labeled_count, 'image')}, and "
                f"{self._conflicting:,} times one of them again with another label (first: "
                f"{self._first_conflicting}). If it has a row for each box, object or vote, pass "
                f"--task multi-label to learn the set of labels of each image; else give a table "
                f"with one label for each image as --labels."
            )

    def _notes(self, numbers: NDArray[np.int64]) -> list[str]:
        notes = []
        used = np.concatenate([numbers, self.targets.files()])
        unused = np.setdiff1d(self.unused(), used)
        if len(unused):
            first = self.index.images[int(unused[0])]
            images = plural(len(unused), "image")
            notes.append(f"Left out {images} without a label (first: {first}).")
        if self.without_mask:
            rows = plural(self.without_mask, "row")
            notes.append(f"Left out {rows} without a mask (first: {self.first_without_mask}).")
        if self._repeated:
            rows = plural(self._repeated, "row")
            notes.append(f"Left out {rows} that name an image again with the same label.")
        return notes


def _fill_groups(groups: NDArray[np.int32]) -> NDArray[np.int32]:
    """Give each source without a group (-1) a group of its own."""
    own = np.cumsum(groups < 0) + groups.max()
    return np.where(groups < 0, own, groups).astype(np.int32)


def collect_files(
    parts: Sequence[FilePart], index: FileIndex, splits: NDArray[np.int8] | None = None
) -> Sources:
    """All sources of `parts`; `splits` as in ``SplitFacts``, where other tables say the split.

    Raises ``DataError`` if there are none, ``MisuseError`` if the parts have different tasks.
    """
    sources = FileSources(index, parts[0].targets(index), splits)
    for part in parts:
        sources.begin_part(part.name)
        part.collect(index, sources)
    return sources.finish(
        has_splits=splits is not None or len(parts) > 1 or any(part.has_splits for part in parts),
        has_groups=any(part.has_groups for part in parts),
    )
