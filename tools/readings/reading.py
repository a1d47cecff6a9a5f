"""A reading: one way to read the targets of a download, and what speaks for it."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tools.pixel_tables.pixel_table import PixelTable
from tools.readings.collect import FilePart
from tools.readings.named_tables import NamedTable

Part = FilePart | PixelTable
Integers = NDArray[np.int64]


class Kind(IntEnum):
    """Where the targets stand, the kinds that count more first."""

    TABLE = 0
    MASK_FILES = 1
    RUN_LENGTHS = 2
    FOLDERS = 3
    PIXELS = 4
    BOXES = 5
    FILE_NAMES = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """Parts of a download whose sources belong together.

    `words` select the reading, as typed in a shell. `images` are numbers of the images that it
    explains, of the sampled rows for a table: int64, sorted, different. `classes`: their classes,
    as far as they are known without reading all rows. `is_asked_for`: a sample submission or a
    test table asks for its target. `names_classes`: each row is a class. `maps_to_folders`: each
    label belongs to one class folder. `has_header`: its columns have names. `tests`: tables of test
    images without labels. `pairs`: image and label of the sampled rows. `notes`: what was assumed,
    a sentence each.
    """

    kind: Kind
    parts: tuple[Part, ...]
    words: tuple[str, ...]
    task: str
    images: Integers = field(repr=False)
    classes: frozenset[str] = frozenset()
    likelihood: int = 0
    is_asked_for: bool = False
    agrees_with_folders: bool = False
    maps_to_folders: bool = False
    has_header: bool = True
    names_classes: bool = False
    masks: frozenset[int] = frozenset()
    tests: tuple[NamedTable, ...] = ()
    pairs: frozenset[tuple[int, str]] = field(default=frozenset(), repr=False)
    notes: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """The option line that selects the reading."""
        return shlex.join(self.words)

    @property
    def splits(self) -> set[str | None]:
        """The splits of its parts."""
        return {part.split for part in self.parts}


def common_share(one: Reading, other: Reading) -> float:
    """The share of the images of `one` that `other` explains, too."""
    return common_count(one, other) / max(1, len(one.images))


def common_count(one: Reading, other: Reading) -> int:
    """The number of images that both explain."""
    return len(np.intersect1d(one.images, other.images, assume_unique=True))


def sorted_numbers(numbers: Iterable[int]) -> Integers:
    """Different numbers in order: int64."""
    return np.unique(np.fromiter(numbers, np.int64))


def order_parts(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Train first."""
    places = ("train", None, "val", "test")
    return tuple(sorted(parts, key=lambda part: places.index(part.split)))
