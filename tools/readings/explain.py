"""The error for a download in which nothing says the labels."""

from collections.abc import Sequence

from pipeline.errors import DataError, MisuseError
from pipeline.storage.manifest import MANIFEST_NAME
from pipeline.text import join_names, plural
from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.download.name_index import name_of
from tools.download.tables import Table
from tools.download.unreadable_formats import describe_unreadable
from tools.named_places import named_columns
from tools.readings.image_names import find_ambiguous_cell
from tools.readings.open_tables import OpenedTables

_SHOWN_TABLES = 5


def explain(
    index: FileIndex, opened: OpenedTables, config: ShardConfig, reasons: Sequence[str] = ()
) -> MisuseError | DataError:
    """``MisuseError`` if an option names what does not exist, else ``DataError``. `reasons`: why
    tables that name images have no labels, a sentence each."""
    error = _explain(index, opened, config, reasons)
    unreadable = describe_unreadable(index.unreadable)
    if isinstance(error, MisuseError) or not unreadable:
        return error
    return DataError(" ".join([str(error), *unreadable]))


def _explain(
    index: FileIndex, opened: OpenedTables, config: ShardConfig, reasons: Sequence[str]
) -> MisuseError | DataError:
    tables = opened.tables
    if not index.images and len(index.tables) == len(index.empty):
        return _nothing(index)
    if (error := _missing_column(tables, config)) is not None:
        return error
    images = f"{index.storage.url} has {plural(len(index.numbers), 'image')}"
    if config.task == "segmentation":
        return DataError(
            f"{images}, but none was found to be the mask of another. Name the masks with "
            f"--mask-template, or by a table with --mask-column."
        )
    if not index.numbers and index.skipped:
        skipped = "; ".join(f"{file.path} {file.reason}" for file in index.skipped[:3])
        return DataError(f"{images}. Some of its files were skipped: {skipped}.")
    if reasons:
        return DataError(
            f"{images}, but no column has their labels. {' '.join(reasons[:_SHOWN_TABLES])} Pass "
            f"the column of the labels as --label-column."
        )
    if opened.problems:
        return DataError(f"{images}, but no labels. {_problems(opened)}")
    if not tables:
        empty = f" ({', '.join(index.empty)} is empty)" if index.empty else ""
        return DataError(
            f"{images}, but no labels: no CSV{empty} and no class folders. Pass a --src that also "
            f"has the table of labels, or --label-pattern if the file names contain the labels."
            + _example(index)
        )
    return _unmatched(index, tables, images)


def _nothing(index: FileIndex) -> DataError | MisuseError:
    if index.storage.has(MANIFEST_NAME):
        return MisuseError(
            f"--src {index.storage.url} holds shards already ({MANIFEST_NAME}): train on them with "
            f"--shards {index.storage.url}, or pass the folder of the download."
        )
    skipped = "".join(f"\n  {file.path}: {file.reason}" for file in index.skipped[:5])
    return DataError(
        f"{index.storage.url} contains no images and no CSV "
        f"({plural(len(index.others), 'other file')}). Pass the folder of the download as --src."
        + (f" Skipped:{skipped}" if skipped else "")
    )


def _missing_column(tables: Sequence[Table], config: ShardConfig) -> MisuseError | None:
    for option, column in named_columns(config):
        if all(table.find(column) is None for table in tables):
            columns = "; ".join(
                f"{table.name} has {join_names(table.columns, 12, quote=True)}" for table in tables
            )
            return MisuseError(
                f"No CSV has a column {column!r} ({option}): {columns or 'there is no CSV'}."
            )
    return None


def _problems(opened: OpenedTables) -> str:
    return " ".join(list(opened.problems.values())[:_SHOWN_TABLES])


def _example(index: FileIndex) -> str:
    first = next(index.sources(), None)
    return "" if first is None else f" The first image is {index.images[first]}."


def _unmatched(index: FileIndex, tables: Sequence[Table], images: str) -> MisuseError | DataError:
    """The error for tables that name no images."""
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
        for table in tables[:_SHOWN_TABLES]
    )
    return DataError(
        f"{images}, but no CSV has labels for them: a column must name the image files. Pass the "
        f"CSV as --labels and its columns as --image-column and --label-column; if several columns "
        f"make up the file name, pass --path-template. The tables are:{first_rows}"
    )
