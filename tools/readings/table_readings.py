"""Readings of the tables that name images: which column is the target, and how it is read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from pipeline.errors import MisuseError
from tools.config import ShardConfig
from tools.download.file_index import FileIndex, folder_of
from tools.download.label_parsing import LabelRule, parse_flag
from tools.download.name_index import name_of
from tools.download.name_patterns import class_of_folder, is_class_folder
from tools.download.sources import sort_classes
from tools.readings.class_folders import class_folder
from tools.readings.columns import Column, Role
from tools.readings.families import Family
from tools.readings.image_tables import LabelTable, MaskTable, RunLengthTable
from tools.readings.label_choice import (
    LabelChoice,
    LabelEvidence,
    choose_label,
    equals_folders,
    maps_to_folders,
)
from tools.readings.label_rules import choose_rule, require_labels
from tools.readings.mask_readings import mask_meaning
from tools.readings.named_tables import NamedTable
from tools.readings.reading import Kind, Reading, sorted_numbers
from tools.readings.split_columns import (
    choose_split_column,
    folders_differ,
    split_columns,
    split_of_folder,
)
from tools.text import join_names

# Options that name a column which the tables of the labels must have.
_ROLES = ("label_column", "split_column", "group_column", "mask_column")


@dataclass(frozen=True, kw_only=True)
class TableReadings:
    """The readings of a family, the likeliest first; without any, `reason` or `error` says why."""

    readings: tuple[Reading, ...]
    reason: str = ""
    error: MisuseError | None = None


def read_family(
    index: FileIndex, family: Family, config: ShardConfig, known: frozenset[str]
) -> TableReadings:
    """The readings of `family`; `known` are classes that folders or other tables have.

    Raises ``MisuseError`` for a --label-column that doesn't fit the tables.
    """
    if family.first.masks is not None:
        return TableReadings(readings=(_mask_reading(index, family, config),))
    runs = [c for c in _others(family) if c.role is Role.RUNS and _is_told(family, config, c)]
    if runs and config.task in ("auto", "segmentation"):
        return TableReadings(readings=(_run_reading(index, family, config, runs[0]),))
    if config.task == "segmentation":
        return TableReadings(readings=(), reason="no column names masks")
    if any(family.first.table.find(name) is None for _, name in config.named_columns(*_ROLES)):
        return TableReadings(readings=(), reason="")
    folders = [_class_folder_of(index, number) for number in family.images]
    if len(family.tables) == 1 and len({*folders}) == 1 and folders[0] in known:
        return TableReadings(readings=(), reason="")
    choice = _choose(
        family,
        config,
        LabelEvidence(
            folders=folders, lacking=family.lacking, submission=family.submission, known=known
        ),
    )
    readings, error = [], None
    for target in choice.targets:
        columns = [family.columns[n] for n in target]
        try:
            readings.append(_label_reading(index, family, config, choice, columns, folders))
        except MisuseError as problem:
            if config.label_column:
                raise
            error = error or problem
    reason = ""
    if not readings and (columns := [column for column in _others(family) if column.values]):
        reasons = join_names([_reason(column) for column in columns], 4)
        reason = f"{family.first.table.name}: {reasons}."
    return TableReadings(readings=tuple(readings), reason=reason, error=None if readings else error)


def _others(family: Family) -> list[Column]:
    return [column for column in family.columns if column.index not in family.naming]


def _reason(column: Column) -> str:
    """Why a column has no labels."""
    different = f"{len(column.values):,} different cells in {column.filled:,} rows"
    return f"column {column.name!r} looks like {column.role.value} ({different})"


def _choose(family: Family, config: ShardConfig, evidence: LabelEvidence) -> LabelChoice:
    table = family.first.table
    if told := table.option_columns(config, "label_column"):
        return LabelChoice(targets=(tuple(told),))
    excluded = set(family.naming) | {column.number for column in split_columns(table)}
    excluded |= set(table.option_columns(config, "split_column", "group_column"))
    choice = choose_label(family.columns, excluded, evidence)
    if choice.targets or len(family.first.names.columns) < 2:
        return choice
    # A label may be a part of a file's path.
    return choose_label(family.columns, excluded - {*family.first.names.columns}, evidence)


def _class_folder_of(index: FileIndex, number: int) -> str | None:
    folder = class_folder(folder_of(index.images[number]))
    name = name_of(folder)
    return class_of_folder(name) if folder and is_class_folder(name) else None


def _label_reading(
    index: FileIndex,
    family: Family,
    config: ShardConfig,
    choice: LabelChoice,
    columns: Sequence[Column],
    folders: Sequence[str | None],
) -> Reading:
    first = family.first.table
    if not config.label_column and len(columns) == 1 and columns[0].role in (Role.TEXT, Role.ID):
        require_labels(first.name, columns[0])
    chosen = choose_rule(first.name, columns, config)
    parts = tuple(_label_part(index, family, named, chosen.rule, config) for named in family.tables)
    several = len(choice.targets) > 1
    words = _table_words(family) if several is False else ()
    names = [word for column in columns for word in ("--label-column", column.name)]
    labels = columns[0] if len(columns) == 1 else _one_hot_labels(columns)
    return Reading(
        kind=Kind.TABLE,
        parts=parts,
        words=words or tuple(names),
        task=chosen.rule.task,
        images=sorted_numbers(family.images),
        classes=labels.values,
        likelihood=max(column.likelihood for column in columns),
        is_asked_for=_is_asked_for(family, columns),
        agrees_with_folders=equals_folders(labels, folders),
        maps_to_folders=maps_to_folders(labels, folders),
        names_classes=_is_class_list(index, family, labels),
        notes=(
            *_notes(family, choice, columns, chosen.note),
            *_table_notes(index, family, [column.index for column in columns]),
        ),
    )


def _is_told(family: Family, config: ShardConfig, column: Column) -> bool:
    told = family.first.table.option_columns(config, "label_column", "mask_column")
    return not told or column.index in told


def _run_reading(index: FileIndex, family: Family, config: ShardConfig, runs: Column) -> Reading:
    """The reading of masks as run lengths, with classes if a column has some for the objects."""
    labels = [
        column
        for column in _others(family)
        if column.role is Role.LABEL and column.likelihood and column is not runs
    ]
    label = max(labels, key=lambda column: column.likelihood, default=None)
    values = (
        []
        if label is None
        else [value for value, cell in zip(label.cells, runs.cells, strict=True) if value and cell]
    )
    names = sort_classes(tuple(dict.fromkeys(values))) if label else ("foreground",)
    note = "" if label is None else (f"Column {label.name!r} is taken as the class of each object.")
    return Reading(
        kind=Kind.RUN_LENGTHS,
        parts=tuple(
            RunLengthTable(
                runs=family.column_of(named, runs.index),
                label=None if label is None else family.column_of(named, label.index),
                classes=("background", *names),
                **_fields(index, family, named, config),
            )
            for named in family.tables
        ),
        words=_table_words(family),
        task="segmentation",
        images=sorted_numbers(family.images),
        is_asked_for=_is_asked_for(family, [runs]),
        notes=(*([note] if note else []), *_table_notes(index, family, [runs.index])),
    )


def _is_class_list(index: FileIndex, family: Family, labels: Column) -> bool:
    """Whether each row is a class with an example, not an image of a split."""
    paths = (folder_of(index.images[number]) for number in family.images)
    has_split = family.first.split is not None or any(map(split_of_folder, paths))
    return len(labels.values) == len(family.images) and not has_split


def _one_hot_labels(columns: Sequence[Column]) -> Column:
    """A column with the name of the column that is 1 in each row, "" if there are others."""
    rows = zip(*(column.cells for column in columns), strict=True)
    names = [
        [column.name for column, cell in zip(columns, row, strict=True) if parse_flag(cell)]
        for row in rows
    ]
    return Column(columns[0].index, "", [row[0] if len(row) == 1 else "" for row in names])


def _is_asked_for(family: Family, columns: Sequence[Column]) -> bool:
    names = {column.name.casefold() for column in columns}
    asked = {name.casefold() for name in family.submission}
    values = {value for column in columns for value in column.values}
    return (
        bool(names & asked)
        or (len(asked) > 1 and values <= set(family.submission))
        or (family.lacking is not None and any(column.name in family.lacking for column in columns))
    )


def _notes(family: Family, choice: LabelChoice, columns: Sequence[Column], note: str) -> list[str]:
    names = " and ".join(repr(column.name) for column in columns[:3])
    notes = []
    if choice.reason:
        what = f"Column {names} is" if len(columns) == 1 else f"Columns {names} ... are"
        notes.append(f"{what} taken as the label: {choice.reason}; --label-column picks another.")
    if choice.equivalent:
        same = " and ".join(map(repr, choice.equivalent[:3]))
        notes.append(f"Column {same} says the same as {names}.")
    return [*notes, *([note] if note else [])]


def _case_note(index: FileIndex, named: NamedTable) -> str:
    """A sentence if the table writes names in another case than the files, else ""."""
    for row, number in zip(named.rows, named.images, strict=True):
        name, file = (
            name_of(named.names.text(row).replace("\\", "/")),
            name_of(index.images[number]),
        )
        if name not in (file, PurePosixPath(file).stem) and file.casefold().startswith(
            name.casefold()
        ):
            return f"{named.table.name} writes file names in another case: {name} for {file}."
    return ""


def _table_notes(index: FileIndex, family: Family, columns: Sequence[int]) -> list[str]:
    """What was assumed about the text of the tables and of the columns in use."""
    notes = [note for named in family.tables for note in named.table.notes]
    notes += [note for named in family.tables if (note := _case_note(index, named))]
    for column in (*family.first.names.columns, *columns):
        for named in family.tables:
            notes += named.table.notes_of(family.column_of(named, column))
    return list(dict.fromkeys(notes))


def _table_words(family: Family) -> tuple[str, ...]:
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


def _fields(
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
        (split for split, path in config.label_places if index.table_named(path) == name), None
    )


def _label_part(
    index: FileIndex, family: Family, named: NamedTable, rule: LabelRule, config: ShardConfig
) -> LabelTable:
    places = tuple(family.column_of(named, column) for column in rule.columns)
    return LabelTable(
        rule=replace(rule, columns=places),
        unites_rows=config.task == "multi-label",
        **_fields(index, family, named, config),
    )


def _mask_reading(index: FileIndex, family: Family, config: ShardConfig) -> Reading:
    masks = sorted_numbers(_masks(index, family))
    meaning = mask_meaning(index, config, masks)
    parts = tuple(
        MaskTable(
            masks=named.masks,
            classes=meaning.classes,
            colors=meaning.colors,
            **_fields(index, family, named, config),
        )
        for named in family.tables
        if named.masks is not None
    )
    return Reading(
        kind=Kind.TABLE,
        parts=parts,
        words=_table_words(family),
        task="segmentation",
        images=sorted_numbers(family.images),
        is_asked_for=True,
        masks=frozenset(masks.tolist()),
        notes=(*([meaning.note] if meaning.note else []), *_table_notes(index, family, [])),
    )


def _masks(index: FileIndex, family: Family) -> Iterator[int]:
    """The masks that the sampled rows name."""
    for named in family.tables:
        masks = named.masks
        if masks is not None:
            for row in named.rows:
                if len(row) > max(masks.columns):
                    yield from masks.find_anywhere(index, masks.text(row))
