"""Tables with an image a row: recognized by their width, or by a cell that holds a whole image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import prod
from typing import NamedTuple

from pipeline.errors import DataError, MisuseError
from tools.config import ShardConfig
from tools.download.name_patterns import split_of_cell, split_word
from tools.download.pixel_columns import (
    MIN_VALUES,
    first_fraction,
    image_shape,
    is_fractional,
    label_candidates,
    named_pixels,
    packed_column,
    placed_columns,
    split_columns,
    task_of,
)
from tools.download.pixel_rows import RowForm, number_value
from tools.download.tables import Table
from tools.text import plural

# Rows of the head that are kept; the others may take 50 MB.
_KEPT_ROWS = 5
# What stands beside the pixels -> the kind of its texts, see RowForm.
_LABEL_KINDS = {"classification": "label", "regression": "number", "multi-label": "hot"}


@dataclass(frozen=True, kw_only=True)
class PixelTable:
    """A CSV with an image a row.

    `pixels` are the columns of its values, or the one column that holds them all with spaces
    between; `shape` is (h, w) or (h, w, 3), `planar` if they stand as all R, all G, all B. `labels`
    are the columns of the labels for `task`. `split` is that of the whole table, `split_column`
    tells it by row. `problem`: why it can't be used, which matters only if it is the one to use.
    """

    table: Table
    labels: tuple[int, ...]
    task: str = "classification"
    pixels: tuple[int, ...]
    shape: tuple[int, ...]
    planar: bool = False
    split: str | None = None
    split_column: int | None = None
    group_column: int | None = None
    problem: DataError | MisuseError | None = None

    @property
    def option(self) -> str:
        return f"--labels {self.table.name}"

    @property
    def one_hot(self) -> bool:
        return self.task == "classification" and len(self.labels) > 1

    def form(self) -> RowForm:
        """How its rows are written; raises `problem`, if there is one."""
        if self.problem is not None:
            raise self.problem
        kind = "hot" if self.one_hot else _LABEL_KINDS[self.task]
        texts = [(column, kind) for column in self.labels]
        if self.split_column is not None:
            texts.append((self.split_column, "split"))
        if self.group_column is not None:
            texts.append((self.group_column, "group"))
        return RowForm(
            delimiter=self.table.delimiter,
            columns=self.table.columns,
            pixels=self.pixels,
            values=prod(self.shape),
            texts=tuple(texts),
        )

    def describe(self) -> str:
        self.form()
        height, width = self.shape[:2]
        kind = (
            "gray" if len(self.shape) == 2 else f"RGB, {'planar' if self.planar else 'interleaved'}"
        )
        header = "" if self.table.header else ", which has no header"
        place = f" in column {self._name(self.pixels[0])}" if len(self.pixels) == 1 else ""
        splits = ""
        if self.split_column is not None:
            splits = f", splits in column {self._name(self.split_column)}"
        return (
            f"{self.table.name}{header}: a row an image of {width} x {height} pixels ({kind})"
            f"{place}, {self._describe_labels()}{splits}"
        )

    def _describe_labels(self) -> str:
        kind = "one-hot" if self.one_hot else {"classification": ""}.get(self.task, self.task)
        names = ", ".join(map(self._name, self.labels[:4]))
        more = f" and {len(self.labels) - 4} more" if len(self.labels) > 4 else ""
        noun = "column" if len(self.labels) == 1 else "columns"
        return f"{kind} labels in {noun} {names}{more}".lstrip()

    def _name(self, column: int) -> str:
        return repr(self.table.columns[column])


def first_rows(part: PixelTable, count: int) -> list[tuple[str, str, str | None]]:
    """(name, label, split) of the first rows, to show; only they are read."""
    shown = []
    for line, cells in islice(part.table.rows(), count):
        cells += [""] * (len(part.table.columns) - len(cells))
        split = part.split
        if part.split_column is not None:
            column = part.table.columns[part.split_column]
            split = split_of_cell(column, cells[part.split_column])
        label = ", ".join(cells[column].strip() for column in part.labels)
        shown.append((f"{part.table.name} row {line}", label, split))
    return shown


def read_as_pixels(table: Table, config: ShardConfig) -> PixelTable | None:
    """The table as images; None if it is none, or has no label, unless --labels asks for it.

    Raises ``MisuseError`` for columns that aren't there, a task that the labels don't fit, columns
    that don't make an image, a missing label; ``DataError`` if the values are fractions.
    """
    packed = packed_column(table) if table.head else None
    if not table.head or not (packed or _is_numeric(table.head[0])):
        return None
    roles = _roles(table, config, packed)
    values = packed[1] if packed else len(roles.pixels)
    shape = image_shape(values, config.pixel_size)
    if problem := _problem(table, values, shape, labeled=bool(roles.labels or roles.candidates)):
        if config.labels is not None:
            raise MisuseError(f"{table.name}: {problem}.")
        return None
    fraction = first_fraction(table, roles.pixels)
    if fraction and not (config.labels or packed or named_pixels(table)):
        return None
    for what in ("split", "group"):
        _asked(table, what, config, required=True)
    assert shape is not None
    task = config.task if config.task != "auto" else task_of(table, roles.labels)
    return PixelTable(
        table=replace(table, head=table.head[:_KEPT_ROWS]),
        labels=roles.labels,
        task=task or "",
        pixels=roles.pixels,
        shape=shape,
        planar=len(shape) == 3 and config.pixel_layout == "planar",
        split=split_word(table.name),
        split_column=roles.split,
        group_column=roles.group,
        problem=_fraction(table, *fraction) if fraction else _misuse(table, roles, task),
    )


class _Roles(NamedTuple):
    """What the columns are; see PixelTable."""

    pixels: tuple[int, ...]
    labels: tuple[int, ...]
    candidates: tuple[int, ...]
    split: int | None
    group: int | None


def _roles(table: Table, config: ShardConfig, packed: tuple[int, int] | None) -> _Roles:
    labels = [table.column(name, option="--label-column") for name in config.label_column]
    split = _asked(table, "split", config, required=False)
    group = _asked(table, "group", config, required=False)
    taken = [n for n in (*labels, split, group) if n is not None]
    pixels = [packed[0]] if packed else [n for n in named_pixels(table) if n not in taken]
    if not pixels:
        pixels, labels = placed_columns(table, taken, labels, config.pixel_size)
        return _Roles(tuple(pixels), tuple(labels), (), split, group)
    others = [n for n in range(len(table.columns)) if n not in (*pixels, *taken)]
    if split is None and len(found := split_columns(table, others)) == 1:
        split = found[0]
    candidates = label_candidates(table, [n for n in others if n != split])
    labels = labels or _sure_labels(table, candidates, config.task)
    return _Roles(tuple(pixels), tuple(labels), tuple(candidates), split, group)


def _problem(
    table: Table, values: int, shape: tuple[int, ...] | None, *, labeled: bool
) -> str | None:
    if shape is None:
        return (
            f"{plural(values, 'value')} beside the label are no square image, gray or RGB: say "
            f"--pixel-size HEIGHT WIDTH"
        )
    if not labeled:
        return (
            f"it holds images of {shape[1]} x {shape[0]} pixels and no column of labels (a test "
            f"set?): give the table that has them as --labels, or the column as --label-column"
        )
    return None


def _is_numeric(cells: Sequence[str]) -> bool:
    """Whether a row is an image by its width and its cells, of which a few may be texts."""
    numbers = sum(number_value(cell) is not None for cell in cells)
    return numbers >= max(MIN_VALUES, len(cells) - 3)


def _asked(table: Table, what: str, config: ShardConfig, *, required: bool) -> int | None:
    """The column that --split-column or --group-column names; ``MisuseError`` if it is `required`
    and missing."""
    name: str | None = getattr(config, f"{what}_column")
    if name is None or not (required or name in table.columns or name.isdecimal()):
        return None
    return table.column(name, option=f"--{what}-column")


def _sure_labels(table: Table, candidates: Sequence[int], task: str) -> list[int]:
    """The candidates, if it is sure that they are meant: a single one, or numbers to learn."""
    fractions = len(candidates) > 1 and all(is_fractional(table, n) for n in candidates)
    several = fractions if task == "auto" else task in ("regression", "multi-label")
    return list(candidates) if len(candidates) == 1 or several else []


def _fraction(table: Table, line: int, column: int, value: str) -> DataError:
    return DataError(
        f"{table.name} row {line}: column {table.columns[column]!r} holds {value!r}, and pixels "
        f"are integers from 0 to 255: multiply fractions by 255, and round them."
    )


def _misuse(table: Table, roles: _Roles, task: str | None) -> MisuseError | None:
    """Why the labels can't be read."""
    if task == "segmentation":
        reason = "it holds images in its rows and no masks for --task segmentation"
    elif not roles.labels:
        listed = "".join(f"\n  --label-column {table.columns[n]}" for n in roles.candidates)
        reason = (
            f"{plural(len(roles.candidates), 'column')} beside the pixels may hold the label. Pick "
            f"one, or several for --task regression:{listed}"
        )
    elif task == "multi-label" and len(roles.labels) == 1:
        reason = "--task multi-label takes a --label-column of 0 and 1 for each label"
    elif task is None:
        reason = "several --label-column are to hold 0 and 1, or numbers: name a single one"
    else:
        return None
    return MisuseError(f"{table.name}: {reason}")
