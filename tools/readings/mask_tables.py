"""Readings of tables with masks: the names of mask files, or run lengths."""

from collections.abc import Iterator

from pipeline.errors import MisuseError
from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.download.sources import sort_classes
from tools.readings.columns import Column, Role
from tools.readings.families import Family
from tools.readings.family_parts import family_notes, family_words, is_asked_for, part_fields
from tools.readings.image_tables import MaskTable, RunLengthTable
from tools.readings.mask_readings import mask_meaning
from tools.readings.reading import Kind, Reading, sorted_numbers


def mask_reading(index: FileIndex, family: Family, config: ShardConfig) -> Reading:
    """The reading of tables that name an image and its mask in each row."""
    masks = sorted_numbers(_masks(index, family))
    meaning = mask_meaning(index, config, masks)
    parts = tuple(
        MaskTable(
            masks=named.masks,
            classes=meaning.classes,
            colors=meaning.colors,
            **part_fields(index, family, named, config),
        )
        for named in family.tables
        if named.masks is not None
    )
    return Reading(
        kind=Kind.TABLE,
        parts=parts,
        words=family_words(family),
        task="segmentation",
        images=sorted_numbers(family.images),
        is_asked_for=True,
        masks=frozenset(masks.tolist()),
        notes=(*([meaning.note] if meaning.note else []), *family_notes(index, family, [])),
    )


def _masks(index: FileIndex, family: Family) -> Iterator[int]:
    """The masks that the sampled rows name."""
    for named in family.tables:
        masks = named.masks
        if masks is not None:
            for row in named.rows:
                if len(row) > max(masks.columns):
                    yield from masks.find_anywhere(index, masks.text(row))


def run_reading(index: FileIndex, family: Family, config: ShardConfig, runs: Column) -> Reading:
    """The reading of masks as run lengths, with classes if a column has some for the objects."""
    labels = [
        column
        for column in family.columns
        if column.role is Role.LABEL
        and column.likelihood
        and column.index not in {runs.index, *family.naming}
    ]
    label = max(labels, key=lambda column: column.likelihood, default=None)
    if "-1" in runs.values and config.uncertain is None:
        count = list(runs.cells).count("-1")
        raise MisuseError(
            f"{family.first.table.name}: column {runs.name!r} has run lengths, and -1 in {count:,} "
            f"rows. If it means that there is no object, pass --uncertain 0."
        )
    names: tuple[str, ...] = ("foreground",)
    notes = family_notes(index, family, [runs.index])
    if label is not None:
        pairs = zip(label.cells, runs.cells, strict=True)
        names = sort_classes(tuple(dict.fromkeys(name for name, run in pairs if name and run)))
        notes.append(f"Column {label.name!r} is taken as the class of each object.")
    return Reading(
        kind=Kind.RUN_LENGTHS,
        parts=tuple(
            RunLengthTable(
                runs=family.column_of(named, runs.index),
                label=None if label is None else family.column_of(named, label.index),
                classes=("background", *names),
                **part_fields(index, family, named, config),
            )
            for named in family.tables
        ),
        words=family_words(family),
        task="segmentation",
        images=sorted_numbers(family.images),
        is_asked_for=is_asked_for(family, [runs]),
        notes=tuple(notes),
    )
