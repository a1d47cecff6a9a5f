"""What is in this download: from a folder of files to the parts that hold images and labels.

Nothing is known by the name of a competition. A table is a label table if one of its columns names
images of the one index of all files; it is a pixel table if it is as wide as a picture; folders are
classes if several beside each other hold images. If more than one reading is possible, nothing is
chosen: the candidates are listed with the option that picks each.
"""

from array import array
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath

from pipeline.errors import DataError, MisuseError
from tools.config import ShardConfig
from tools.files import FileIndex, ancestors, folder_of, under
from tools.layouts import ClassFolders, LabelTable, Part
from tools.pixel_columns import is_wide, looks_like_pixels
from tools.pixel_tables import read_as_pixels
from tools.tables import Table, open_table
from tools.words import is_class_folder, is_csv, plural, split_word


def find_parts(index: FileIndex, config: ShardConfig) -> list[Part]:
    """The parts of the download, train first; several only if they are its splits.

    Raises ``MisuseError`` where more than one reading is possible or what was asked for doesn't
    exist, ``DataError`` where nothing is recognised.
    """
    folder = "" if config.labels is None else PurePosixPath(config.labels).as_posix().strip("./")
    if config.labels is not None and any(under(path, folder) for path in index.images):
        parts: list[Part] = list(find_class_folders(index, folder))
        if not parts:
            raise MisuseError(f"--labels {config.labels}: the folder holds no class folders.")
        return choose(parts)
    opened = [_open(index, name, config) for name in _table_names(index, config)]
    tables = [table for table in opened if table is not None]
    found = [part for table in tables if (part := _read(index, table, config)) is not None]
    if config.labels is None and not config.label_column:
        labelled = [part for part in found if isinstance(part, LabelTable)]
        trees = find_class_folders(index, "")
        found += [tree for tree in trees if not _covered(index, tree, labelled)]
    if not found:
        raise _explain(index, tables, config)
    return choose(found)


def choose(parts: Sequence[Part]) -> list[Part]:
    """The only part, or the splits of one download; else ``MisuseError`` with the candidates."""
    splits = [part.split for part in parts]
    kinds = {type(part) for part in parts}
    divided = None not in splits and "train" in splits and len(set(splits)) == len(splits)
    if len(parts) > 1 and not (divided and len(kinds) == 1):
        listed = "".join(f"\n  {part.option}" for part in parts)
        raise MisuseError(f"The labels can be read in {len(parts)} ways. Pick one:{listed}")
    return sorted(parts, key=lambda part: ("train", "val", "test", None).index(part.split))


def find_class_folders(index: FileIndex, folder: str) -> list[ClassFolders]:
    """Folders beneath `folder` ("" is the root) under which two or more class folders lie."""
    groups: dict[str, array[int]] = {}
    classes: dict[str, set[str]] = {}
    for number, path in enumerate(index.images):
        parent = folder_of(path)
        if under(parent, folder) and parent != folder and is_class_folder(parent.split("/")[-1]):
            above = folder_of(parent)
            groups.setdefault(above, array("q")).append(number)
            classes.setdefault(above, set()).add(parent)
    return [
        ClassFolders(folder=above, images=numbers, split=split_word(above))
        for above, numbers in sorted(groups.items())
        if len(classes[above]) > 1
    ]


def _table_names(index: FileIndex, config: ShardConfig) -> Sequence[str]:
    if config.labels is None:
        return [name for name in index.tables if name not in index.empty and is_csv(name)]
    if config.labels not in index.tables:
        listed = ", ".join(index.tables[:10]) or "no CSV"
        raise MisuseError(
            f"--labels {config.labels}: there is no such file or folder in {index.storage.url}, "
            f"which holds {listed}."
        )
    if config.labels in index.empty:
        raise DataError(f"{index.where(config.labels)} is empty.")
    return [config.labels]


def _open(index: FileIndex, name: str, config: ShardConfig) -> Table | None:
    def is_header(first: list[str], second: list[str]) -> bool:
        if config.header is not None:
            return config.header
        if is_wide(first):
            return not looks_like_pixels(first)
        return not any(index.find(cell) for cell in first if cell.strip())

    return open_table(name, partial(index.open, name), is_header=is_header)


def _read(index: FileIndex, table: Table, config: ShardConfig) -> Part | None:
    """The table as a part of the download, or None if it holds neither pixels nor file names."""
    asked = config.labels is not None
    label_column = config.label_column[0] if config.label_column else None
    if label_column is not None and not asked and not _has(table, label_column):
        return None
    pixels = read_as_pixels(table, config)
    if pixels is not None:
        return pixels
    label = None if label_column is None else table.column(label_column, option="--label-column")
    image = _image_column(index, table, config)
    if image is None:
        return None
    part = LabelTable(
        table=table,
        image=image,
        label=label,
        folders=_folders(index, table, image),
        split=split_word(table.name),
    )
    return part if asked or label is not None or _varies(part) else None


def _has(table: Table, column: str) -> bool:
    numbered = column.isdecimal() and 1 <= int(column) <= len(table.columns)
    return column in table.columns or numbered


def _image_column(index: FileIndex, table: Table, config: ShardConfig) -> int | None:
    """The column that names the most different images in the head; the leftmost of equals."""
    if config.image_column is not None:
        if config.labels is None and not _has(table, config.image_column):
            return None
        return table.column(config.image_column, option="--image-column")
    best, most = None, 0
    for number in range(len(table.columns)):
        cells = {row[number] for row in table.head if len(row) > number and row[number].strip()}
        named = sum(bool(index.find(cell)) for cell in cells)
        if named > most and 2 * named >= len(cells):
            best, most = number, named
    return best


def _folders(index: FileIndex, table: Table, image: int) -> tuple[str, ...]:
    """The folder in which each id of the head names one file; several if that can't be told."""
    hits = [
        [index.images[number] for number in index.find(row[image])]
        for row in table.head
        if len(row) > image
    ]
    ambiguous = [paths for paths in hits if len(paths) > 1]
    if not ambiguous:
        return ("",)
    candidates = dict.fromkeys(folder for path in ambiguous[0] for folder in ancestors(path))
    fitting = [
        folder
        for folder in candidates
        if all(sum(under(path, folder) for path in paths) == 1 for paths in hits if paths)
    ]
    widest = [
        folder
        for folder in fitting
        if not any(other != folder and under(folder, other) for other in fitting)
    ]
    word = split_word(table.name)
    alike = [folder for folder in widest if word is not None and split_word(folder) == word]
    flat = [folder for folder in widest if all(_directly_in(paths, folder) for paths in hits)]
    for choice in (widest, alike, flat):
        if len(choice) == 1:
            return (choice[0],)
    return tuple(widest) or ("",)


def _directly_in(paths: Sequence[str], folder: str) -> bool:
    return not paths or any(folder_of(path) == folder for path in paths)


def _varies(part: LabelTable) -> bool:
    """Whether some label column holds two values; a sample submission's doesn't."""
    for number in part.label_candidates:
        values = {row[number] for row in part.table.head if len(row) > number}
        if len(values) > 1:
            return True
        cells = (cells[number] for _, cells in part.table.rows() if len(cells) > number)
        if any(cell not in values for cell in cells):
            return True
    return False


def _covered(index: FileIndex, tree: ClassFolders, tables: Sequence[LabelTable]) -> bool:
    """Whether a label table names files of `tree`: then the folders are but where they lie."""
    inside = set(tree.images)
    return any(
        number in inside and under(index.images[number], part.folders[0])
        for part in tables
        for row in part.table.head
        if len(row) > part.image
        for number in index.find(row[part.image])
    )


def _explain(index: FileIndex, tables: Sequence[Table], config: ShardConfig) -> Exception:
    """Why no part was found."""
    for option, column in (
        ("--label-column", config.label_column[0] if config.label_column else None),
        ("--image-column", config.image_column),
    ):
        if column is not None and not any(_has(table, column) for table in tables):
            seen = "; ".join(f"{table.name} has {table.describe_columns()}" for table in tables)
            return MisuseError(f"no CSV has a column {column!r} ({option}): {seen or 'none here'}.")
    images = f"{plural(len(index.images), 'image')} in {index.storage.url}"
    if not tables:
        empty = f" ({', '.join(index.empty)} is empty)" if index.empty else ""
        return DataError(
            f"{images}, but no CSV{empty} and no class folders beside each other: nothing says "
            f"the labels."
        )
    seen = "".join(
        f"\n  {table.name}: "
        + (f"first row {', '.join(table.head[0][:4])}" if table.head else "a header without rows")
        for table in tables[:5]
    )
    return DataError(
        f"{images}, and no CSV says their labels: the ids in it must name files. Name the CSV with "
        f"--labels and its columns with --image-column and --label-column. There is:{seen}"
    )
