"""How the rows of a table name files: by one column or several, in which folder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.errors import MisuseError
from pipeline.text import option_lines
from tools.config import ShardConfig
from tools.download.file_index import FileIndex, ancestors, folder_of, under
from tools.download.label_parsing import UnusableRowError
from tools.download.name_index import IMAGE_SUFFIXES, name_of, suffix_of
from tools.download.name_patterns import is_mask_name, split_word
from tools.download.tables import Table
from tools.readings.file_name_templates import Template, parse_template, single_value
from tools.readings.split_columns import SplitColumn, split_columns, split_of_folder

# Numbers may match file names by chance, so half of a column must; of other texts two are enough,
# since only a part of the download may be there.
_MIN_SHARE_OF_NUMBERS, _MIN_TEXTS = 0.5, 2
# A table of more columns may be one of pixels.
_NARROW = 16


@dataclass(frozen=True)
class ImageNames:
    """Rows name files in `folder` ("" is the root) by a template of their cells; or by `ids`, which
    the table `ids_of` gives to images: id -> number. Of files in folders of several splits a row
    names the one of its `split_column`."""

    template: Template
    folder: str = ""
    ids: Mapping[str, int] | None = None
    ids_of: str = ""
    split_column: SplitColumn | None = None

    @property
    def columns(self) -> tuple[int, ...]:
        """The columns of the template."""
        return self.template.numbers

    def text(self, cells: Sequence[str]) -> str:
        """The name in a row; "" if a cell can't be formatted."""
        try:
            return self.template.fill(cells).strip()
        except ValueError:
            return ""

    def find(self, index: FileIndex, text: str) -> list[int]:
        """Numbers of the possible sources with this name."""
        if self.ids is not None:
            return [self.ids[text]] if text in self.ids else []
        numbers = self._filter(index, text, index.find(text))
        if len(numbers) > 1:
            # Tables name images more often than masks.
            images = [n for n in numbers if not is_mask_name(name_of(folder_of(index.images[n])))]
            return images if len(images) == 1 else numbers
        return numbers

    def find_in_row(self, index: FileIndex, cells: Sequence[str]) -> list[int]:
        """Numbers of the possible sources that a row names."""
        numbers = self.find(index, self.text(cells))
        if self.split_column is None or len(numbers) < 2:
            return numbers
        try:
            split = self.split_column.read(cells)
        except (UnusableRowError, IndexError):
            return numbers
        return [n for n in numbers if split_of_folder(folder_of(index.images[n])) == split]

    def find_anywhere(self, index: FileIndex, text: str) -> list[int]:
        """Numbers of the images in any folder with this name."""
        return self._filter(index, text, index.find_anywhere(text))

    def find_in_head(self, index: FileIndex, table: Table, *, masks: bool) -> list[list[str]]:
        """Paths of the images that each row of the head names."""
        find = self.find_anywhere if masks else self.find
        return [
            [index.images[number] for number in find(index, self.text(row))]
            for row in table.head
            if len(row) > max(self.columns)
        ]

    def _filter(self, index: FileIndex, text: str, numbers: list[int]) -> list[int]:
        if not self.template.is_plain:
            numbers = [number for number in numbers if _ends_with(index.images[number], text)]
        if self.folder:
            numbers = [number for number in numbers if under(index.images[number], self.folder)]
        return numbers

    def describe(self, table: Table) -> str:
        """A phrase such as " in train/ by column 'id'"."""
        if self.ids is not None:
            return f" by column {table.columns[self.columns[0]]!r} and the ids of {self.ids_of}"
        place = f" in {self.folder}/" if self.folder else ""
        if self.template.is_plain:
            return f"{place} by column {table.columns[self.columns[0]]!r}"
        return f"{place} by template {self.template.text}"


def by_template(text: str, table: Table) -> ImageNames:
    """Names by --path-template; raises ``MisuseError`` for an invalid template."""
    return ImageNames(parse_template(text, table.columns, option="--path-template"))


def by_column(number: int, table: Table) -> ImageNames:
    """Names by the column at index `number`."""
    return ImageNames(single_value(number, table.columns[number]))


def name_columns(index: FileIndex, table: Table) -> list[int]:
    """The columns that name images, those that name the most different images first."""
    counts = {}
    columns = range(len(table.columns))
    # File names with extensions are certain; then labels that match a file by chance don't count.
    files = [n for n in columns if _holds_file_names(index, table, n)]
    for column in files or columns:
        cells = set(table.cells(column))
        names = [cell for cell in cells if index.find(cell)]
        texts = sum(not name.isdecimal() for name in names)
        if texts >= _MIN_TEXTS or (names and len(names) >= _MIN_SHARE_OF_NUMBERS * len(cells)):
            counts[column] = len(names)
    return sorted(counts, key=lambda column: -counts[column])


def names_files(index: FileIndex, table: Table) -> bool:
    """Whether a column names images by their files, or some column of a narrow table does so by any
    name; the values of a wide table of pixels match names by chance."""
    if len(table.columns) <= _NARROW:
        return bool(name_columns(index, table))
    return any(_holds_file_names(index, table, n) for n in range(len(table.columns)))


def _holds_file_names(index: FileIndex, table: Table, column: int) -> bool:
    cells = table.cells(column)
    are_files = bool(cells) and all(suffix_of(cell) in IMAGE_SUFFIXES for cell in cells)
    return are_files and any(index.find_anywhere(cell) for cell in cells)


def names_file(index: FileIndex, cell: str) -> bool:
    """Whether a cell has the extension of an image, or names one of the index."""
    return bool(cell.strip()) and (suffix_of(cell) in IMAGE_SUFFIXES or bool(index.find(cell)))


def is_mask_column(index: FileIndex, table: Table, column: int) -> bool:
    """Whether a column's name speaks of masks and its cells name images, by path or by a different
    name in most rows, which labels don't."""
    if not is_mask_name(table.columns[column]):
        return False
    cells = [cell for cell in table.cells(column) if not cell.isdecimal()]
    various = 2 * len(set(cells)) > len(cells)
    return any(
        (various or "/" in cell or "." in cell) and index.find_anywhere(cell) for cell in cells
    )


def resolve_folder(index: FileIndex, table: Table, names: ImageNames, *, masks: bool) -> ImageNames:
    """`names` with the folder in which each name of the head is one file.

    Of several such folders it takes the one beside or below the table, the one for its split, else
    the one whose files are not in subfolders, else the one whose name speaks of masks exactly if
    `masks`. Raises ``MisuseError`` if several remain.
    """
    hits = names.find_in_head(index, table, masks=masks)
    ambiguous = next((paths for paths in hits if len(paths) > 1), None)
    if ambiguous is None:
        return names
    for column in split_columns(table):
        by_split = replace(names, split_column=column)
        rows = [row for row in table.head if len(row) > max(*names.columns, column.number)]
        if not masks and all(len(by_split.find_in_row(index, row)) == 1 for row in rows):
            return by_split
    folders = [
        folder
        for folder in dict.fromkeys(folder for path in ambiguous for folder in ancestors(path))
        if all(sum(under(path, folder) for path in paths) == 1 for paths in hits if paths)
    ]
    widest = [
        folder
        for folder in folders
        if not any(other != folder and under(folder, other) for other in folders)
    ]
    split = "test" if table.is_submission else split_word(table.name)
    of_split = [folder for folder in widest if split is not None and split_word(folder) == split]
    own_folder = folder_of(table.name)
    own = [f for f in widest if own_folder and (f == own_folder or under(f, own_folder))]
    flat = [folder for folder in widest if all(_directly_in(paths, folder) for paths in hits)]
    of_kind = [folder for folder in widest if is_mask_name(name_of(folder)) == masks]
    for choice in (widest, own, of_split, flat, of_kind):
        if len(choice) == 1:
            return replace(names, folder=choice[0])
    if not widest:
        return names
    raise MisuseError(
        f"{table.name}: the files that it names{names.describe(table)} are in more than one "
        f"folder. Pick one:{option_lines('--images', widest)}"
    )


def find_ambiguous_cell(index: FileIndex, table: Table) -> tuple[str, str, list[str]] | None:
    """(column, cell, files): a cell and the several files whose names begin with it, or None."""
    for number, column in enumerate(table.columns):
        for cell in [cell for cell in table.cells(number) if len(cell) > 1][:3]:
            files = sorted(_beginning_with(index, cell))
            if len(files) > 1:
                return column, cell, files
    return None


def require_other_column(table: Table, column: int, config: ShardConfig) -> None:
    """Raise ``MisuseError`` if the column of image names is also a --label-column."""
    if column in [table.find(name) for name in config.label_column]:
        raise MisuseError(
            f"{table.name}: column {table.columns[column]!r} can't be both --image-column and "
            f"--label-column."
        )


def _beginning_with(index: FileIndex, cell: str) -> Iterator[str]:
    for number in index.sources():
        path = index.images[number]
        name = name_of(path)
        if name.startswith(cell) and not name[len(cell) :][:1].isalnum():
            yield path


def _directly_in(paths: Sequence[str], folder: str) -> bool:
    return not paths or any(folder_of(path) == folder for path in paths)


def _ends_with(path: str, text: str) -> bool:
    ending = text.strip("/").removeprefix("./")
    stem = path[: len(path) - len(suffix_of(path))]
    return any(form == ending or form.endswith("/" + ending) for form in (path, stem))
