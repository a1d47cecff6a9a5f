"""Rows of arrays that a table names by their ids, as if each row were an image file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tools.arrays.parts import ArrayPart
from tools.download.file_index import FileIndex
from tools.download.image_files import ENTRY_DTYPE, Entries
from tools.download.name_index import PathTable
from tools.download.sources import Sources


@dataclass(frozen=True)
class ArrayRows:
    """`index` has a path "SPLIT/ID" for each row of `parts`; `rows`: the row of each path."""

    parts: tuple[ArrayPart, ...]
    index: FileIndex
    rows: dict[str, int]


def rows_with_ids(index: FileIndex, parts: Sequence[ArrayPart]) -> ArrayRows | None:
    """The rows of `parts`; None unless none of them has labels and all have ids."""
    if not parts or any(part.labeled or part.ids is None for part in parts):
        return None
    paths = [
        f"{part.split or 'train'}/{name}"
        for part in parts
        for name in (part.ids() if part.ids is not None else ())
    ]
    ordered = sorted(paths)
    rows = np.zeros(len(ordered), ENTRY_DTYPE)
    rows["archive"] = -1
    named = replace(index, images=PathTable(ordered), entries=Entries(rows, ()))
    return ArrayRows(tuple(parts), named, {path: row for row, path in enumerate(paths)})


def with_images(labeled: Sources, rows: ArrayRows, images: Sources) -> Sources:
    """`labeled`, whose names are paths of ``ArrayRows``, with the images of the rows."""
    numbers = np.array([rows.rows[name] for name in labeled.names], np.int64)
    taken = images.take(numbers)
    # Without the split before the id.
    ids = PathTable(path.partition("/")[2] for path in labeled.names)
    return replace(labeled, images=taken.images, names=taken.names, ids=ids)
