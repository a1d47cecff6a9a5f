"""Tables of pixels: an image a row, recognised by their width."""

from collections.abc import Sequence
from math import isqrt

from pipeline.errors import MisuseError
from tools.config import ShardConfig
from tools.layouts import PixelTable
from tools.tables import Table
from tools.words import is_label_column, is_pixel_column, split_word

# 4 x 4 pixels and a label; narrower tables hold measurements.
MIN_COLUMNS = 17


def is_wide(cells: Sequence[str]) -> bool:
    return len(cells) >= MIN_COLUMNS


def looks_like_pixels(cells: Sequence[str]) -> bool:
    """Whether a row holds values from 0 to 255 in all places but a few, not a header's numbers."""
    values = sum(cell.strip().isdecimal() and int(cell) <= 255 for cell in cells)
    return values >= len(cells) - 3 and len(set(cells)) < len(cells)


def image_shape(pixels: int, size: tuple[int, int] | None = None) -> tuple[int, ...] | None:
    """(h, w) or (h, w, 3) of an image of so many values: square unless `size` says otherwise."""
    if size is not None:
        height, width = size
        return {height * width: (height, width), 3 * height * width: (height, width, 3)}.get(pixels)
    for channels in (1, 3):
        side = isqrt(pixels // channels)
        if side * side * channels == pixels:
            return (side, side) if channels == 1 else (side, side, 3)
    return None


def read_as_pixels(table: Table, config: ShardConfig) -> PixelTable | None:
    """The table as images, or None if it is no pixel table or has no label.

    Raises ``MisuseError`` if `config` asks for a label column that isn't there, or if the columns
    don't make an image.
    """
    if not table.head or not is_wide(table.columns) or not _is_numeric(table.head[0]):
        return None
    label = _label_column(table, config)
    if label is None:
        return None
    pixels = _pixel_columns(table, label)
    shape = image_shape(len(pixels), config.pixel_size)
    if shape is None:
        if config.labels is None:
            return None
        raise MisuseError(
            f"{table.name}: {len(pixels)} pixel columns are no square image, gray or RGB: say "
            f"--pixel-size HEIGHT WIDTH."
        )
    return PixelTable(
        table=table,
        label=label,
        pixels=tuple(pixels),
        shape=shape,
        planar=len(shape) == 3 and config.pixel_layout == "planar",
        split=split_word(table.name),
    )


def _is_numeric(cells: Sequence[str]) -> bool:
    return sum(_is_number(cell) for cell in cells) >= len(cells) - 3


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _label_column(table: Table, config: ShardConfig) -> int | None:
    if config.label_column:
        return table.column(config.label_column[0], option="--label-column")
    if not table.header:
        return _label_without_header(table, config.pixel_size)
    others = [n for n, name in enumerate(table.columns) if not is_pixel_column(name)]
    named = [n for n in others if is_label_column(table.columns[n])]
    for choice in (others, named):
        if len(choice) == 1:
            return choice[0]
    return None


def _label_without_header(table: Table, size: tuple[int, int] | None) -> int | None:
    """The column that isn't a number, else the first: so all such tables in the wild have it."""
    if image_shape(len(table.columns), size) is not None:
        return None
    texts = [n for n, cell in enumerate(table.head[0]) if not _is_number(cell)]
    return texts[0] if texts else 0


def _pixel_columns(table: Table, label: int) -> list[int]:
    columns = [n for n in range(len(table.columns)) if n != label]
    if not table.header:
        return columns
    named = [n for n in columns if is_pixel_column(table.columns[n])]
    return named if len(named) >= MIN_COLUMNS - 1 else columns
