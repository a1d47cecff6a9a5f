"""Open the tables of a download that may say something about its images."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import PurePosixPath

from pipeline.errors import DataError
from tools.config import ShardConfig
from tools.download.file_index import FileIndex, folder_of
from tools.download.label_parsing import parse_number
from tools.download.name_patterns import is_csv, is_submission
from tools.download.tables import Table, open_table
from tools.named_places import label_places
from tools.pixel_tables.pixel_columns import is_wide, looks_like_pixels
from tools.readings.image_names import names_file

# From this many files on, texts that are called like images are notes about one image each.
_MIN_NOTES = 2
# So many folders side by side with a table each hold details about their own images.
_MIN_FOLDERS_WITH_TABLES = 50


@dataclass(frozen=True)
class OpenedTables:
    """`tables` have rows; `problems`: why the others can't be read, by name."""

    tables: tuple[Table, ...]
    problems: dict[str, str] = field(default_factory=dict)


def open_tables(index: FileIndex, config: ShardConfig) -> OpenedTables:
    """The tables of the download, or those of --labels; raises ``DataError`` for an unreadable
    table that an option names."""
    named = [
        name for _, path in label_places(config) if (name := index.table_named(path)) is not None
    ]
    if empty := [name for name in named if name in index.empty]:
        raise DataError(
            f"{index.storage.where(empty[0])} is empty: download it again, or pass "
            f"another --labels."
        )
    tables, problems = [], {}
    for name in named or _candidates(index):
        try:
            table = open_one(index, name, config)
        except DataError as error:
            if named:
                raise
            problems[name] = error.message
        else:
            if table is not None:
                tables.append(table)
    return OpenedTables(tuple(tables), problems)


def _candidates(index: FileIndex) -> Iterator[str]:
    notes, crowded = _image_notes(index), _folders_with_similar_tables(index)
    empty = set(index.empty)
    for name in index.tables:
        if name not in empty and name not in notes and folder_of(name) not in crowded:
            yield name


def _image_notes(index: FileIndex) -> frozenset[str]:
    """Texts that are called like an image, such as YOLO's boxes; without the empty ones, which only
    count."""
    empty = set(index.empty)
    texts = [name for name in index.tables if not is_csv(name)]

    def notes(of_empty: bool) -> Iterator[str]:
        return (
            name
            for name in texts
            if (name in empty) is of_empty and index.find_anywhere(PurePosixPath(name).stem)
        )

    if not (filled := frozenset(notes(of_empty=False))):
        return filled
    missing = max(0, _MIN_NOTES - len(filled))
    return filled if len(list(islice(notes(of_empty=True), missing))) == missing else frozenset()


def _folders_with_similar_tables(index: FileIndex) -> frozenset[str]:
    """Folders side by side that hold a table and images each, such as the boxes of a class."""
    folders = [folder_of(name) for name in index.tables]
    above = Counter(folder_of(folder) for folder in set(folders) if folder)
    return frozenset(
        folder for folder in folders if above[folder_of(folder)] >= _MIN_FOLDERS_WITH_TABLES
    )


def open_one(index: FileIndex, name: str, config: ShardConfig) -> Table | None:
    """The table of this name; None if it has no rows. Raises ``DataError``."""
    told = config.submission is not None and index.table_named(config.submission) == name
    shows_submission = told or is_submission(name)

    def is_header(first: list[str], second: list[str]) -> bool:
        # --header is about the labels.
        if config.header is not None and not shows_submission:
            return config.header
        if is_wide(first):
            return not looks_like_pixels(first)
        are_numbers = all(parse_number(cell) is not None for cell in first)
        return not (are_numbers or any(names_file(index, cell) for cell in first))

    table = open_table(name, partial(index.open, name), is_header=is_header)
    return None if table is None else replace(table, is_submission=shows_submission)
