"""From the tables of a download to parts: which columns name images, labels, splits and groups."""

from collections.abc import Sequence
from functools import cached_property, partial

from pipeline.errors import DataError, MisuseError
from tools.config import ShardConfig
from tools.download.class_folders import (
    ClassFolders,
    class_names,
    common_folder,
    find_class_folders,
)
from tools.download.file_index import FileIndex
from tools.download.image_names import (
    ImageNames,
    by_column,
    by_template,
    names_file,
    naming_columns,
    settle_folders,
)
from tools.download.image_tables import LabelTable, MaskTable, RowReader
from tools.download.label_columns import choose_rule, label_candidates
from tools.download.label_parsing import LabelRule
from tools.download.mask_classes import CLASS_DICT_NAME, mask_classes
from tools.download.name_patterns import is_csv, is_group_column, is_submission, split_word
from tools.download.pixel_columns import is_wide, looks_like_pixels
from tools.download.pixel_table import PixelTable, read_as_pixels
from tools.download.split_columns import choose_split_column, folders_differ, split_columns
from tools.download.table_candidate import Reading, is_mask_column
from tools.download.tables import Table, open_table


class TableReader:
    """Reads the tables of `index` as `config` says."""

    def __init__(self, index: FileIndex, config: ShardConfig) -> None:
        self._index, self._config = index, config

    @property
    def names_columns(self) -> bool:
        """Whether an option speaks of a table."""
        config = self._config
        return bool(self._asked_columns or config.path_template)

    @cached_property
    def tables(self) -> list[Table]:
        """Those that have rows."""
        opened = [self._open(name) for name in self._names()]
        return [table for table in opened if table is not None]

    @cached_property
    def trees(self) -> list[ClassFolders]:
        return find_class_folders(self._index, "")

    def parts(self) -> list[Reading | PixelTable]:
        """The tables that hold pixels, or names of files and what they show."""
        found = [self._read(table) for table in self.tables if self._may_be(table)]
        return [part for part in found if part is not None]

    def settle(self, reading: Reading) -> LabelTable | MaskTable:
        """Raises ``MisuseError`` where columns or folders can be read in more than one way."""
        index, config, table = self._index, self._config, reading.table
        group = config.group_column
        images = settle_folders(index, table, reading.images, masks=False)
        named = [
            index.images[number]
            for row in table.head
            if len(row) > max(images.columns)
            for number in images.find(index, images.text(row))
        ]
        rows = RowReader(
            table=table,
            images=images,
            split=split_word(table.name),
            split_column=choose_split_column(table, config),
            by_folder=folders_differ(named),
            group=None if group is None else table.column(group, option="--group-column"),
        )
        if reading.masks is not None:
            masks = settle_folders(index, table, reading.masks, masks=True)
            classes, colors = mask_classes(index, config)
            return MaskTable(rows=rows, masks=masks, classes=classes, colors=colors)
        return LabelTable(rows=rows, rule=self._rule(reading), leak=self._leak(reading, rows))

    def _rule(self, reading: Reading) -> LabelRule:
        table, config = reading.table, self._config
        unclear = not config.label_column and len(reading.candidates) > 1
        trees = self.trees if unclear else []
        known = class_names(self._index, trees)
        try:
            return choose_rule(table, reading.candidates, config, known)
        except MisuseError as error:
            cells = {cell for n in reading.candidates for cell in table.cells(n)}
            if config.labels is None and not known.isdisjoint(cells):
                folder = common_folder(trees) or "."
                raise MisuseError(
                    f"{error.message}\nOr take the class folders:\n  --labels {folder}"
                ) from error
            raise

    def _leak(self, reading: Reading, rows: RowReader) -> str | None:
        """A column of groups that a random split would divide."""
        if rows.group is not None or rows.divided or rows.split in ("val", "test"):
            return None
        for number, name in enumerate(reading.table.columns):
            cells = reading.table.cells(number)
            groups = is_group_column(name) and number not in rows.images.columns
            if groups and len(set(cells)) < len(cells):
                return name
        return None

    def _may_be(self, table: Table) -> bool:
        if self._config.labels is not None:
            return True
        if is_submission(table.name) or table.name.lower().endswith(CLASS_DICT_NAME):
            return False
        return all(table.has(column) for column in self._asked_columns)

    def _read(self, table: Table) -> Reading | PixelTable | None:
        """The table as a part of the download, or None if it holds neither pixels nor file names,
        or no labels."""
        config = self._config
        for column in config.label_column:
            table.column(column, option="--label-column")
        if (pixels := read_as_pixels(table, config)) is not None:
            return pixels
        named = naming_columns(self._index, table)
        images = self._images(table, named)
        if images is None:
            return None
        says_masks = [n for n in named if is_mask_column(self._index, table, n)]
        masks = self._masks(table, [n for n in says_masks if n not in images.columns])
        taken = {
            *says_masks,
            *(() if masks is None else masks.columns),
            *(n for n in named if self._same(table, images, n)),
            *(column.number for column in split_columns(table)),
            *self._numbers(table, "split_column", "group_column"),
        }
        if masks is None and config.task == "segmentation":
            return None
        width = len(table.columns)
        reading = Reading(
            table=table,
            images=images,
            masks=masks,
            # A label may be part of a file's path.
            candidates=tuple(
                label_candidates(table, taken.union(images.columns))
                or label_candidates(table, taken if len(images.columns) > 1 else range(width))
            ),
            split=None if self._splits(table) else split_word(table.name),
        )
        asked = config.labels is not None or config.label_column or masks is not None
        return reading if asked or reading.varies() else None

    def _numbers(self, table: Table, *options: str) -> list[int]:
        """The columns that these options name."""
        asked = [(getattr(self._config, option), option) for option in options]
        return [
            table.column(name, option="--" + option.replace("_", "-"))
            for name, option in asked
            if name is not None
        ]

    def _splits(self, table: Table) -> bool:
        return self._config.split_column is not None or bool(split_columns(table))

    def _images(self, table: Table, named: Sequence[int]) -> ImageNames | None:
        config = self._config
        if config.path_template is not None:
            try:
                return by_template(config.path_template, table)
            except MisuseError:
                if config.labels is not None or len(self.tables) == 1:
                    raise
                return None
        if config.image_column is not None:
            column = table.column(config.image_column, option="--image-column")
            _refuse_twice(table, column, config)
            return by_column(column, table)
        labels = [table.column(name, option="--label-column") for name in config.label_column]
        fit = [n for n in named if n not in labels]
        plain = [n for n in fit if not is_mask_column(self._index, table, n)]
        return by_column((plain or fit)[0], table) if fit else None

    def _masks(self, table: Table, columns: Sequence[int]) -> ImageNames | None:
        config = self._config
        if config.mask_column is not None:
            return by_column(table.column(config.mask_column, option="--mask-column"), table)
        if config.task not in ("auto", "segmentation") or config.label_column:
            return None
        if len(columns) > 1:
            listed = "".join(f"\n  --mask-column {table.columns[n]}" for n in columns)
            raise MisuseError(f"{table.name}: several columns name masks. Pick one:{listed}")
        if config.task == "segmentation" and not columns and config.labels is not None:
            raise MisuseError(f"{table.name}: no column names masks: say --mask-column.")
        return by_column(columns[0], table) if columns else None

    def _same(self, table: Table, images: ImageNames, column: int) -> bool:
        """Whether a column names the very images of each row."""
        return all(
            self._index.find(row[column]) == images.find(self._index, images.text(row))
            for row in table.head[:50]
            if len(row) > max(column, *images.columns)
        )

    @property
    def _asked_columns(self) -> list[str]:
        config = self._config
        others = (config.image_column, config.split_column, config.group_column, config.mask_column)
        return [*config.label_column, *(column for column in others if column is not None)]

    def _names(self) -> Sequence[str]:
        index, labels = self._index, self._config.labels
        if labels is None:
            return [name for name in index.tables if name not in index.empty and _is_table(name)]
        name = index.table_named(labels)
        assert name is not None
        if name in index.empty:
            raise DataError(f"{index.where(name)} is empty.")
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


def _is_table(name: str) -> bool:
    return is_csv(name) or name.lower().endswith(".txt")


def _refuse_twice(table: Table, column: int, config: ShardConfig) -> None:
    for name in config.label_column:
        if table.column(name, option="--label-column") == column:
            raise MisuseError(
                f"{table.name}: column {table.columns[column]!r} names the images, it can't be "
                f"--label-column too."
            )
