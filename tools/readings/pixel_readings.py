"""Readings of tables with an image in each row."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tools.config import ShardConfig
from tools.download.tables import Table
from tools.pixel_tables.pixel_table import PixelTable, detect_pixel_table
from tools.readings.reading import Kind, Reading, order_parts


def pixel_readings(tables: Sequence[Table], config: ShardConfig) -> list[Reading]:
    """A reading of the tables that are splits of one whole, else one of each table; tables without
    labels are the test split of the others.

    Raises ``MisuseError`` for options that don't fit the tables.
    """
    usable = [
        table
        for table in tables
        if all(table.find(name) is not None for _, name in config.named_columns())
    ]
    parts = [part for table in usable if (part := detect_pixel_table(table, config)) is not None]
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
