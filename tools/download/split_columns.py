"""Which split a row or a file is of, as columns and folders say it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipeline.errors import MisuseError
from tools.config import ShardConfig
from tools.download.file_index import folder_of
from tools.download.label_parsing import UnusableRowError
from tools.download.name_patterns import is_split_column, split_of_cell, split_word
from tools.download.tables import Table


@dataclass(frozen=True)
class SplitColumn:
    """The column `number`, called `name`, says the split."""

    number: int
    name: str

    def read(self, cells: Sequence[str]) -> str:
        """Raises ``UnusableRowError``: what is of no known split is trained on by no mistake."""
        split = split_of_cell(self.name, cells[self.number])
        if split is None:
            raise UnusableRowError(
                f"column {self.name!r} is {cells[self.number]!r}, which is no split"
            )
        return split


def choose_split_column(table: Table, config: ShardConfig) -> SplitColumn | None:
    """The column asked for, else one whose cells all are names of splits.

    Raises ``MisuseError`` if there are several, or if the one asked for says no split.
    """
    if config.split_column is not None:
        number = table.column(config.split_column, option="--split-column")
        found = SplitColumn(number, _boolean_name(table, number))
        if not _is_split(table, found):
            cells = ", ".join(map(repr, dict.fromkeys(table.cells(number)[:5])))
            raise MisuseError(
                f"{table.name}: column {config.split_column!r} (--split-column) holds {cells}: a "
                f"split is called train, val or test, or its column is_valid with true and false."
            )
        return found
    fitting = split_columns(table)
    named = [column for column in fitting if is_split_column(column.name)]
    for choice in (fitting, named):
        if len(choice) == 1:
            return choice[0]
    if not fitting:
        return None
    listed = "".join(f"\n  --split-column {column.name}" for column in fitting)
    raise MisuseError(f"{table.name}: several columns say the split. Pick one:{listed}")


def split_columns(table: Table) -> list[SplitColumn]:
    """The columns whose cells all are names of splits."""
    columns = [SplitColumn(number, name) for number, name in enumerate(table.columns)]
    return [column for column in columns if _is_split(table, column) and _speaks(table, column)]


@lru_cache(maxsize=2**16)
def split_of_folder(folder: str) -> str | None:
    """The split that a folder speaks of."""
    return split_word(folder)


def folders_differ(paths: Sequence[str]) -> bool:
    """Whether the folders of files are of several splits."""
    return len({split_of_folder(folder_of(path)) for path in paths} - {None}) > 1


def _is_split(table: Table, column: SplitColumn) -> bool:
    cells = set(table.cells(column.number))
    return bool(cells) and all(split_of_cell(column.name, cell) is not None for cell in cells)


def _speaks(table: Table, column: SplitColumn) -> bool:
    """Whether it is called so, or names two splits; a label may be "test" by chance."""
    splits = {split_of_cell(column.name, cell) for cell in table.cells(column.number)}
    return is_split_column(column.name) or len(splits) > 1


def _boolean_name(table: Table, number: int) -> str:
    """The column's name; of one with true and false that isn't called is_..., what true means is
    what it speaks of."""
    name = table.columns[number]
    plain = split_word(name)
    if plain is not None and split_of_cell(name, (table.cells(number) or [""])[0]) is None:
        return f"is_{plain}"
    return name
