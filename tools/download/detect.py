"""Find the parts of a download that have images and labels.

No competition is known by its name. A table is a label table if one of its columns names images of
the index; it is a pixel table if it is as wide as an image; folders are classes if several of them
under one folder have images; images are masks if they pair with others. If there is more than one
such part, the user chooses: an error lists the option for each.
"""

from collections.abc import Sequence
from typing import TypeVar

from pipeline.errors import DataError, MisuseError
from tools.config import ShardConfig
from tools.download.class_folders import (
    ClassFolders,
    find_class_folders,
    find_label_pattern,
    has_mask_folder,
    parse_label_pattern,
)
from tools.download.collect import FilePart
from tools.download.file_index import FileIndex, plain_path, under
from tools.download.image_names import find_ambiguous_cell
from tools.download.mask_classes import read_mask_classes
from tools.download.mask_pairs import MaskFiles, Pairs, find_mask_pairs, pairs_by_template
from tools.download.name_index import name_of
from tools.download.pixel_table import PixelTable
from tools.download.split_columns import folders_differ
from tools.download.table_detection import TableCandidate, TableDetector
from tools.download.tables import Table
from tools.text import join_names, plural

Part = FilePart | PixelTable
AnyPart = TypeVar("AnyPart", bound=FilePart | PixelTable | TableCandidate)


def find_parts(index: FileIndex, config: ShardConfig) -> list[Part]:
    """The parts of the download, train first; several only if they are its splits.

    Raises ``MisuseError`` if more than one part fits, or an option names something that does not
    exist; ``DataError`` if no part is found.
    """
    if config.label_pattern is not None:
        return [parse_label_pattern(index, config.label_pattern)]
    if config.mask_template is not None:
        return [_masks_by_template(index, config, config.mask_template)]
    if config.labels is not None and index.table_named(config.labels) is None:
        return list(choose_parts(_class_folders_at(index, config.labels)))
    detector = TableDetector(index, config)
    parts: list[Part | TableCandidate] = list(detector.candidates())
    if config.labels is None and not detector.has_table_options:
        parts += _parts_without_tables(index, config, parts, detector.trees)
    if not parts:
        raise _explain(index, detector.tables, config)
    return [
        detector.resolve(part) if isinstance(part, TableCandidate) else part
        for part in choose_parts(parts)
    ]


def choose_parts(parts: Sequence[AnyPart]) -> list[AnyPart]:
    """The only part, or the splits of one download; else ``MisuseError`` with the options."""
    splits = [part.split for part in parts]
    kinds = {isinstance(part, PixelTable) for part in parts}
    are_splits = None not in splits and "train" in splits and len(set(splits)) == len(splits)
    if len(parts) > 1 and not (are_splits and len(kinds) == 1):
        lines = "".join(f"\n  {part.option}" for part in parts)
        raise MisuseError(f"The labels can be read in {len(parts)} ways. Pick one:{lines}")
    return sorted(parts, key=lambda part: ("train", "val", "test", None).index(part.split))


def _class_folders_at(index: FileIndex, labels: str) -> list[ClassFolders]:
    folder = plain_path(labels)
    if not any(under(index.images[number], folder) for number in index.sources()):
        tables = join_names(index.tables, 10) or "no CSV"
        raise MisuseError(
            f"--labels {labels}: {index.storage.url} has no such file or folder; it has {tables}."
        )
    trees = find_class_folders(index, folder)
    if not trees:
        raise MisuseError(f"--labels {labels}: the folder has no class folders.")
    return trees


def _parts_without_tables(
    index: FileIndex,
    config: ShardConfig,
    parts: Sequence[Part | TableCandidate],
    trees: Sequence[ClassFolders],
) -> list[Part]:
    """Class folders, pairs of image and mask, or file names that contain labels."""
    tables = [part for part in parts if isinstance(part, TableCandidate)]
    masks: list[Part] = []
    if _may_be(config, "segmentation") and not tables and len(pairs := find_mask_pairs(index)):
        first = f"{index.images[pairs[0, 0]]} and {index.images[pairs[0, 1]]}"
        rule, option = f"their names (first: {first})", "--task segmentation"
        masks.append(_mask_files(index, config, pairs, rule=rule, option=option))
        trees = [tree for tree in trees if not has_mask_folder(index, tree, pairs[:, 1])]
    if not _may_be(config, "classification"):
        return masks
    if more := [*_unnamed_trees(index, trees, tables), *masks]:
        return more
    pattern = None if parts else find_label_pattern(index)
    return [] if pattern is None else [pattern]


def _may_be(config: ShardConfig, task: str) -> bool:
    return config.task in ("auto", task)


def _unnamed_trees(
    index: FileIndex, trees: Sequence[ClassFolders], tables: Sequence[TableCandidate]
) -> list[ClassFolders]:
    """The trees of which no table names a file; the folders of the others are not classes."""
    unnamed = list(trees)
    for table in tables:
        numbers = table.numbers(index)
        while unnamed and (number := next(numbers, None)) is not None:
            path = index.images[number]
            unnamed = [tree for tree in unnamed if not under(path, tree.folder)]
    return unnamed


def _masks_by_template(index: FileIndex, config: ShardConfig, template: str) -> MaskFiles:
    if not _may_be(config, "segmentation"):
        raise MisuseError(f"--mask-template is for segmentation, not for --task {config.task}.")
    rule, option = f"the template {template}", f"--mask-template '{template}'"
    pairs = pairs_by_template(index, template)
    return _mask_files(index, config, pairs, rule=rule, option=option)


def _mask_files(
    index: FileIndex, config: ShardConfig, pairs: Pairs, *, rule: str, option: str
) -> MaskFiles:
    classes, colors = read_mask_classes(index, config)
    return MaskFiles(
        option=option,
        has_splits=folders_differ([index.images[n] for n in pairs[:, 0].tolist()]),
        pairs=pairs,
        rule=rule,
        classes=classes,
        colors=colors,
    )


def _explain(index: FileIndex, tables: Sequence[Table], config: ShardConfig) -> Exception:
    """The error for a download in which no part was found."""
    for option, column in config.named_columns():
        if all(table.find(column) is None for table in tables):
            columns = "; ".join(
                f"{table.name} has {join_names(table.columns, 12, quote=True)}" for table in tables
            )
            return MisuseError(
                f"No CSV has a column {column!r} ({option}): {columns or 'there is no CSV'}."
            )
    images = f"{index.storage.url} has {plural(len(index.numbers), 'image')}"
    if config.task == "segmentation":
        return DataError(
            f"{images}, but none was found to be the mask of another. Name the masks with "
            f"--mask-template, or by a table with --mask-column."
        )
    if not tables:
        empty = f" ({', '.join(index.empty)} is empty)" if index.empty else ""
        return DataError(
            f"{images}, but no labels: no CSV{empty} and no class folders. Pass a --src that also "
            f"has the table of labels, or --label-pattern if the file names contain the labels."
        )
    for table in tables:
        if ambiguous := find_ambiguous_cell(index, table):
            column, cell, files = ambiguous
            template = "{" + column + "}" + name_of(files[0]).removeprefix(cell)
            return MisuseError(
                f"{table.name}: the {column} {cell!r} has several files: {join_names(files, 4)}. "
                f'Pass the one that is the image, as in --path-template "{template}".'
            )
    first_rows = "".join(
        f"\n  {table.name}: "
        + (f"first row {', '.join(table.head[0][:4])}" if table.head else "a header without rows")
        for table in tables[:5]
    )
    return DataError(
        f"{images}, but no CSV has labels for them: a column must name the image files. Pass the "
        f"CSV as --labels and its columns as --image-column and --label-column; if several columns "
        f"make up the file name, pass --path-template. The tables are:{first_rows}"
    )
