"""What is in this download: from a folder of files to the parts that hold images and labels.

Nothing is known by the name of a competition. A table is a label table if one of its columns names
images of the one index of all files; it is a pixel table if it is as wide as a picture; folders are
classes if several beside each other hold images; images are masks if they go in pairs with others.
If more than one reading is possible, nothing is chosen: the candidates are listed with the option
that picks each.
"""

from collections.abc import Sequence
from typing import TypeVar

from pipeline.errors import DataError, MisuseError
from tools.config import ShardConfig
from tools.download.class_folders import (
    ClassFolders,
    asked_pattern,
    find_class_folders,
    find_pattern,
    holds_folder_of,
)
from tools.download.file_index import FileIndex, plain_path, under
from tools.download.image_names import several_files
from tools.download.mask_classes import mask_classes
from tools.download.mask_pairs import MaskFiles, are_divided, find_pairs, pairs_by_template
from tools.download.parts import Part
from tools.download.pixel_table import PixelTable
from tools.download.table_candidate import Reading
from tools.download.table_detection import TableReader
from tools.download.tables import Table
from tools.text import plural

Candidate = Part | Reading
AnyPart = TypeVar("AnyPart", bound=Candidate)


def find_parts(index: FileIndex, config: ShardConfig) -> list[Part]:
    """The parts of the download, train first; several only if they are its splits.

    Raises ``MisuseError`` where more than one reading is possible or what was asked for doesn't
    exist, ``DataError`` where nothing is recognized.
    """
    if config.label_pattern is not None:
        return [asked_pattern(index, config.label_pattern)]
    if config.mask_template is not None:
        return [_masks_by_template(index, config)]
    if config.labels is not None and index.table_named(config.labels) is None:
        return list(choose(_asked_folders(index, config.labels)))
    reader = TableReader(index, config)
    found: list[Candidate] = list(reader.parts())
    if config.labels is None and not reader.names_columns:
        found += _without_tables(index, config, found, reader.trees)
    if not found:
        raise _explain(index, reader.tables, config)
    chosen = choose(found)
    return [reader.settle(part) if isinstance(part, Reading) else part for part in chosen]


def choose(parts: Sequence[AnyPart]) -> list[AnyPart]:
    """The only part, or the splits of one download; else ``MisuseError`` with the candidates."""
    splits = [part.split for part in parts]
    pixels = {isinstance(part, PixelTable) for part in parts}
    divided = None not in splits and "train" in splits and len(set(splits)) == len(splits)
    if len(parts) > 1 and not (divided and len(pixels) == 1):
        listed = "".join(f"\n  {part.option}" for part in parts)
        raise MisuseError(f"The labels can be read in {len(parts)} ways. Pick one:{listed}")
    return sorted(parts, key=lambda part: ("train", "val", "test", None).index(part.split))


def _asked_folders(index: FileIndex, labels: str) -> list[ClassFolders]:
    folder = plain_path(labels)
    if not any(under(index.images[number], folder) for number in index.numbers):
        listed = ", ".join(index.tables[:10]) or "no CSV"
        raise MisuseError(
            f"--labels {labels}: there is no such file or folder in {index.storage.url}, which "
            f"holds {listed}."
        )
    trees = find_class_folders(index, folder)
    if not trees:
        raise MisuseError(f"--labels {labels}: the folder holds no class folders.")
    return trees


def _without_tables(
    index: FileIndex, config: ShardConfig, found: Sequence[Candidate], trees: Sequence[ClassFolders]
) -> list[Candidate]:
    """The readings that need no table: folders, pairs of image and mask, names of files."""
    tables = [part for part in found if isinstance(part, Reading)]
    more: list[Candidate] = []
    if config.task in ("auto", "segmentation") and not tables and (masks := _masks(index, config)):
        more.append(masks)
        trees = [tree for tree in trees if not holds_folder_of(index, tree, masks.pairs[:, 1])]
    if config.task in ("auto", "classification"):
        more = [*_uncovered(index, trees, tables), *more]
    if config.task in ("auto", "classification") and not found and not more:
        pattern = find_pattern(index)
        more += [] if pattern is None else [pattern]
    return more


def _uncovered(
    index: FileIndex, trees: Sequence[ClassFolders], readings: Sequence[Reading]
) -> list[ClassFolders]:
    """The trees of which no table names a file; the folders of others are but where files lie."""
    left = list(trees)
    for reading in readings:
        numbers = reading.numbers(index)
        while left and (number := next(numbers, None)) is not None:
            path = index.images[number]
            left = [tree for tree in left if not under(path, tree.folder)]
    return left


def _masks(index: FileIndex, config: ShardConfig) -> MaskFiles | None:
    pairs = find_pairs(index)
    if not len(pairs):
        return None
    classes, colors = mask_classes(index, config)
    return MaskFiles(
        pairs=pairs,
        rule=f"their names (first: {index.images[pairs[0, 0]]} and {index.images[pairs[0, 1]]})",
        option="--task segmentation",
        divided=are_divided(index, pairs),
        classes=classes,
        colors=colors,
    )


def _masks_by_template(index: FileIndex, config: ShardConfig) -> MaskFiles:
    assert config.mask_template is not None
    if config.task not in ("auto", "segmentation"):
        raise MisuseError(f"--mask-template is for segmentation, not for --task {config.task}.")
    pairs = pairs_by_template(index, config.mask_template)
    classes, colors = mask_classes(index, config)
    return MaskFiles(
        pairs=pairs,
        rule=f"the template {config.mask_template}",
        option=f"--mask-template '{config.mask_template}'",
        divided=are_divided(index, pairs),
        classes=classes,
        colors=colors,
    )


def _explain(index: FileIndex, tables: Sequence[Table], config: ShardConfig) -> Exception:
    """Why no part was found."""
    asked = [("--label-column", column) for column in config.label_column]
    for option in ("image_column", "split_column", "group_column", "mask_column"):
        if (column := getattr(config, option)) is not None:
            asked.append(("--" + option.replace("_", "-"), column))
    for option, column in asked:
        if not any(table.has(column) for table in tables):
            seen = "; ".join(f"{table.name} has {table.describe_columns()}" for table in tables)
            return MisuseError(f"no CSV has a column {column!r} ({option}): {seen or 'none here'}.")
    images = f"{plural(len(index.numbers), 'image')} in {index.storage.url}"
    if config.task == "segmentation":
        return DataError(
            f"{images}, of which none is found to be the mask of another: name the masks with "
            f"--mask-template, or by a table with --mask-column."
        )
    if not tables:
        empty = f" ({', '.join(index.empty)} is empty)" if index.empty else ""
        return DataError(
            f"{images}, but no CSV{empty} and no class folders beside each other: nothing says "
            f"the labels. Give --src the folder that holds their table, too, or --label-pattern, "
            f"if a part of the file names is the label."
        )
    for table in tables:
        if several := several_files(index, table):
            column, cell, files = several
            return MisuseError(
                f"{table.name}: the {column} {cell!r} has several files: {', '.join(files[:4])}. "
                f'Say which one is the image, as in --path-template "{_template(*several)}".'
            )
    seen = "".join(
        f"\n  {table.name}: "
        + (f"first row {', '.join(table.head[0][:4])}" if table.head else "a header without rows")
        for table in tables[:5]
    )
    return DataError(
        f"{images}, and no CSV says their labels: the ids in it must name files. Name the CSV with "
        f"--labels and its columns with --image-column and --label-column; a name made of several "
        f"columns is a --path-template. There is:{seen}"
    )


def _template(column: str, cell: str, files: Sequence[str]) -> str:
    """What names the first of `files` by the column."""
    name = files[0].rpartition("/")[2]
    return "{" + column + "}" + name.removeprefix(cell)
