"""Join the tables that are splits of one whole."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tools.download.name_index import name_of
from tools.download.name_patterns import is_unnamed
from tools.download.tables import Table
from tools.readings.columns import Column, Role, columns_of
from tools.readings.named_tables import NamedTable

# Share of a table's images that another table may name as well, if both are parts of one whole.
_MAX_COMMON = 0.05


@dataclass(frozen=True, kw_only=True)
class Family:
    """Tables of the same columns, in any order, each with images of its own.

    `tests` name images without labels: they lack columns that `tables` have. `submission`: the
    columns of the sample submission besides that of the images.
    """

    tables: tuple[NamedTable, ...]
    tests: tuple[NamedTable, ...] = ()
    submission: tuple[str, ...] = ()

    @property
    def first(self) -> NamedTable:
        return self.tables[0]

    @cached_property
    def columns(self) -> list[Column]:
        """The columns of the first table, with the sampled cells of all tables."""
        rows = list(self.first.rows)
        for other in self.tables[1:]:
            places = _places(self.first, other)
            rows += [[row[n] if n < len(row) else "" for n in places] for row in other.rows]
        return columns_of(self.first.table, rows)

    @cached_property
    def images(self) -> tuple[int, ...]:
        """The image of each sampled row, in the order of the rows of ``columns``."""
        return tuple(number for table in self.tables for number in table.images)

    @property
    def naming(self) -> frozenset[int]:
        """The columns of the first table that name images or masks."""
        return self.first.naming

    @property
    def lacking(self) -> frozenset[str] | None:
        """Columns that no test table has; None without a test table."""
        if not self.tests:
            return None
        present = {name.casefold() for test in self.tests for name in test.table.columns}
        names = self.first.table.columns
        return frozenset(name for name in names if name.casefold() not in present)

    def column_of(self, table: NamedTable, column: int) -> int:
        """The place in `table` of a column of the first table."""
        return _places(self.first, table)[column]


def is_list(named: NamedTable) -> bool:
    """Whether the rows only name images, without saying more."""
    return named.masks is None and not any(
        column.index not in named.naming
        and not (named.table.header and is_unnamed(column.name) and column.role is Role.ID)
        and column.values
        for column in columns_of(named.table, named.rows[:1000])
    )


def join_tables(named: Sequence[NamedTable], tables: Sequence[Table]) -> list[Family]:
    """Families of the tables that name images, the largest first; `tables` are all tables, among
    which sample submissions show what is asked for."""
    submissions = [table for table in tables if table.is_submission and table.header]
    naming = {id(named_table.table): named_table.naming for named_table in named}
    groups: dict[object, list[list[NamedTable]]] = {}
    for table in sorted(
        (table for table in named if not table.is_submission), key=lambda t: -len(t.images)
    ):
        group = groups.setdefault(_form(table), [])
        parts = next((parts for parts in group if _are_parts(parts, table)), None)
        if parts is None:
            group.append([table])
        else:
            parts.append(table)
    families = [Family(tables=tuple(parts)) for group in groups.values() for parts in group]
    asked = tuple(
        dict.fromkeys(
            column
            for table in submissions
            for n, column in enumerate(table.columns)
            if n not in naming.get(id(table), {0})
        )
    )
    return [replace(family, submission=asked) for family in _join_tests(families)]


def _form(named: NamedTable) -> object:
    """What the tables of a family have in common."""
    table = named.table
    if table.header:
        return frozenset(name.casefold() for name in table.columns)
    return (len(table.columns), tuple(sorted(named.naming)))


def _are_parts(tables: Sequence[NamedTable], other: NamedTable) -> bool:
    """Whether `other` is a further part: with images of its own and, without headers that show that
    they belong together, of another split."""
    splits = {table.split for table in tables}
    if not other.table.header and (other.split is None or other.split in splits):
        same_name = {name_of(table.table.name) for table in tables} == {name_of(other.table.name)}
        if not same_name:
            return False
    common = sum(len(table.image_set & other.image_set) for table in tables)
    return common <= _MAX_COMMON * len(other.image_set)


def _join_tests(families: Sequence[Family]) -> list[Family]:
    """Families with the tables that lack some of their columns and name other images."""
    joined, used = [], set()
    for family in families:
        tests = [other for other in families if other is not family and _is_test_of(other, family)]
        used |= set(map(id, tests))
        joined.append(
            replace(family, tests=tuple(table for other in tests for table in other.tables))
        )
    return [family for family, old in zip(joined, families, strict=True) if id(old) not in used]


def _is_test_of(test: Family, family: Family) -> bool:
    if not (test.first.table.header and family.first.table.header):
        return False
    fewer = {name.casefold() for name in test.first.table.columns}
    more = {name.casefold() for name in family.first.table.columns}
    images = {number for table in family.tables for number in table.image_set}
    common = sum(len(table.image_set & images) for table in test.tables)
    if common > _MAX_COMMON * sum(len(table.image_set) for table in test.tables):
        return False
    return fewer < more or _shares_names_only(test.first, family.first)


def _shares_names_only(test: NamedTable, train: NamedTable) -> bool:
    """Whether a table of the test split has no column of `train` but those that name images."""
    if test.split != "test" or train.split == "test":
        return False
    names = {name.casefold() for name in test.table.columns}
    common = {n for n, name in enumerate(train.table.columns) if name.casefold() in names}
    return bool(common) and common <= train.naming


def _places(first: NamedTable, other: NamedTable) -> list[int]:
    """The place in `other` of each column of `first`."""
    if not first.table.header:
        return list(range(len(first.table.columns)))
    places = {name.casefold(): n for n, name in enumerate(other.table.columns)}
    return [places[name.casefold()] for name in first.table.columns]
