"""What the readings of a family of tables have in common: fields of parts, options, sentences."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.download.name_index import name_of
from tools.named_places import label_places
from tools.readings.columns import Column
from tools.readings.families import Family
from tools.readings.named_tables import NamedTable
from tools.readings.split_columns import choose_split_column, folders_differ


def part_fields(
    index: FileIndex, family: Family, named: NamedTable, config: ShardConfig
) -> dict[str, Any]:
    """The fields that label tables and mask tables share."""
    table = named.table
    split_column = choose_split_column(table, config)
    paths = [index.images[number] for number in named.images]
    group = table.option_column(config, "group_column")
    return {
        "option": f"--labels {table.name}",
        "name": table.name,
        "table": table,
        "images": named.names,
        "split": _told_split(config, index, table.name) or named.split,
        "split_column": split_column,
        "has_splits": split_column is not None or folders_differ(paths),
        "group": group,
        "has_groups": group is not None,
    }


def _told_split(config: ShardConfig, index: FileIndex, name: str) -> str | None:
    return next(
        (split for split, path in label_places(config) if index.table_named(path) == name), None
    )


def family_words(family: Family) -> tuple[str, ...]:
    """The options that select the tables of a family."""
    if len(family.tables) == 1:
        return ("--labels", family.first.table.name)
    return tuple(
        word
        for named in family.tables
        for word in (
            "--labels",
            f"{named.split}={named.table.name}" if named.split else named.table.name,
        )
    )


def family_notes(index: FileIndex, family: Family, columns: Sequence[int]) -> list[str]:
    """What was assumed about the text of the tables and of the columns in use."""
    notes = [note for named in family.tables for note in named.table.notes]
    notes += [note for named in family.tables if (note := _case_note(index, named))]
    for column in (*family.first.names.columns, *columns):
        for named in family.tables:
            notes += named.table.notes_of(family.column_of(named, column))
    return list(dict.fromkeys(notes))


def _case_note(index: FileIndex, named: NamedTable) -> str:
    """A sentence if the table writes names in another case than the files, else ""."""
    for row, number in zip(named.rows, named.images, strict=True):
        name = name_of(named.names.text(row).replace("\\", "/"))
        file = name_of(index.images[number])
        is_same = file.casefold().startswith(name.casefold())
        if is_same and name not in (file, PurePosixPath(file).stem):
            return f"{named.table.name} writes file names in another case: {name} for {file}."
    return ""


def is_asked_for(family: Family, columns: Sequence[Column]) -> bool:
    """Whether a sample submission or a test table asks for these columns."""
    names = {column.name.casefold() for column in columns}
    asked = {name.casefold() for name in family.submission}
    values = {value for column in columns for value in column.values}
    return (
        bool(names & asked)
        or (len(asked) > 1 and values <= set(family.submission))
        or (family.lacking is not None and any(column.name in family.lacking for column in columns))
    )
