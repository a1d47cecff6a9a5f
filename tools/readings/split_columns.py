"""The split of a row or a file, from columns and folders."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipeline.errors import MisuseError
from pipeline.text import join_names, option_lines
from tools.config import ShardConfig
from tools.download.file_index import folder_of
from tools.download.label_parsing import UnusableRowError
from tools.download.name_patterns import has_split_name, is_split_column, split_of_cell, split_word
from tools.download.tables import Table


@dataclass(frozen=True)
class SplitColumn:
    """The column at index `number`, called `name`, has the split of each row, as a word or as one
    of `codes`, pairs of a number and its split."""

    number: int
    name: str
    codes: tuple[tuple[str, str], ...] = ()

    def read(self, cells: Sequence[str]) -> str:
        """The split of a row; raises ``UnusableRowError`` for an unknown one, so that no row is
        trained on by mistake."""
        if self.codes:
            split = dict(self.codes).get(cells[self.number].strip())
        else:
            split = split_of_cell(self.name, cells[self.number])
        if split is None:
            raise UnusableRowError(f"column {self.name!r} is {cells[self.number]!r}, not a split")
        return split

    def describe(self) -> str:
        """A phrase such as "splits by column 'partition' (0: train, 1: val, 2: test)"."""
        meaning = ", ".join(f"{code}: {split}" for code, split in self.codes)
        return f"splits by column {self.name!r}" + (f" ({meaning})" if meaning else "")


def choose_split_column(table: Table, config: ShardConfig) -> SplitColumn | None:
    """The column of --split-column, else the one whose cells are all names of splits.

    Raises ``MisuseError`` if there are several, or if the cells of --split-column are not splits.
    """
    number = table.option_column(config, "split_column")
    if number is not None:
        column = SplitColumn(number, _boolean_name(table, number))
        if not _holds_splits(table, column):
            cells = join_names(list(dict.fromkeys(table.cells(number)[:5])), quote=True)
            raise MisuseError(
                f"{table.name}: column {config.split_column!r} (--split-column) has {cells}. "
                f"Splits are called train, val or test, or true and false in a column is_valid."
            )
        return column
    columns = split_columns(table)
    named = [column for column in columns if is_split_column(column.name)]
    for choice in (columns, named):
        if len(choice) == 1:
            return choice[0]
    if not columns:
        return None
    lines = option_lines("--split-column", (column.name for column in columns))
    raise MisuseError(f"{table.name}: several columns have splits. Pick one:{lines}")


def split_columns(table: Table) -> list[SplitColumn]:
    """The columns whose cells are all names of splits, and either the column's name says so or
    there are two splits; a label may be "test" by chance. Also the columns of numbers whose name
    says that they are splits."""
    columns = [SplitColumn(number, name) for number, name in enumerate(table.columns)]
    return [
        *(
            column
            for column in columns
            if _holds_splits(table, column)
            and (
                is_split_column(column.name)
                or len({split_of_cell(column.name, cell) for cell in table.cells(column.number)})
                > 1
            )
        ),
        *(coded for column in columns if (coded := _coded_splits(table, column)) is not None),
    ]


def _coded_splits(table: Table, column: SplitColumn) -> SplitColumn | None:
    """The column with splits as numbers: 0, 1 and 2 are train, val and test; of 0 and 1 the more
    frequent one is train. A column without a name is called like its table."""
    cells = [cell.removesuffix(".0") for cell in table.cells(column.number)]
    named = is_split_column(column.name) if table.header else has_split_name(table.name)
    counts = Counter(cells)
    if not named or not counts.keys() <= {"0", "1", "2"} or len(counts) < 2:
        return None
    codes: tuple[tuple[str, str], ...]
    if len(counts) == 3:
        codes = (("0", "train"), ("1", "val"), ("2", "test"))
    else:
        (train, _), (test, _) = counts.most_common()
        codes = tuple(sorted([(train, "train"), (test, "test")]))
    name = column.name if table.header else table.name
    return SplitColumn(column.number, name, codes)


@lru_cache(maxsize=2**16)
def split_of_folder(folder: str) -> str | None:
    """The split in the path of a folder, or None."""
    return split_word(folder)


def folders_differ(paths: Sequence[str]) -> bool:
    """Whether the folders of the files belong to several splits."""
    return len({split_of_folder(folder_of(path)) for path in paths} - {None}) > 1


def _holds_splits(table: Table, column: SplitColumn) -> bool:
    cells = set(table.cells(column.number))
    return bool(cells) and all(split_of_cell(column.name, cell) for cell in cells)


def _boolean_name(table: Table, number: int) -> str:
    """The column's name; is_valid for a column called valid that has true and false."""
    name = table.columns[number]
    split = split_word(name)
    if split is not None and split_of_cell(name, (table.cells(number) or [""])[0]) is None:
        return f"is_{split}"
    return name
