"""The table of the classes of masks and their colors: that of the download or --mask-colors."""

from functools import partial

from pipeline.errors import DataError, MisuseError
from pipeline.storage.manifest import VOID
from pipeline.text import option_lines
from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.download.name_index import IMAGE_SUFFIXES, suffix_of
from tools.download.tables import Table, open_table
from tools.images.masks import MaskColors

# Names of the columns of a color.
_CHANNELS = ({"r", "red"}, {"g", "green"}, {"b", "blue"})


def read_mask_classes(
    index: FileIndex, config: ShardConfig
) -> tuple[tuple[str, ...], MaskColors] | None:
    """The classes of the masks in the order of their values, and their colors; None without a table
    of colors.

    Raises ``MisuseError`` if the file of --mask-colors does not exist or there are several files,
    ``DataError`` if the file has no colors.
    """
    name = find_colors_table(index, config)
    return None if name is None else _read_colors(index, name)


def find_colors_table(index: FileIndex, config: ShardConfig) -> str | None:
    """The CSV of classes and colors, if there is one; raises ``MisuseError``."""
    if config.mask_colors is not None:
        name = index.table_named(config.mask_colors)
        if name is None:
            raise MisuseError(
                f"--mask-colors {config.mask_colors}: no such CSV in {index.storage.url}."
            )
        return name
    names = [name for name in index.tables if _has_colors(index, name)]
    if len(names) > 1:
        raise MisuseError(
            f"Several files have the colors of masks. Pick one:"
            f"{option_lines('--mask-colors', names)}"
        )
    return names[0] if names else None


def _has_colors(index: FileIndex, name: str) -> bool:
    """Whether a table has columns for red, green and blue, and names no images."""
    try:
        table = open_table(name, partial(index.open, name), is_header=_is_header)
    except (DataError, MisuseError):
        return False
    if (
        table is None
        or not table.header
        or any(suffix_of(cell) in IMAGE_SUFFIXES for row in table.head[:1] for cell in row)
    ):
        return False
    columns = {column.strip().lower() for column in table.columns}
    return all(columns & names for names in _CHANNELS)


def _read_colors(index: FileIndex, name: str) -> tuple[tuple[str, ...], MaskColors]:
    table = open_table(name, partial(index.open, name), is_header=_is_header)
    rows = [] if table is None else [(line, cells) for line, cells in table.rows()]
    if table is None or len(rows) < 2:
        raise DataError(
            f"{name} has fewer than two classes: it must have a row of name, r, g, b for each."
        )
    if len(rows) > VOID:
        raise DataError(
            f"{name} has {len(rows):,} classes, and a mask can have {VOID}, since its value {VOID} "
            f"marks pixels to ignore: leave some classes out."
        )
    columns = _color_columns(table)
    names, colors = [], []
    for line, cells in rows:
        try:
            # ``bytes`` raises for values outside of 0 to 255.
            red, green, blue = bytes(int(cells[column]) for column in columns[1:])
            names.append(cells[columns[0]].strip())
        except (ValueError, IndexError) as error:
            raise DataError(
                f"{name} row {line}: {', '.join(cells)} is not name, r, g, b with numbers from 0 "
                f"to 255."
            ) from error
        colors.append((red, green, blue))
    if len(set(names)) < len(names) or len(set(colors)) < len(colors):
        raise DataError(f"{name} has a class or a color twice: remove one of these rows.")
    return tuple(names), MaskColors(colors=tuple(colors))


def _color_columns(table: Table) -> tuple[int, ...]:
    """The columns of name, red, green and blue: by their names, else the first four."""
    initials = [column.lower()[:1] for column in table.columns]
    if table.header and all(initials.count(letter) == 1 for letter in "nrgb"):
        return tuple(initials.index(letter) for letter in "nrgb")
    return (0, 1, 2, 3)


def _is_header(first: list[str], second: list[str]) -> bool:
    return not any(cell.strip().isdecimal() for cell in first)
