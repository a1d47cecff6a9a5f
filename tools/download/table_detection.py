"""Find the role of each table of a download, and of its columns: images, labels, splits, groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from pipeline.errors import DataError, MisuseError
from tools.config import ShardConfig
from tools.download.class_folders import (
    ClassFolders,
    common_folder,
    find_class_folders,
    folder_classes,
)
from tools.download.file_index import FileIndex
from tools.download.image_names import (
    ImageNames,
    by_column,
    by_template,
    is_mask_column,
    name_columns,
    names_file,
    require_other_column,
    resolve_folder,
)
from tools.download.image_tables import LabelTable, MaskTable
from tools.download.label_columns import choose_label_rule, label_candidates
from tools.download.label_parsing import LabelRule
from tools.download.mask_classes import CLASS_DICT_NAME, read_mask_classes
from tools.download.name_patterns import is_csv, is_submission, split_word
from tools.download.pixel_columns import is_wide, looks_like_pixels
from tools.download.pixel_table import PixelTable, detect_pixel_table
from tools.download.split_columns import choose_split_column, folders_differ, split_columns
from tools.download.tables import Table, open_table
from tools.text import option_lines


@dataclass(frozen=True, kw_only=True)
class TableCandidate:
    """A table whose rows name images, before it is chosen.

    `masks` name the masks of the images, if there are any; `candidates` are the columns that may
    have labels.
    """

    table: Table
    images: ImageNames
    masks: ImageNames | None
    candidates: tuple[int, ...]
    split: str | None

    @property
    def option(self) -> str:
        """The option that selects the table."""
        return f"--labels {self.table.name}"

    def numbers(self, index: FileIndex) -> Iterator[int]:
        """Numbers of the images that the rows name."""
        try:
            images = resolve_folder(index, self.table, self.images, masks=False)
        except MisuseError:
            images = self.images
        for _, cells in self.table.rows():
            if len(cells) > max(images.columns):
                yield from images.find(index, images.text(cells))

    def has_two_values(self) -> bool:
        """Whether a candidate column has two different values, unlike in a sample submission."""
        for column in self.candidates:
            values = set(self.table.cells(column))
            if len(values) > 1:
                return True
            cells = (cells[column] for _, cells in self.table.rows() if len(cells) > column)
            if any(cell.strip() not in values for cell in cells):
                return True
        return False


class TableDetector:
    """Finds the parts of a download that are tables, as the options say."""

    def __init__(self, index: FileIndex, config: ShardConfig) -> None:
        self._index, self._config = index, config

    @property
    def has_table_options(self) -> bool:
        """Whether an option names a column of a table."""
        return bool(self._config.named_columns() or self._config.path_template)

    @cached_property
    def tables(self) -> list[Table]:
        """The tables that have rows."""
        tables = [self._open(name) for name in self._names()]
        return [table for table in tables if table is not None]

    @cached_property
    def trees(self) -> list[ClassFolders]:
        """The class folders of the download."""
        return find_class_folders(self._index, "")

    def candidates(self) -> list[TableCandidate | PixelTable]:
        """The tables that have pixels, or names of files and their targets."""
        parts = [self._detect(table) for table in self.tables if self._may_have_labels(table)]
        return [part for part in parts if part is not None]

    def resolve(self, candidate: TableCandidate) -> LabelTable | MaskTable:
        """Decide the role of each column; raises ``MisuseError`` where that is ambiguous."""
        index, config, table = self._index, self._config, candidate.table
        images = resolve_folder(index, table, candidate.images, masks=False)
        split_column = choose_split_column(table, config)
        paths = [path for row in images.find_in_head(index, table, masks=False) for path in row]
        fields: dict[str, Any] = {
            "option": candidate.option,
            "name": table.name,
            "table": table,
            "images": images,
            "split": split_word(table.name),
            "split_column": split_column,
            "has_splits": split_column is not None or folders_differ(paths),
            "group": table.option_column(config, "group_column"),
        }
        fields["has_groups"] = fields["group"] is not None
        if candidate.masks is None:
            return LabelTable(rule=self._label_rule(candidate), **fields)
        masks = resolve_folder(index, table, candidate.masks, masks=True)
        classes, colors = read_mask_classes(index, config)
        return MaskTable(masks=masks, classes=classes, colors=colors, **fields)

    def _label_rule(self, candidate: TableCandidate) -> LabelRule:
        table, config = candidate.table, self._config
        unclear = not config.label_column and len(candidate.candidates) > 1
        trees = self.trees if unclear else []
        classes = folder_classes(self._index, trees)
        try:
            return choose_label_rule(table, candidate.candidates, config, classes)
        except MisuseError as error:
            cells = {cell for n in candidate.candidates for cell in table.cells(n)}
            if config.labels is None and not classes.isdisjoint(cells):
                option = option_lines("--labels", [common_folder(trees) or "."])
                raise MisuseError(f"{error.message}\nOr use the class folders:{option}") from error
            raise

    def _may_have_labels(self, table: Table) -> bool:
        if self._config.labels is not None:
            return True
        if is_submission(table.name) or table.name.lower().endswith(CLASS_DICT_NAME):
            return False
        return all(table.find(column) is not None for _, column in self._config.named_columns())

    def _detect(self, table: Table) -> TableCandidate | PixelTable | None:
        """The table as a part of the download; None if it has neither pixels nor file names, or no
        labels."""
        config = self._config
        table.option_columns(config, "label_column")
        if (pixels := detect_pixel_table(table, config)) is not None:
            return pixels
        named = name_columns(self._index, table)
        images = self._image_names(table, named)
        if images is None:
            return None
        mask_columns = [n for n in named if is_mask_column(self._index, table, n)]
        masks = self._mask_names(table, [n for n in mask_columns if n not in images.columns])
        splits = [column.number for column in split_columns(table)]
        without_labels = {
            *mask_columns,
            *(() if masks is None else masks.columns),
            *(n for n in named if self._names_same_images(table, images, n)),
            *splits,
            *table.option_columns(config, "split_column", "group_column"),
        }
        if masks is None and config.task == "segmentation":
            return None
        candidate = TableCandidate(
            table=table,
            images=images,
            masks=masks,
            # A label may be a part of a file's path.
            candidates=tuple(
                label_candidates(table, without_labels.union(images.columns))
                or label_candidates(
                    table, without_labels if len(images.columns) > 1 else range(len(table.columns))
                )
            ),
            split=None if config.split_column or splits else split_word(table.name),
        )
        chosen = config.labels is not None or config.label_column or masks is not None
        return candidate if chosen or candidate.has_two_values() else None

    def _image_names(self, table: Table, named: Sequence[int]) -> ImageNames | None:
        config = self._config
        if config.path_template is not None:
            try:
                return by_template(config.path_template, table)
            except MisuseError:
                if config.labels is not None or len(self.tables) == 1:
                    raise
                return None
        if (column := table.option_column(config, "image_column")) is not None:
            require_other_column(table, column, config)
            return by_column(column, table)
        labels = table.option_columns(config, "label_column")
        columns = [n for n in named if n not in labels]
        plain = [n for n in columns if not is_mask_column(self._index, table, n)]
        return by_column((plain or columns)[0], table) if columns else None

    def _mask_names(self, table: Table, columns: Sequence[int]) -> ImageNames | None:
        config = self._config
        if (column := table.option_column(config, "mask_column")) is not None:
            return by_column(column, table)
        if config.task not in ("auto", "segmentation") or config.label_column:
            return None
        if len(columns) > 1:
            lines = option_lines("--mask-column", (table.columns[n] for n in columns))
            raise MisuseError(f"{table.name}: several columns name masks. Pick one:{lines}")
        if config.task == "segmentation" and not columns and config.labels is not None:
            raise MisuseError(f"{table.name}: no column names masks. Pass --mask-column.")
        return by_column(columns[0], table) if columns else None

    def _names_same_images(self, table: Table, images: ImageNames, column: int) -> bool:
        """Whether a column names the same images as `images` in each row."""
        return all(
            self._index.find(row[column]) == images.find(self._index, images.text(row))
            for row in table.head[:50]
            if len(row) > max(column, *images.columns)
        )

    def _names(self) -> Sequence[str]:
        """The tables to open."""
        index, labels = self._index, self._config.labels
        if labels is None:
            return [
                name
                for name in index.tables
                if name not in index.empty and (is_csv(name) or name.lower().endswith(".txt"))
            ]
        name = index.table_named(labels)
        assert name is not None
        if name in index.empty:
            raise DataError(f"{index.storage.where(name)} is empty.")
        return [name]

    def _open(self, name: str) -> Table | None:
        def is_header(first: list[str], second: list[str]) -> bool:
            if self._config.header is not None:
                return self._config.header
            if is_wide(first):
                return not looks_like_pixels(first)
            return not any(names_file(self._index, cell) for cell in first)

        try:
            return open_table(name, partial(self._index.open, name), is_header=is_header)
        except DataError:
            if is_csv(name) or self._config.labels is not None:
                raise
            return None
