"""Readings of the columns of a family of tables as labels or numbers."""

from collections.abc import Sequence
from dataclasses import replace

from tools.config import ShardConfig
from tools.download.file_index import FileIndex, folder_of
from tools.download.label_parsing import LabelRule, parse_flag
from tools.readings.columns import Column, Role
from tools.readings.families import Family
from tools.readings.family_parts import family_notes, family_words, is_asked_for, part_fields
from tools.readings.image_tables import LabelTable
from tools.readings.label_choice import LabelChoice, equals_folders, maps_to_folders
from tools.readings.label_rules import choose_rule, require_labels
from tools.readings.named_tables import NamedTable
from tools.readings.reading import Kind, Reading, sorted_numbers
from tools.readings.split_columns import split_of_folder


def label_reading(
    index: FileIndex,
    family: Family,
    config: ShardConfig,
    choice: LabelChoice,
    columns: Sequence[Column],
    folders: Sequence[str | None],
) -> Reading:
    """The reading of `columns` as the target; `folders`: the class folder of each row's image.

    Raises ``DataError`` if the cells are no classes, ``MisuseError`` if options don't fit them.
    """
    first = family.first.table
    if not config.label_column and len(columns) == 1 and columns[0].role in (Role.TEXT, Role.ID):
        require_labels(first.name, columns[0])
    chosen = choose_rule(first.name, columns, config)
    tests = [named for named in family.tables if _is_unlabeled(family, named, columns)]
    labeled = [named for named in family.tables if named not in tests]
    parts = tuple(_label_part(index, family, named, chosen.rule, config) for named in labeled)
    words = family_words(family) if len(choice.targets) == 1 else ()
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
        is_asked_for=is_asked_for(family, columns),
        agrees_with_folders=equals_folders(labels, folders),
        has_header=first.header,
        maps_to_folders=maps_to_folders(labels, folders),
        tests=tuple(tests),
        pairs=frozenset(zip(family.images, labels.cells, strict=True)),
        names_classes=_is_class_list(index, family, labels),
        notes=(
            *_notes(family, choice, columns, chosen.note),
            *family_notes(index, family, [column.index for column in columns]),
        ),
    )


def _is_unlabeled(family: Family, named: NamedTable, columns: Sequence[Column]) -> bool:
    """Whether a test table has the same mark in all rows, or none, which no other table has."""
    if named.split != "test" or len(family.tables) < 2 or len(columns) != 1:
        return False
    values, others = set[str](), set[str]()
    for table in family.tables:
        place = family.column_of(table, columns[0].index)
        cells = {row[place].strip() for row in table.rows if len(row) > place}
        (values if table is named else others).update(cells)
    return len(values) <= 1 and not values & (others - {""})


def _label_part(
    index: FileIndex, family: Family, named: NamedTable, rule: LabelRule, config: ShardConfig
) -> LabelTable:
    places = tuple(family.column_of(named, column) for column in rule.columns)
    return LabelTable(
        rule=replace(rule, columns=places),
        unites_rows=config.task == "multi-label",
        **part_fields(index, family, named, config),
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
