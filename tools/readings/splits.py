"""What tables and lists besides the labels say about the split of each image."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import MisuseError
from pipeline.storage.manifest import SPLITS
from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.download.label_parsing import UnusableRowError
from tools.download.name_index import name_of
from tools.download.name_patterns import split_word
from tools.readings.families import Family, is_list
from tools.readings.named_tables import NamedTable
from tools.readings.split_columns import choose_split_column, split_columns

UNKNOWN = -1


@dataclass(frozen=True)
class SplitFacts:
    """`splits`: int8 (images,), index into SPLITS, -1 where nothing is said; `tables` say them."""

    splits: NDArray[np.int8]
    tables: tuple[str, ...]

    def describe(self) -> str:
        """A sentence for the user."""
        return f"Splits by {', '.join(self.tables[:3])}."


def find_split_facts(
    index: FileIndex, named: Sequence[NamedTable], families: Sequence[Family], config: ShardConfig
) -> SplitFacts | None:
    """The splits that lists of images, tables with a column of splits, or tables of the same
    columns, one for each split, say; None without any."""
    splits, used = np.full(len(index.images), UNKNOWN, np.int8), []
    tables = [*_split_lists(named), *_split_tables(named)] or _parts_of_splits(families)
    # A list of train and val together comes before that of val.
    for table in sorted(tables, key=lambda table: _split_of_list(table) != "train"):
        read = _split_reader(table, config)
        for number, split in _rows(index, table, read):
            splits[number] = SPLITS.index(split)
        used.append(table.table.name)
    return SplitFacts(splits, tuple(used)) if used else None


def _split_lists(named: Sequence[NamedTable]) -> list[NamedTable]:
    """Lists of the images of each split; a single list proves nothing."""
    lists = [table for table in named if _split_of_list(table) and is_list(table)]
    return lists if len({_split_of_list(table) for table in lists}) > 1 else []


def _parts_of_splits(families: Sequence[Family]) -> list[NamedTable]:
    """The tables of families that are called after different splits."""
    tables: list[NamedTable] = []
    for family in families:
        parts = [named for named in family.tables if _split_of_list(named) is not None]
        if 1 < len(parts) == len({_split_of_list(named) for named in parts}):
            tables += parts
    return tables


def _split_of_list(named: NamedTable) -> str | None:
    return split_word(name_of(named.table.name))


def _split_tables(named: Sequence[NamedTable]) -> list[NamedTable]:
    """Tables of which every column names the image or is its split."""
    return [
        table
        for table in named
        if (columns := {column.number for column in split_columns(table.table)})
        and columns | table.naming >= set(range(len(table.table.columns)))
    ]


def _split_reader(named: NamedTable, config: ShardConfig) -> Callable[[Sequence[str]], str | None]:
    split = _split_of_list(named)
    if split is not None and not split_columns(named.table):
        return lambda cells: split
    try:
        column = choose_split_column(named.table, config)
    except MisuseError:
        column = None

    def read(cells: Sequence[str]) -> str | None:
        try:
            return None if column is None else column.read(cells)
        except (UnusableRowError, IndexError):
            return None

    return read


def _rows(
    index: FileIndex, named: NamedTable, read: Callable[[Sequence[str]], str | None]
) -> Iterator[tuple[int, str]]:
    for _, cells in named.table.rows():
        if len(cells) > max(named.names.columns) and (split := read(cells)) is not None:
            numbers = named.names.find(index, named.names.text(cells))
            if len(numbers) == 1:
                yield numbers[0], split
