"""Readings of tables with an image in each row."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from tools.config import ShardConfig
from tools.download.name_index import name_of
from tools.download.sources import sort_classes
from tools.download.tables import Table
from tools.named_places import named_columns
from tools.pixel_tables.pixel_table import PixelTable, detect_pixel_table
from tools.readings.reading import Kind, Reading, order_parts


def pixel_tables(tables: Sequence[Table], config: ShardConfig) -> dict[str, PixelTable]:
    """The tables with an image in each row, by name, without copies of others.

    Raises ``MisuseError`` for options that don't fit the tables.
    """
    usable = [
        table
        for table in tables
        if all(table.find(name) is not None for _, name in named_columns(config))
    ]
    found = {table.name: detect_pixel_table(table, config) for table in usable}
    values = {prod(part.shape) for part in found.values() if part is not None and part.labels}
    parts: dict[str, PixelTable] = {}
    seen = set()
    for table in usable:
        part = found[table.name]
        if part is None and values and not table.header:
            part = detect_pixel_table(table, config, values)
        form = (name_of(table.name), table.columns, table.head)
        if part is not None and form not in seen:
            seen.add(form)
            parts[table.name] = part
    return parts


def count_rows(reading: Reading) -> tuple[int, tuple[str, ...]]:
    """The number of rows with labels, and the classes, of a reading of pixels."""
    rows, classes = 0, set[str]()
    for part in reading.parts:
        if isinstance(part, PixelTable) and part.labels:
            for _, cells in part.table.rows():
                rows += 1
                if len(part.labels) == 1 and len(cells) > part.labels[0]:
                    classes.add(cells[part.labels[0]].strip())
    return rows, sort_classes(tuple(classes))


def pixel_readings(parts: Sequence[PixelTable]) -> list[Reading]:
    """A reading of the tables that are splits of one whole, else one of each table; tables without
    labels are the test split of the others."""
    labeled = [part for part in parts if part.labels or part.problem]
    if not labeled:
        return []
    splits = [part.split for part in labeled]
    are_splits = None not in splits and "train" in splits and len(set(splits)) == len(splits)
    groups = [labeled] if are_splits else [[part] for part in labeled]
    return [_reading(group, [part for part in parts if part not in labeled]) for group in groups]


def _reading(labeled: Sequence[PixelTable], unlabeled: Sequence[PixelTable]) -> Reading:
    first = labeled[0]
    tests = [
        replace(part, split="test", task=first.task)
        for part in unlabeled
        if part.shape == first.shape and part.planar == first.planar
    ]
    words = [word for part in labeled for word in ("--labels", part.table.name)]
    return Reading(
        kind=Kind.PIXELS,
        parts=(*order_parts(labeled), *tests),
        words=tuple(words),
        task=first.task,
        images=np.empty(0, np.int64),
    )
