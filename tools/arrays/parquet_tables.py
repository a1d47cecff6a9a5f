"""A parquet file of images: which of its columns has them, and how large they are."""

from dataclasses import dataclass
from math import prod

import pyarrow as pa

from pipeline.errors import MisuseError
from pipeline.text import option_lines, plural
from tools.arrays.image_layouts import ImageLayout, image_layouts
from tools.arrays.image_rows import ImageRows
from tools.arrays.parquet_columns import ParquetRoles, find_roles, pixel_columns
from tools.arrays.parquet_rows import (
    ParquetColumns,
    ParquetEncoded,
    ParquetLists,
    common_dtype,
    list_shape,
    open_parquet,
)
from tools.arrays.seekable_files import SeekableFiles
from tools.config import ShardConfig

_HEAD_ROWS = 32


@dataclass(frozen=True, kw_only=True)
class ParquetTable:
    """A parquet file of images. `shape` is that of an image and `layout` how its pixels lie; None
    for encoded images and where the size isn't known."""

    path: str
    count: int
    schema: pa.Schema
    roles: ParquetRoles
    layout: ImageLayout | None
    row_shape: tuple[int, ...]


def open_table(files: SeekableFiles, path: str, config: ShardConfig) -> ParquetTable | None:
    """The table; None if it has no images or no rows."""
    with open_parquet(files, path) as file:
        schema, count = file.schema_arrow, file.metadata.num_rows
        pixels = set(pixel_columns(schema))
        plain = [name for name in schema.names if name not in pixels]
        if not count:
            return None
        head = pa.table({})
        if plain:
            batches = file.iter_batches(batch_size=_HEAD_ROWS, columns=plain, use_threads=False)
            if (batch := next(batches, None)) is None:
                raise ValueError("it has no rows where its footer says so")
            head = pa.Table.from_batches([batch])
    roles = find_roles(schema, head, config.image_column)
    if roles is None:
        return None
    row_shape: tuple[int, ...] = (len(roles.pixels),)
    if roles.pixel_list:
        cells = [cell for cell in head[roles.pixel_list].to_pylist() if cell]
        row_shape = list_shape(cells[0]) if cells else (0,)
    planar = config.pixel_layout == "planar"
    layouts = image_layouts((count, *row_shape), config.pixel_size, planar=planar)
    layout = None if roles.encoded else next((one for one in layouts if one.axis == 0), None)
    if roles.pixel_list and layout is None and not _is_large(row_shape):
        return None
    return ParquetTable(
        path=path, count=count, schema=schema, roles=roles, layout=layout, row_shape=row_shape
    )


def _is_large(row_shape: tuple[int, ...]) -> bool:
    """Whether a list has too many values for a few measurements."""
    return prod(row_shape) >= 1024


def rows_of(files: SeekableFiles, table: ParquetTable) -> ImageRows | None:
    """The images of a table; None if their size isn't known."""
    roles, path = table.roles, table.path
    if roles.encoded:
        return ParquetEncoded(
            name=path, count=table.count, files=files, path=path, column=roles.encoded
        )
    if table.layout is None:
        return None
    if roles.pixel_list:
        return ParquetLists(
            name=path,
            count=table.count,
            shape=table.layout.shape,
            files=files,
            path=path,
            column=roles.pixel_list,
            layout=table.layout,
            row_shape=table.row_shape,
        )
    return ParquetColumns(
        name=path,
        count=table.count,
        shape=table.layout.shape,
        files=files,
        path=path,
        columns=roles.pixels,
        layout=table.layout,
        dtype=common_dtype(table.schema, roles),
    )


def column_problem(table: ParquetTable) -> MisuseError | None:
    """The question if several columns have images."""
    images = table.roles.images
    if len(images) < 2:
        return None
    lines = option_lines("--image-column", images)
    return MisuseError(f"{table.path}: {len(images)} columns have images. Pick one:{lines}")


def size_problem(table: ParquetTable, config: ShardConfig) -> MisuseError | None:
    """The error if the size of the images isn't known."""
    if table.roles.encoded or table.layout is not None:
        return None
    given = config.pixel_size is not None
    why = "not those of --pixel-size" if given else "no square image, gray or RGB"
    return MisuseError(
        f"{table.path}: a row has {plural(prod(table.row_shape), 'value')}, {why}. Pass "
        f"--pixel-size HEIGHT WIDTH."
    )
