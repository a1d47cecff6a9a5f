"""Find out how the labels of a download can be read, from what its files show.

    tables, folders, names of files -> readings -> without dominated ones -> splits joined
    -> one reading, or a question

No competition is known by its name. Every place that could say the targets gives a reading with
evidence measured over the data.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, MisuseError
from tools.arrays.choice import choose_array_parts, left_out
from tools.arrays.detect import find_array_parts
from tools.arrays.parts import ArrayPart
from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.download.label_parsing import LabelList
from tools.download.sources import Sources, sort_classes
from tools.download.tables import Table
from tools.named_places import label_places, named_columns
from tools.pixel_tables.pixel_table import PixelTable
from tools.readings.ambiguity import question
from tools.readings.array_rows import ArrayRows, rows_with_ids
from tools.readings.box_readings import box_readings
from tools.readings.class_folders import (
    ClassFolders,
    find_class_folders,
    folder_classes,
    has_mask_folder,
    parse_label_pattern,
    without_masks,
)
from tools.readings.collect import FilePart, collect_files
from tools.readings.contradictions import contradictions
from tools.readings.dominance import drop_dominated
from tools.readings.evidence import describe_columns, describe_readings
from tools.readings.explain import explain
from tools.readings.families import Family, join_tables
from tools.readings.folder_readings import folder_readings, name_readings, pattern_reading, trees_at
from tools.readings.image_names import names_files
from tools.readings.image_tables import LabelTable
from tools.readings.joining import join_splits
from tools.readings.mask_readings import mask_numbers, mask_readings, template_reading
from tools.readings.named_tables import NamedTable, named_tables
from tools.readings.open_tables import OpenedTables, open_tables
from tools.readings.pixel_readings import count_rows, pixel_readings, pixel_tables
from tools.readings.reading import Kind, Part, Reading
from tools.readings.splits import SplitFacts, find_split_facts
from tools.readings.submission import Submission, find_submissions
from tools.readings.table_readings import read_family
from tools.readings.unlabeled import UnlabeledImages


@dataclass(frozen=True, kw_only=True)
class Detection:
    """The parts of the download, train first, and what was assumed, a sentence each. `rows`: the
    rows of arrays that stand for image files. `tables`: those that may name the classes.
    `submissions`: the sample submissions. `evidence`: lines about each reading, `columns`: about
    each column of the tables."""

    parts: tuple[Part | ArrayPart, ...]
    splits: NDArray[np.int8] | None = None
    notes: tuple[str, ...] = ()
    rows: ArrayRows | None = None
    tables: tuple[Table, ...] = ()
    submissions: tuple[Submission, ...] = ()
    evidence: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Download:
    """What the readings are made from."""

    index: FileIndex
    config: ShardConfig
    opened: OpenedTables
    pixels: tuple[PixelTable, ...]
    named: tuple[NamedTable, ...]
    families: tuple[Family, ...]
    submissions: tuple[Submission, ...]
    split_facts: SplitFacts | None
    errors: list[MisuseError | DataError] = field(default_factory=list)


def detect(index: FileIndex, config: ShardConfig) -> Detection:
    """The parts of the download.

    Raises ``MisuseError`` if more than one reading remains, or an option names something that does
    not exist; ``DataError`` if there is none.
    """
    download = _open(index, config)
    readings, reasons = _readings(download)
    if not readings:
        if not index.images and (detection := _detect_arrays(index, config)) is not None:
            return replace(
                detection,
                tables=detection.tables or download.opened.tables,
                submissions=download.submissions,
            )
        if download.errors:
            raise download.errors[0]
        raise explain(index, download.opened, config, reasons)
    remaining = join_splits(drop_dominated(readings))
    if len(remaining) > 1:
        raise MisuseError(question(remaining, lambda reading: _outcome(download, reading)))
    detection = _detection(download, remaining[0])
    return replace(
        detection,
        notes=(*detection.notes, *contradictions(index, remaining[0], readings)),
        evidence=tuple(describe_readings(readings, remaining[0])),
        columns=tuple(describe_columns(download.families)),
    )


def _detect_arrays(index: FileIndex, config: ShardConfig) -> Detection | None:
    """The parts whose images are in arrays, with their own labels or those of a table."""
    if index.tables:
        # Options about columns are for the table.
        alone = replace(config, label_column=(), labels=(), image_column=None)
        if (rows := rows_with_ids(index, find_array_parts(index, alone))) is not None:
            return replace(detect(rows.index, config), rows=rows)
    arrays = find_array_parts(index, config)
    if not arrays:
        return None
    return Detection(parts=tuple(_choose_arrays(index, config, arrays)))


def _choose_arrays(
    index: FileIndex, config: ShardConfig, parts: Sequence[ArrayPart]
) -> list[ArrayPart]:
    """The parts of one data set, with a note about the others."""
    chosen = choose_array_parts(parts, index, config)
    if note := left_out(parts, chosen):
        chosen[0] = replace(chosen[0], notes=(*chosen[0].notes, note))
    return chosen


def _open(index: FileIndex, config: ShardConfig) -> _Download:
    opened = open_tables(index, config)
    may_be_pixels = [
        table for table in opened.tables if not (table.is_submission or names_files(index, table))
    ]
    pixels = pixel_tables(may_be_pixels, config)
    others = [table for table in opened.tables if table.name not in pixels]
    named = named_tables(index, others, config, opened.problems)
    families = tuple(join_tables(named, opened.tables))
    return _Download(
        index=index,
        config=config,
        opened=opened,
        pixels=tuple(pixels.values()),
        named=tuple(named),
        families=families,
        submissions=find_submissions(index, opened.tables, named, config),
        split_facts=find_split_facts(index, named, families, config),
    )


def _readings(download: _Download) -> tuple[list[Reading], list[str]]:
    """All readings, and why tables that name images give none."""
    index, config = download.index, download.config
    if config.label_pattern is not None:
        pattern = parse_label_pattern(index, config.label_pattern)
        return [pattern_reading(index, pattern)], []
    if config.mask_template is not None:
        return [template_reading(index, config, config.mask_template)], []
    folders = [path for _, path in label_places(config) if index.table_named(path) is None]
    if folders:
        trees = [tree for path in folders for tree in trees_at(index, path)]
        return folder_readings(index, trees), []
    trees = find_class_folders(index, "")
    readings, reasons = _table_readings(download, folder_classes(index, trees))
    if not (config.labels or named_columns(config) or config.path_template):
        readings += _readings_without_tables(download, trees, readings)
    fitting = [
        reading
        for reading in readings
        if config.task in ("auto", reading.task) or reading.kind is Kind.PIXELS
    ]
    return fitting, reasons


def _table_readings(download: _Download, known: frozenset[str]) -> tuple[list[Reading], list[str]]:
    index, config = download.index, download.config
    readings: list[Reading] = []
    reasons = []
    for family in download.families:
        result = read_family(index, family, config, known)
        readings += result.readings
        reasons += [result.reason] if result.reason else []
        download.errors.extend([result.error] if result.error else [])
    return [*readings, *pixel_readings(download.pixels)], reasons


def _readings_without_tables(
    download: _Download, trees: Sequence[ClassFolders], tables: Sequence[Reading]
) -> list[Reading]:
    """Readings of mask files, of class folders and, without any other, of file names."""
    index, config = download.index, download.config
    has_masks = any(reading.masks for reading in tables)
    masks = [] if has_masks else _mask_readings(download)
    mask_files = {number for reading in (*tables, *masks) for number in reading.masks}
    if config.task == "classification":
        mask_files |= mask_numbers(index, config)
    trees = [
        without_masks(tree, mask_files)
        for tree in trees
        if not has_mask_folder(index, tree, mask_files)
    ]
    folders = folder_readings(index, trees) if config.task in ("auto", "classification") else []
    if readings := [*masks, *folders]:
        return readings
    return [] if tables else box_readings(index, config) or name_readings(index, config)


def _mask_readings(download: _Download) -> list[Reading]:
    """The reading of mask files; masks that can't be told apart matter only without others."""
    if download.config.task not in ("auto", "segmentation"):
        return []
    try:
        return mask_readings(download.index, download.config)
    except DataError as error:
        if download.config.task == "segmentation":
            raise
        download.errors.append(error)
        return []


def _detection(download: _Download, reading: Reading) -> Detection:
    index, facts = download.index, download.split_facts
    notes = [*reading.notes, *index.copies.describe()]
    parts = list(reading.parts)
    if facts is not None:
        notes.append(facts.describe())
    if not isinstance(parts[0], PixelTable):
        parts.append(_unlabeled(download, reading))
    used = {part.name for part in parts if isinstance(part, FilePart)}
    return Detection(
        parts=tuple(parts),
        splits=None if facts is None else facts.splits,
        notes=tuple(notes),
        tables=tuple(table for table in download.opened.tables if table.name not in used),
        submissions=download.submissions,
    )


def _unlabeled(download: _Download, reading: Reading) -> UnlabeledImages:
    facts = download.split_facts
    submissions = [one.named for one in download.submissions if one.named is not None]
    tests = [table for family in download.families for table in family.tests]
    return UnlabeledImages(
        option="",
        split="test",
        tests=(*submissions, *tests, *reading.tests),
        splits=None if facts is None else facts.splits,
        task=reading.task,
    )


def _outcome(download: _Download, reading: Reading) -> tuple[int, tuple[str, ...]]:
    """The number of labeled images of a reading, and its classes."""
    if reading.kind is Kind.PIXELS:
        return count_rows(reading)
    sources = collect(download.index, _detection(download, reading))
    labeled = len(sources) if sources.labeled is None else int(sources.labeled.sum())
    classes = sources.classes if sources.ordered else sort_classes(sources.classes)
    return labeled, classes


def collect(index: FileIndex, detection: Detection) -> Sources:
    """The sources of the image files of a detection."""
    parts = [part for part in detection.parts if isinstance(part, FilePart)]
    sources = collect_files(parts, index, detection.splits)
    rules = [part.rule for part in parts if isinstance(part, LabelTable)]
    separators = [rule.separator or " " for rule in rules if isinstance(rule, LabelList)]
    return replace(sources, label_separator=separators[0] if separators else None)
