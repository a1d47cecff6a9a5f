"""The classes of masks and their colors: class_dict.csv or a threshold."""

from functools import partial

from pipeline.errors import DataError, MisuseError
from pipeline.storage.manifest import VOID
from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.download.tables import Table, open_table
from tools.images.masks import MaskColors

CLASS_DICT_NAME = "class_dict.csv"


def mask_classes(index: FileIndex, config: ShardConfig) -> tuple[tuple[str, ...], MaskColors]:
    """Classes in the order of the values of a mask, and their colors.

    Raises ``MisuseError`` where the file asked for is not there or there are several, ``DataError``
    where it holds no colors.
    """
    name = colors_table(index, config)
    if name is not None:
        return _read(index, name)
    return ("background", "foreground"), MaskColors(colors=None, threshold=config.mask_threshold)


def colors_table(index: FileIndex, config: ShardConfig) -> str | None:
    """The CSV of classes and colors; raises ``MisuseError`` as ``mask_classes`` does."""
    if config.mask_colors is not None:
        name = index.table_named(config.mask_colors)
        if name is None:
            raise MisuseError(f"--mask-colors {config.mask_colors}: there is no such CSV.")
        return name
    found = [name for name in index.tables if name.lower().split("/")[-1] == CLASS_DICT_NAME]
    if len(found) > 1:
        listed = "".join(f"\n  --mask-colors {name}" for name in found)
        raise MisuseError(f"Several files say the colors of masks. Pick one:{listed}")
    return found[0] if found else None


def _read(index: FileIndex, name: str) -> tuple[tuple[str, ...], MaskColors]:
    table = open_table(name, partial(index.open, name), is_header=_is_header)
    rows = [] if table is None else [(line, cells) for line, cells in table.rows()]
    if table is None or len(rows) < 2:
        raise DataError(f"{name} holds fewer than two classes, as rows of name, r, g, b.")
    if len(rows) > VOID:
        raise DataError(
            f"{name} holds {len(rows):,} classes, and a mask has room for {VOID}, since {VOID} in "
            f"it stands for pixels that don't count: leave some out."
        )
    places = _places(table)
    names, colors = [], []
    for line, cells in rows:
        try:
            red, green, blue = (int(cells[place]) for place in places[1:])
            names.append(cells[places[0]].strip())
        except (ValueError, IndexError) as error:
            raise DataError(
                f"{name} row {line} is {', '.join(cells)}: it must be name, r, g, b with numbers "
                f"from 0 to 255."
            ) from error
        if min(red, green, blue) < 0 or max(red, green, blue) > 255:
            raise DataError(f"{name} row {line}: {red}, {green}, {blue} is no color, 0 to 255.")
        colors.append((red, green, blue))
    if len(set(names)) < len(names) or len(set(colors)) < len(colors):
        raise DataError(f"{name} names a class or a color twice.")
    return tuple(names), MaskColors(colors=tuple(colors))


def _places(table: Table) -> tuple[int, ...]:
    """Columns of name, red, green and blue; by their names if they have these."""
    first = [column.lower()[:1] for column in table.columns]
    if table.header and all(first.count(letter) == 1 for letter in "nrgb"):
        return tuple(first.index(letter) for letter in "nrgb")
    return (0, 1, 2, 3)


def _is_header(first: list[str], second: list[str]) -> bool:
    return not any(cell.strip().isdecimal() for cell in first)
