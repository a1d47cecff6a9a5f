"""The parts of a download that are parquet files of images."""

import re
import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial

import click
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, MisuseError
from pipeline.natural_order import natural_key
from pipeline.storage.manifest import SPLITS
from pipeline.text import plural
from tools.arrays.array_files import PARQUET_SUFFIXES, Refusal, array_paths
from tools.arrays.array_names import name_words
from tools.arrays.image_rows import ImageRows, PixelRows
from tools.arrays.parquet_labels import ChosenLabels, choose_labels
from tools.arrays.parquet_rows import read_column
from tools.arrays.parquet_tables import (
    ParquetTable,
    column_problem,
    open_table,
    rows_of,
    size_problem,
)
from tools.arrays.parts import ArrayPart
from tools.arrays.seekable_files import SeekableFiles
from tools.config import ShardConfig
from tools.download.name_patterns import split_of_cell, words_of
from tools.images.pixel_range import (
    PixelRange,
    UnknownRangeError,
    common_range,
    given_range,
    measure_range,
    require_levels,
)

# What writers add to the names of pieces: "-00000-of-00002-5a2d3f8e1b9c7d60".
_PIECE = re.compile(r"[-_.](?=[0-9a-f]*\d)[0-9a-f]{8,}.*$|[-_]of[-_]\d+.*$")
_PIXEL_WORDS = frozenset({"pixel", "pixels", "px", "pix", "image", "images", "img"})
_COUNTED = re.compile(r"[-_](\d+)[-_]of[-_](\d+)")


def parquet_parts(
    files: SeekableFiles, config: ShardConfig
) -> tuple[list[ArrayPart], list[Refusal]]:
    """The parts that are parquet files, a part a split, and the files that can't be read."""
    tables, refused = [], []
    for path in array_paths(files.index, PARQUET_SUFFIXES):
        try:
            if (table := open_table(files, path, config)) is not None:
                tables.append(table)
        except DataError as error:
            refused.append(Refusal(path, error.message.removeprefix(f"{path} ").rstrip(".")))
    alike: dict[tuple[object, ...], list[ParquetTable]] = defaultdict(list)
    for table in sorted(tables, key=lambda one: natural_key(one.path)):
        words = name_words(_plain_name(table.path))
        shape = None if table.layout is None else table.layout.shape
        alike[words.rest, table.roles.form, shape, words.split].append(table)
    return [_part(files, group, key, config) for key, group in alike.items()], refused


def _part(
    files: SeekableFiles, tables: list[ParquetTable], key: tuple[object, ...], config: ShardConfig
) -> ArrayPart:
    first, paths = tables[0], [table.path for table in tables]
    roles = first.roles
    candidates = list(roles.candidates)
    if config.label_column:
        candidates = [name for name in config.label_column if name in first.schema.names]
    chosen = choose_labels(files, paths, candidates, dict(roles.class_names), config)
    rows = [rows_of(files, table) for table in tables]
    problem = (
        column_problem(first)
        or size_problem(first, config)
        or _missing_piece(paths)
        or chosen.problem
    )
    pixel_range = None
    if problem is None:
        pixel_range, problem = _range_of(rows, first, config)
    splits = _splits_of(files, paths, roles.split) if roles.split else None
    split = None if splits is not None else name_words(_plain_name(paths[0])).split
    return ArrayPart(
        option=f"--labels {shlex.quote(paths[0])}",
        files=tuple(paths),
        split=split,
        images=sum(table.count for table in tables),
        classes=None if chosen.labels is None else chosen.labels.class_count,
        labeled=bool(chosen.column),
        task="classification" if chosen.labels is None else chosen.labels.task,
        ids=partial(_texts_of, files, paths, roles.ids) if roles.ids else None,
        notes=(first.layout.note,) if first.layout is not None and first.layout.note else (),
        about=_about(tables, chosen),
        family=key[:-1],
        rows=tuple(row for row in rows if row is not None),
        labels=chosen.labels,
        splits=splits,
        pixel_range=pixel_range,
        problem=problem,
    )


def _range_of(
    rows: Sequence[ImageRows | None], first: ParquetTable, config: ShardConfig
) -> tuple[PixelRange | None, click.ClickException | None]:
    pixels = [row for row in rows if isinstance(row, PixelRows)]
    if not pixels:
        return None, None
    if config.pixel_range is not None:
        return given_range(*config.pixel_range), None
    try:
        return common_range([_measure(row, first) for row in pixels]), None
    except UnknownRangeError as error:
        return None, MisuseError(f"{first.path}: {error.message}")
    except DataError as error:
        return None, error


def _measure(row: PixelRows, table: ParquetTable) -> PixelRange:
    values = row.sample()
    found = measure_range(values)
    columns = table.roles.pixel_list or table.roles.pixels[0]
    is_named = not _PIXEL_WORDS.isdisjoint(words_of(columns))
    is_flat = table.layout is not None and table.layout.flat
    if is_flat and not is_named:
        require_levels(values, found)
    return found


def _missing_piece(paths: Sequence[str]) -> DataError | None:
    """The error if the names count more files than there are."""
    counted = [found for path in paths if (found := _COUNTED.search(path))]
    total = max((int(found[2]) for found in counted), default=0)
    numbers = {int(found[1]) for found in counted}
    if not counted or len(numbers) >= total or len(counted) < len(paths):
        return None
    return DataError(
        f"{paths[0]}: its name says {plural(total, 'file')}, and the download has "
        f"{len(numbers)} of them. Download the others, too."
    )


def _splits_of(files: SeekableFiles, paths: Sequence[str], column: str) -> NDArray[np.int8]:
    """The split of each row, by its cell."""
    codes: list[int] = []
    for path in paths:
        for batch in read_column(files, path, column):
            for cell in batch.to_pylist():
                split = split_of_cell(column, str(cell))
                if split is None:
                    raise DataError(
                        f"{path} row {len(codes) + 1}: column {column!r} has {cell!r}, which is no "
                        f"split. Remove the row, or write train, val or test."
                    )
                codes.append(SPLITS.index(split))
    return np.array(codes, np.int8)


def _texts_of(files: SeekableFiles, paths: Sequence[str], column: str) -> Iterator[str]:
    for path in paths:
        for batch in read_column(files, path, column):
            yield from map(str, batch.to_pylist())


def _plain_name(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return folder + slash + _PIECE.sub("", name.rpartition(".")[0]) + ".parquet"


def _about(tables: Sequence[ParquetTable], chosen: ChosenLabels) -> str:
    first, count = tables[0], sum(table.count for table in tables)
    more = f" and {plural(len(tables) - 1, 'more file')} like it" if len(tables) > 1 else ""
    roles = first.roles
    if roles.encoded:
        kind = f"an encoded image in column {roles.encoded!r} of each row"
    elif first.layout is not None and roles.pixel_list:
        kind = f"{first.layout.describe()}, lists in column {roles.pixel_list!r}"
    else:
        layout = "" if first.layout is None else first.layout.describe() + ", "
        kind = f"{layout}{len(roles.pixels):,} columns of pixels"
    text = f"{first.path}{more}: {plural(count, 'image')}, {kind}"
    if not chosen.column:
        return text + ", without labels"
    labels = chosen.labels
    if labels is None or labels.class_count is None:
        return f"{text}, labels in column {chosen.column!r}"
    classes = plural(labels.class_count, "class")
    return f"{text}, labels in column {chosen.column!r} ({classes})"
