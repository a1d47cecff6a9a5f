"""How the rows of a table name files: by one column or several, in which folder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.errors import MisuseError
from tools.download.file_index import FileIndex, ancestors, folder_of, under
from tools.download.name_index import IMAGE_SUFFIXES, suffix_of
from tools.download.name_patterns import is_mask_name, split_word
from tools.download.tables import Table
from tools.download.templates import Template, only, parse_template

# A column of plain numbers may be anything; other texts that are names of files aren't by chance,
# even if a part of the download is all there is.
_MIN_SHARE_OF_NUMBERS, _MIN_TEXTS = 0.5, 2


@dataclass(frozen=True)
class ImageNames:
    """Rows name files by `template`, of their cells, in `folder`; "" is the root."""

    template: Template
    folder: str = ""

    @property
    def columns(self) -> tuple[int, ...]:
        return self.template.numbers

    def text(self, cells: Sequence[str]) -> str:
        """What the row calls its file; "" if that can't be told."""
        try:
            return self.template.fill(cells).strip()
        except ValueError:
            return ""

    def find(self, index: FileIndex, text: str) -> list[int]:
        """Numbers of the possible sources of that name."""
        return self._fitting(index, text, index.find(text))

    def find_any(self, index: FileIndex, text: str) -> list[int]:
        """Numbers of the files of that name, wherever they lie."""
        return self._fitting(index, text, index.find_any(text))

    def _fitting(self, index: FileIndex, text: str, found: list[int]) -> list[int]:
        if not self.template.is_plain:
            found = [number for number in found if _ends_with(index.images[number], text)]
        return [n for n in found if under(index.images[n], self.folder)] if self.folder else found

    def describe(self, table: Table) -> str:
        """As in " in train/ by column 'id'"."""
        place = f" in {self.folder}/" if self.folder else ""
        if self.template.is_plain:
            return f"{place} by column {table.columns[self.columns[0]]!r}"
        return f"{place} by template {self.template.text}"


def by_template(text: str, table: Table) -> ImageNames:
    """Raises ``MisuseError``."""
    return ImageNames(parse_template(text, table.columns, option="--path-template"))


def by_column(number: int, table: Table) -> ImageNames:
    return ImageNames(only(number, table.columns[number]))


def naming_columns(index: FileIndex, table: Table) -> list[int]:
    """The columns that name images, those that name the most different ones first."""
    named = {}
    numbers = range(len(table.columns))
    # Where some cells are names of image files, no label can be one by chance.
    for number in [n for n in numbers if _holds_file_names(table, n)] or numbers:
        cells = set(table.cells(number))
        found = [cell for cell in cells if index.find(cell)]
        texts = sum(not cell.isdecimal() for cell in found)
        if texts >= _MIN_TEXTS or (found and len(found) >= _MIN_SHARE_OF_NUMBERS * len(cells)):
            named[number] = len(found)
    return sorted(named, key=lambda number: -named[number])


def _holds_file_names(table: Table, number: int) -> bool:
    cells = [cell for cell in table.cells(number) if cell.strip()]
    return bool(cells) and all(suffix_of(cell.strip()) in IMAGE_SUFFIXES for cell in cells)


def names_file(index: FileIndex, cell: str) -> bool:
    """Whether a cell is the name of an image, of one here or of any."""
    return bool(cell.strip()) and (suffix_of(cell) in IMAGE_SUFFIXES or bool(index.find(cell)))


def settle_folders(index: FileIndex, table: Table, names: ImageNames, *, masks: bool) -> ImageNames:
    """With the folder in which each name of the head is one file; ``MisuseError`` if several are
    such. The one of `masks` speaks of masks, if only one does, the other one doesn't."""
    find = names.find_any if masks else names.find
    hits = [
        [index.images[number] for number in find(index, names.text(row))]
        for row in table.head
        if len(row) > max(names.columns)
    ]
    ambiguous = [paths for paths in hits if len(paths) > 1]
    if not ambiguous:
        return names
    candidates = dict.fromkeys(folder for path in ambiguous[0] for folder in ancestors(path))
    fitting = [
        folder
        for folder in candidates
        if all(sum(under(path, folder) for path in paths) == 1 for paths in hits if paths)
    ]
    widest = [
        folder
        for folder in fitting
        if not any(other != folder and under(folder, other) for other in fitting)
    ]
    word = split_word(table.name)
    alike = [folder for folder in widest if word is not None and split_word(folder) == word]
    flat = [folder for folder in widest if all(_directly_in(paths, folder) for paths in hits)]
    kind = [folder for folder in widest if is_mask_name(folder.rpartition("/")[2]) == masks]
    for choice in (widest, alike, flat, kind):
        if len(choice) == 1:
            return replace(names, folder=choice[0])
    if not widest:
        return names
    listed = "".join(f"\n  --images {folder}" for folder in widest)
    raise MisuseError(
        f"{table.name}: the files that it names{names.describe(table)} lie in more than one "
        f"folder. Pick one:{listed}"
    )


def several_files(index: FileIndex, table: Table) -> tuple[str, str, list[str]] | None:
    """A column, a cell of it and files whose names begin with that cell, if there is such a column:
    an id that has several files."""
    for number, column in enumerate(table.columns):
        for cell in [cell for cell in table.cells(number) if len(cell) > 1][:3]:
            found = sorted(_beginning_with(index, cell))
            if len(found) > 1:
                return column, cell, found
    return None


def _beginning_with(index: FileIndex, cell: str) -> Iterator[str]:
    for number in index.numbers:
        path = index.images[number]
        name = path.rpartition("/")[2]
        if name.startswith(cell) and not name[len(cell) :][:1].isalnum():
            yield path


def _directly_in(paths: Sequence[str], folder: str) -> bool:
    return not paths or any(folder_of(path) == folder for path in paths)


def _ends_with(path: str, text: str) -> bool:
    wanted = text.strip("/").removeprefix("./")
    suffix = suffix_of(path)
    ends = (path, path[: -len(suffix)] if suffix else path)
    return any(end == wanted or end.endswith("/" + wanted) for end in ends)
