"""Tables with an image in each row, detected by their width or by a cell with a whole image."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

from pipeline.errors import DataError, MisuseError
from pipeline.text import join_names, option_lines, plural
from tools.config import ShardConfig
from tools.download.label_parsing import parse_number
from tools.download.name_patterns import is_id_column, split_word
from tools.download.tables import Table
from tools.images.pixel_range import PixelRange, given_range
from tools.pixel_tables.pixel_columns import (
    MIN_VALUES,
    columns_by_position,
    first_fraction,
    image_shape,
    is_fractional,
    label_candidates,
    named_pixels,
    packed_column,
    pixel_columns_by_name,
    split_columns,
    task_of,
)
from tools.pixel_tables.pixel_rows import RowFormat, pixel_value

# Rows of the head that are kept, since all may take 50 MB.
_KEPT_ROWS = 5
# Rows whose brightest pixel is measured.
_MEASURED_ROWS = 50
# Task -> kind of the label columns, see RowFormat.
_LABEL_KINDS = {"classification": "label", "regression": "number", "multi-label": "one_hot"}


@dataclass(frozen=True, kw_only=True)
class PixelTable:
    """A CSV with an image in each row.

    Args:
        labels: the columns of the labels for `task`.
        pixels: the columns of the values, or the one column with all values of an image.
        shape: (h, w), or (h, w, 3) for RGB.
        planar: whether RGB values are stored as all R, all G, all B.
        by_column: whether the pixels stand column by column.
        split: the split of the whole table.
        split_column, group_column: columns with the split and the group of each row.
        pixel_range: the values that become 0 to 255; None leaves them as they are.
        brightest: the largest value in the first rows, -1 without any.
        problem: the error if the table can't be used, raised only if it is the one to use.
    """

    table: Table
    labels: tuple[int, ...]
    task: str = "classification"
    pixels: tuple[int, ...]
    shape: tuple[int, ...]
    planar: bool = False
    by_column: bool = False
    split: str | None = None
    split_column: int | None = None
    group_column: int | None = None
    pixel_range: PixelRange | None = None
    brightest: int = -1
    problem: DataError | MisuseError | None = None

    @property
    def option(self) -> str:
        """The option that selects the table."""
        return f"--labels {self.table.name}"

    @property
    def id_column(self) -> int | None:
        """The only column besides pixels and labels that is called an id; None without one."""
        others = {*range(len(self.table.columns))} - {*self.pixels, *self.labels}
        ids = [n for n in others if self.table.header and is_id_column(self.table.columns[n])]
        return ids[0] if len(ids) == 1 else None

    @property
    def one_hot(self) -> bool:
        """Whether the class is the column that is 1."""
        return self.task == "classification" and len(self.labels) > 1

    def row_format(self) -> RowFormat:
        """The layout of its rows; raises `problem`, if there is one."""
        if self.problem is not None:
            raise self.problem
        return RowFormat(
            delimiter=self.table.delimiter,
            columns=self.table.columns,
            pixels=self.pixels,
            values=prod(self.shape),
            texts=tuple(self._texts()),
            pixel_range=self.pixel_range,
        )

    def _texts(self) -> Iterator[tuple[int, str]]:
        """Column and kind of the cells to read besides the pixels; none of an unlabeled table."""
        if not self.labels:
            return
        for column in self.labels:
            yield column, "one_hot" if self.one_hot else _LABEL_KINDS[self.task]
        if self.split_column is not None:
            yield self.split_column, "split"
        if self.group_column is not None:
            yield self.group_column, "group"

    def describe(self) -> str:
        """What the table is, as a phrase for the user; raises `problem`, if there is one."""
        self.row_format()
        columns = self.table.columns
        height, width = self.shape[:2]
        layout = "planar" if self.planar else "interleaved"
        color = "gray" if len(self.shape) == 2 else f"RGB, {layout}"
        text = self.table.name + ("" if self.table.header else " (without a header)")
        order = ", column by column" if self.by_column else ""
        text += f": an image of {width} x {height} pixels ({color}{order}) in each row"
        if len(self.pixels) == 1:
            text += f", in column {columns[self.pixels[0]]!r}"
        if not self.labels:
            return f"{text}, without labels"
        kind = "one-hot " if self.one_hot else f"{self.task} "
        names = join_names([columns[n] for n in self.labels], 4, quote=True)
        noun = "column" if len(self.labels) == 1 else "columns"
        text += f", {kind.removeprefix('classification ')}labels in {noun} {names}"
        if self.split_column is not None:
            text += f", splits in column {columns[self.split_column]!r}"
        return text


def detect_pixel_table(
    table: Table, config: ShardConfig, values_of_others: Collection[int] = ()
) -> PixelTable | None:
    """The table as images, without `labels` if it has none; None if it has no images. Without names
    of columns that say pixels, a table without labels has images if it has as many values as
    another one, see `values_of_others`.

    `problem` is set if the labels don't fit the task or a pixel is a fraction. Raises
    ``MisuseError`` for options that name no column, and, if --labels names the table, for columns
    that are no image or a missing label.
    """
    packed = packed_column(table) if table.head else None
    if not table.head or not (packed or _is_numeric(table.head[0])):
        return None
    roles = _find_roles(table, config, packed)
    values = packed[1] if packed else len(roles.pixels)
    shape = image_shape(values, config.pixel_size)
    has_labels = bool(roles.labels or roles.candidates)
    is_certain = (
        packed is not None or len(named_pixels(table)) >= values or values in values_of_others
    )
    if shape is None or not (has_labels or is_certain):
        if config.labels:
            raise MisuseError(f"{table.name}: {_missing(values, shape)}.")
        return None
    if config.labels and not has_labels and len(config.labels) == 1:
        raise MisuseError(f"{table.name}: {_missing(values, shape)}.")
    fraction = first_fraction(table, roles.pixels)
    if fraction and not (config.labels or packed or pixel_columns_by_name(table)):
        return None
    table.option_columns(config, "split_column", "group_column")
    task = config.task if config.task != "auto" else task_of(table, roles.labels)
    return PixelTable(
        table=replace(table, head=table.head[:_KEPT_ROWS]),
        labels=roles.labels,
        task=task or "",
        pixels=roles.pixels,
        shape=shape,
        planar=len(shape) == 3 and config.pixel_layout == "planar",
        by_column=config.pixel_order == "column",
        split=split_word(table.name),
        split_column=roles.split,
        group_column=roles.group,
        pixel_range=None if config.pixel_range is None else given_range(*config.pixel_range),
        brightest=_brightest(table, roles.pixels),
        problem=_problem(table, roles, task, fraction) if has_labels else None,
    )


def _brightest(table: Table, columns: Sequence[int]) -> int:
    cells = (row[n] for row in table.head[:_MEASURED_ROWS] for n in columns if len(row) > n)
    return max((pixel_value(value) for cell in cells for value in cell.split()), default=-1)


def _problem(
    table: Table, roles: "_Roles", task: str | None, fraction: tuple[int, int, str] | None
) -> DataError | MisuseError | None:
    return _fraction_error(table, *fraction) if fraction else _misuse(table, roles, task)


class _Roles(NamedTuple):
    """The columns of pixels, labels, split and group; `candidates` may have labels."""

    pixels: tuple[int, ...]
    labels: tuple[int, ...]
    candidates: tuple[int, ...]
    split: int | None
    group: int | None


def _find_roles(table: Table, config: ShardConfig, packed: tuple[int, int] | None) -> _Roles:
    labels = table.option_columns(config, "label_column")
    names = (config.split_column, config.group_column)
    split, group = (None if name is None else table.find(name) for name in names)
    named = [n for n in (*labels, split, group) if n is not None]
    pixels = [packed[0]] if packed else [n for n in pixel_columns_by_name(table) if n not in named]
    if not pixels:
        pixels, labels = columns_by_position(table, named, labels, config.pixel_size)
        return _Roles(tuple(pixels), tuple(labels), (), split, group)
    known = {*pixels, *named}
    others = [n for n in range(len(table.columns)) if n not in known]
    if split is None and len(splits := split_columns(table, others)) == 1:
        split = splits[0]
    candidates = label_candidates(table, [n for n in others if n != split])
    labels = labels or _certain_labels(table, candidates, config.task)
    return _Roles(tuple(pixels), tuple(labels), tuple(candidates), split, group)


def _is_numeric(cells: Sequence[str]) -> bool:
    """Whether a row is wide enough for an image, and all its cells but a few are numbers."""
    numbers = sum(parse_number(cell) is not None for cell in cells)
    return numbers >= max(MIN_VALUES, len(cells) - 3)


def _certain_labels(table: Table, candidates: Sequence[int], task: str) -> list[int]:
    """The candidates if no choice is left: a single one, or several of a task that has several."""
    fractions = len(candidates) > 1 and all(is_fractional(table, n) for n in candidates)
    several = fractions if task == "auto" else task in ("regression", "multi-label")
    return list(candidates) if len(candidates) == 1 or several else []


def _missing(values: int, shape: tuple[int, ...] | None) -> str:
    """Why the table has no images, or no labels."""
    if shape is None:
        return (
            f"a row has {plural(values, 'value')} besides the label, which is no square image, "
            f"gray or RGB. Pass --pixel-size HEIGHT WIDTH"
        )
    return (
        f"it has images of {shape[1]} x {shape[0]} pixels and no column of labels (a test set?). "
        f"Pass the table with labels as --labels, or the column as --label-column"
    )


def _fraction_error(table: Table, line: int, column: int, value: str) -> DataError:
    return DataError(
        f"{table.name} row {line}: column {table.columns[column]!r} has {value!r}, and pixels must "
        f"be integers from 0 to 255. Multiply fractions by 255 and round them."
    )


def _misuse(table: Table, roles: _Roles, task: str | None) -> MisuseError | None:
    """Why the labels can't be read."""
    if task == "segmentation":
        reason = "it has images in its rows, and no masks for --task segmentation."
    elif not roles.labels:
        lines = option_lines("--label-column", (table.columns[n] for n in roles.candidates))
        reason = (
            f"{plural(len(roles.candidates), 'column')} besides the pixels may have the label. "
            f"Pick one, or several for --task regression:{lines}"
        )
    elif task == "multi-label" and len(roles.labels) == 1:
        reason = "--task multi-label needs a --label-column of 0 and 1 for each label."
    elif task is None:
        reason = "several --label-column must have 0 and 1, or numbers. Pass one --label-column."
    else:
        return None
    return MisuseError(f"{table.name}: {reason}")
