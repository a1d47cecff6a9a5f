"""Sample submissions: tables that show which rows a submission has, and in which order."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import DataError, MisuseError
from pipeline.text import join_names
from tools.config import ShardConfig
from tools.download.file_index import FileIndex
from tools.download.name_patterns import is_submission
from tools.download.tables import Table
from tools.readings.named_tables import NamedTable, named_tables
from tools.readings.open_tables import open_one


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A sample submission; `named` if its rows name image files."""

    table: Table
    named: NamedTable | None = None


def find_submissions(
    index: FileIndex, tables: Sequence[Table], named: Sequence[NamedTable], config: ShardConfig
) -> tuple[Submission, ...]:
    """The table of --submission, else those that are called so; `tables` and `named` are the ones
    that are open. Raises ``MisuseError`` if --submission names no table, ``DataError`` if it can't
    be read."""
    opened = {table.name: table for table in tables}
    known = {one.table.name: one for one in named}
    found = []
    for name in _names(index, config):
        table = opened.get(name) or _open(index, name, config)
        if table is not None:
            # --labels keeps other tables from being opened and named.
            one = known.get(name) if name in opened else _name(index, table, config)
            found.append(Submission(table=table, named=one))
    return tuple(found)


def _names(index: FileIndex, config: ShardConfig) -> list[str]:
    if config.submission is None:
        return [name for name in index.tables if is_submission(name) and name not in index.empty]
    name = index.table_named(config.submission)
    if name is None:
        tables = join_names(index.tables, 8) or "none"
        raise MisuseError(
            f"--submission {config.submission}: the download has no such table, or several. Its "
            f"tables are: {tables}."
        )
    if name in index.empty:
        raise DataError(
            f"{index.storage.where(name)} is empty: download it again, or leave --submission out."
        )
    return [name]


def _open(index: FileIndex, name: str, config: ShardConfig) -> Table | None:
    try:
        return open_one(index, name, config)
    except DataError:
        if config.submission is not None:
            raise
        return None


def _name(index: FileIndex, table: Table, config: ShardConfig) -> NamedTable | None:
    try:
        return next(iter(named_tables(index, [table], config, {})), None)
    except MisuseError:
        return None
