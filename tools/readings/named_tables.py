"""Tables whose rows name images: by a path, a name, a template of columns, or an id that another
table gives to the images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from pipeline.errors import MisuseError
from pipeline.text import option_lines
from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.download.name_patterns import split_word
from tools.download.tables import Table
from tools.readings.image_names import (
    ImageNames,
    by_column,
    by_template,
    is_mask_column,
    name_columns,
    require_other_column,
    resolve_folder,
)

# Share of the ids in a column that must be ids of another table, and share of those that they are.
_MIN_KNOWN_IDS, _MIN_JOINED_IDS = 0.9, 0.5
_MIN_IDS = 2
# Numbers that are names of images differ in at least this share of the rows.
_MIN_DIFFERENT = 0.5


@dataclass(frozen=True, kw_only=True)
class NamedTable:
    """A table whose rows name images.

    `naming` are the columns that name the image or a mask, `ids` of these has the ids by which
    other tables name them. `rows` are the sampled rows that name
    one image each, `images` their numbers; `unnamed` counts the sampled rows that name no image.
    """

    table: Table
    names: ImageNames
    masks: ImageNames | None
    naming: frozenset[int]
    ids: int | None = None
    rows: tuple[Sequence[str], ...] = field(repr=False)
    images: tuple[int, ...] = field(repr=False)
    unnamed: int = 0

    @property
    def split(self) -> str | None:
        """The split in the table's name or folder."""
        return split_word(self.table.name)

    @property
    def is_submission(self) -> bool:
        """Whether it shows the form of a submission."""
        return self.table.is_submission

    @cached_property
    def image_set(self) -> frozenset[int]:
        """The images that the sampled rows name."""
        return frozenset(self.images)


def named_tables(
    index: FileIndex, tables: Sequence[Table], config: ShardConfig, problems: dict[str, str]
) -> list[NamedTable]:
    """The tables of `tables` whose rows name images. Adds to `problems` why a table can't be used;
    raises ``MisuseError`` if it is the only one, or that of --labels."""
    named, others = [], []
    for table in tables:
        try:
            result = _name_images(index, table, config, alone=len(tables) == 1)
        except MisuseError as error:
            if config.labels or len(tables) == 1:
                raise
            problems[table.name] = error.message
            result = None
        if result is None or _is_weak(result):
            others.append((table, result))
        else:
            named.append(result)
    for table, weak in others:
        if joined := _join_by_id(index, table, named) or ([weak] if weak is not None else []):
            problems.pop(table.name, None)
            named += joined
    return named


def _is_weak(named: NamedTable) -> bool:
    """Whether the names are few numbers, which match files by chance."""
    names = [named.names.text(row) for row in named.rows]
    few = len({*names}) < _MIN_DIFFERENT * len(names)
    return few and all(name.isdecimal() for name in names)


def _name_images(
    index: FileIndex, table: Table, config: ShardConfig, *, alone: bool
) -> NamedTable | None:
    named = name_columns(index, table)
    names = _image_names(index, table, named, config, alone=alone)
    if names is None:
        return None
    mask_columns = [n for n in named if is_mask_column(index, table, n) and n not in names.columns]
    masks = _mask_names(index, table, named, mask_columns, names, config)
    names = resolve_folder(index, table, names, masks=False)
    if masks is not None:
        masks = resolve_folder(index, table, masks, masks=True)
    same = (n for n in named if _names_same_images(index, table, names, n))
    naming = frozenset([*mask_columns, *(() if masks is None else masks.columns), *same])
    return _sampled(index, table, names, masks, naming | frozenset(names.columns))


def _sampled(
    index: FileIndex,
    table: Table,
    names: ImageNames,
    masks: ImageNames | None,
    naming: frozenset[int],
) -> NamedTable:
    rows, images, unnamed = [], [], 0
    width = max(names.columns) + 1
    for row in table.sample:
        numbers = names.find_in_row(index, row) if len(row) >= width else []
        if len(numbers) == 1:
            rows.append(row)
            images.append(numbers[0])
        unnamed += not numbers
    return NamedTable(
        table=table,
        names=names,
        masks=masks,
        naming=naming,
        rows=tuple(rows),
        images=tuple(images),
        unnamed=unnamed,
    )


def _image_names(
    index: FileIndex, table: Table, named: Sequence[int], config: ShardConfig, *, alone: bool
) -> ImageNames | None:
    if config.path_template is not None:
        try:
            return by_template(config.path_template, table)
        except MisuseError:
            if config.labels or alone:
                raise
            return None
    if config.image_column is not None and table.find(config.image_column) is not None:
        column = table.column(config.image_column, option="--image-column")
        require_other_column(table, column, config)
        return by_column(column, table)
    labels = [table.find(name) for name in config.label_column]
    columns = [n for n in named if n not in labels]
    plain = [n for n in columns if not is_mask_column(index, table, n)]
    return by_column((plain or columns)[0], table) if columns else None


def _mask_names(
    index: FileIndex,
    table: Table,
    named: Sequence[int],
    columns: Sequence[int],
    names: ImageNames,
    config: ShardConfig,
) -> ImageNames | None:
    """How the rows name masks: the option, a column that speaks of masks, or the second of two
    file names in a table without a header."""
    if config.mask_column is not None and (told := table.find(config.mask_column)) is not None:
        return by_column(told, table)
    if config.task not in ("auto", "segmentation") or config.label_column:
        return None
    if not columns and not table.header and len(table.columns) == 2 == len(named):
        first, second = sorted(named)
        columns = [second] if names.columns == (first,) else [first]
        if _names_same_images(index, table, names, columns[0]):
            return None
    if len(columns) > 1:
        lines = option_lines("--mask-column", (table.columns[n] for n in columns))
        raise MisuseError(f"{table.name}: several columns name masks. Pick one:{lines}")
    if config.task == "segmentation" and not columns and config.labels:
        raise MisuseError(f"{table.name}: no column names masks. Pass --mask-column.")
    return by_column(columns[0], table) if columns else None


def _names_same_images(index: FileIndex, table: Table, names: ImageNames, column: int) -> bool:
    """Whether a column names the same images as `names` in each row."""
    return all(
        set(names.find(index, names.text(row))) <= set(index.find(row[column]))
        for row in table.head[:50]
        if len(row) > max(column, *names.columns)
    )


def _join_by_id(index: FileIndex, table: Table, named: list[NamedTable]) -> list[NamedTable]:
    """The table with images by ids, if one of its columns has the ids of a table of `named`, whose
    column of ids then names images, too; else nothing."""
    for column in range(len(table.columns)):
        cells = set(table.cells(column))
        if len(cells) < _MIN_IDS:
            continue
        for place, other in enumerate(named):
            for id_column in _id_columns(other):
                known = set(other.table.cells(id_column))
                common = len(cells & known)
                if common >= max(_MIN_KNOWN_IDS * len(cells), _MIN_JOINED_IDS * len(known)):
                    ids = dict(_ids(index, other, id_column))
                    template = by_column(column, table).template
                    names = ImageNames(template, ids=ids, ids_of=other.table.name)
                    named[place] = replace(other, naming=other.naming | {id_column}, ids=id_column)
                    return [_sampled(index, table, names, None, frozenset([column]))]
    return []


def _id_columns(named: NamedTable) -> list[int]:
    """The columns that have another cell in each row and don't name the image."""
    return [
        n
        for n in range(len(named.table.columns))
        if (n not in named.naming or n == named.ids)
        and len(cells := named.table.cells(n)) >= _MIN_IDS
        and len(set(cells)) == len(cells)
    ]


def _ids(index: FileIndex, named: NamedTable, column: int) -> Iterator[tuple[str, int]]:
    for _, cells in named.table.rows():
        if len(cells) > max(column, *named.names.columns):
            numbers = named.names.find(index, named.names.text(cells))
            if len(numbers) == 1:
                yield cells[column].strip(), numbers[0]
