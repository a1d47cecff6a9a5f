"""Readings of the tables that name images: which columns may be the target."""

from dataclasses import dataclass

from pipeline.errors import MisuseError
from pipeline.text import join_names, plural
from tools.config import ShardConfig
from tools.download.file_index import FileIndex, folder_of
from tools.download.name_index import name_of
from tools.download.name_patterns import class_of_folder, is_class_folder
from tools.named_places import named_columns
from tools.readings.class_folders import class_folder
from tools.readings.columns import Column, Role
from tools.readings.families import Family
from tools.readings.label_choice import LabelChoice, LabelEvidence, choose_label
from tools.readings.label_readings import label_reading
from tools.readings.mask_tables import mask_reading, run_reading
from tools.readings.reading import Reading
from tools.readings.split_columns import choose_split_column, split_columns

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

    Raises ``MisuseError`` for a --label-column or --split-column that doesn't fit the tables.
    """
    if family.first.masks is not None:
        return TableReadings(readings=(mask_reading(index, family, config),))
    runs = [c for c in _others(family) if c.role is Role.RUNS and _is_told(family, config, c)]
    if runs and config.task in ("auto", "segmentation"):
        return TableReadings(readings=(run_reading(index, family, config, runs[0]),))
    if config.task == "segmentation":
        return TableReadings(readings=(), reason="no column names masks")
    if any(family.first.table.find(name) is None for _, name in named_columns(config, *_ROLES)):
        return TableReadings(readings=(), reason="")
    folders = [_class_folder_of(index, number) for number in family.images]
    if len({*folders}) == 1 and name_of(folder_of(family.first.table.name)) == folders[0]:
        # Details of the images of one class, beside them.
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
            readings.append(label_reading(index, family, config, choice, columns, folders))
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


def _is_told(family: Family, config: ShardConfig, column: Column) -> bool:
    told = family.first.table.option_columns(config, "label_column", "mask_column")
    return not told or column.index in told


def _reason(column: Column) -> str:
    """Why a column has no labels."""
    if column.role is Role.CONSTANT:
        return f"column {column.name!r} is {column.role.value} ({column.filled:,} were read)"
    different = f"{plural(len(column.values), 'different cell')} in {column.filled:,} rows"
    return f"column {column.name!r} looks like {column.role.value} ({different})"


def _choose(family: Family, config: ShardConfig, evidence: LabelEvidence) -> LabelChoice:
    table = family.first.table
    if told := table.option_columns(config, "label_column"):
        return LabelChoice(targets=(tuple(told),))
    excluded = set(family.naming) | {column.number for column in split_columns(table)}
    excluded |= set(table.option_columns(config, "split_column", "group_column"))
    if config.split_column is not None:
        choose_split_column(table, config)
    choice = choose_label(family.columns, excluded, evidence)
    if choice.targets or len(family.first.names.columns) < 2:
        return choice
    # A label may be a part of a file's path.
    return choose_label(family.columns, excluded - {*family.first.names.columns}, evidence)


def _class_folder_of(index: FileIndex, number: int) -> str | None:
    folder = class_folder(folder_of(index.images[number]))
    name = name_of(folder)
    return class_of_folder(name) if folder and is_class_folder(name) else None
