"""The parts a download can be made of; each says what it is and how to ask for it."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, MisuseError
from tools.files import FileIndex, folder_of, under
from tools.names import Names
from tools.pixel_tables import PixelTable
from tools.sources import SPLITS, LabelCodes, Sources
from tools.tables import Table
from tools.words import is_label_column, is_unnamed, plural


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """A CSV whose column `image` names files in one of `folders` (rivals, if several; "" is the
    root). `label` is the column asked for, if one was."""

    table: Table
    image: int
    label: int | None
    folders: tuple[str, ...]
    split: str | None

    @property
    def option(self) -> str:
        return f"--labels {self.table.name}"

    @property
    def label_candidates(self) -> list[int]:
        return [
            number
            for number, name in enumerate(self.table.columns)
            if number != self.image and not is_unnamed(name)
        ]

    def label_column(self) -> int:
        """The column of the labels; ``MisuseError`` if more than one may be meant."""
        if self.label == self.image:
            raise MisuseError(
                f"{self.table.name}: column {self.table.columns[self.image]!r} names the images, "
                f"it can't be --label-column too."
            )
        if self.label is not None:
            return self.label
        candidates = self.label_candidates
        named = [n for n in candidates if is_label_column(self.table.columns[n])]
        for choice in (candidates, named):
            if len(choice) == 1:
                return choice[0]
        listed = "".join(f"\n  --label-column {self.table.columns[n]}" for n in candidates)
        raise MisuseError(
            f"{self.table.name}: {len(candidates)} columns may hold the label. Pick one:{listed}"
        )

    def folder(self) -> str:
        if len(self.folders) > 1:
            listed = "".join(f"\n  --images {folder}" for folder in self.folders)
            raise MisuseError(
                f"{self.table.name}: its column {self.table.columns[self.image]!r} names files in "
                f"more than one folder. Pick one:{listed}"
            )
        return self.folders[0]

    def describe(self) -> str:
        label = self.table.columns[self.label_column()]
        image = self.table.columns[self.image]
        header = "" if self.table.header else ", which has no header"
        place = f" in {self.folder()}/" if self.folder() else ""
        return (
            f"{self.table.name}{header}: image files{place} by column {image!r}, "
            f"labels in column {label!r}"
        )

    def collect(self, index: FileIndex, into: "FileSources") -> None:
        label, folder = self.label_column(), self.folder()
        width = max(self.image, label) + 1
        for line, cells in self.table.rows():
            place = f"{self.table.name} row {line}"
            if len(cells) < width or any(cells[len(self.table.columns) :]):
                into.reject(
                    place,
                    f"the row has {plural(len(cells), 'cell')}, not {len(self.table.columns)}",
                )
                continue
            name, text = cells[self.image], cells[label].strip()
            if "\n" in name + text:
                raise DataError(
                    f"{self.table.name}: a cell that ends in line {line} goes over several lines, "
                    f"beginning with {(name + text)[:30]!r}: a quote is not closed there. Mend it."
                )
            found = [n for n in index.find(name) if under(index.images[n], folder)]
            if not text:
                into.reject(place, f"no label for {name!r}")
            elif len(found) == 1:
                into.add(found[0], text, self.split, place)
            elif found:
                listed = ", ".join(index.images[n] for n in found[:3])
                into.reject(place, f"{name!r} names {len(found)} files: {listed}")
            else:
                into.reject(place, f"id without file: no image is called {name!r}")


@dataclass(frozen=True, kw_only=True)
class ClassFolders:
    """Folders beneath `folder`, one a class; `images` are the numbers of those in them."""

    folder: str
    images: Sequence[int]
    split: str | None

    @property
    def option(self) -> str:
        return f"--labels {self.folder or '.'}"

    def describe(self) -> str:
        return f"class folders in {self.folder or '.'}/"

    def collect(self, index: FileIndex, into: "FileSources") -> None:
        for number in self.images:
            path = index.images[number]
            label = folder_of(path).rpartition("/")[2]
            into.add(number, label, self.split, path)


FilePart = LabelTable | ClassFolders
Part = LabelTable | ClassFolders | PixelTable


@dataclass
class FileSources:
    """Image files gathered from one part after the other, by their numbers in the index."""

    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    labels: "array[int]" = field(default_factory=lambda: array("i"))
    splits: bytearray = field(default_factory=bytearray)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    codes: LabelCodes = field(default_factory=LabelCodes)
    _seen: dict[int, str] = field(default_factory=dict)

    def add(self, number: int, label: str, split: str | None, place: str) -> None:
        """A source; a file that came before is rejected. `place` says where it was named."""
        before = self._seen.setdefault(number, place)
        if before is not place:
            self.reject(place, f"names the file again that {before} named")
            return
        self.numbers.append(number)
        self.labels.append(self.codes[label])
        self.splits.append(SPLITS.index(split or SPLITS[0]))

    def reject(self, place: str, reason: str) -> None:
        self.rejected.append((place, reason))


def gather_files(parts: Sequence[FilePart], index: FileIndex) -> Sources:
    """All sources of `parts`; raises ``DataError`` where there are none."""
    gathered = FileSources()
    for part in parts:
        part.collect(index, gathered)
    if not gathered.numbers:
        first = "; first: {}: {}".format(*gathered.rejected[0]) if gathered.rejected else ""
        raise DataError(f"{index.storage.url}: no source has both an image and a label{first}.")
    numbers = np.frombuffer(gathered.numbers, np.int64)
    return Sources(
        images=index.take(numbers),
        names=Names(index.images, numbers),
        labels=np.frombuffer(gathered.labels, np.int32),
        classes=gathered.codes.texts,
        splits=np.frombuffer(bytes(gathered.splits), np.int8) if is_divided(parts) else None,
        rejected=tuple(gathered.rejected),
        notes=_unlabelled(index, numbers),
    )


def is_divided(parts: Sequence[Part]) -> bool:
    """Whether the download comes in splits of its own."""
    return len(parts) > 1


def _unlabelled(index: FileIndex, used: NDArray[np.int64]) -> tuple[str, ...]:
    left = np.setdiff1d(np.arange(len(index.images)), used)
    if not len(left):
        return ()
    first = index.images[int(left[0])]
    return (f"{plural(len(left), 'image')} without a label left out (first: {first}).",)
