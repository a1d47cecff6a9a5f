"""Check the table with the rows of the sample submission."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.storage.manifest import sample_key
from pipeline.storage.sources import read_submission_table
from pipeline.text import plural
from tools.checking.findings import Finding


def read_submission(path: Path) -> pa.Table | str:
    """The table of a split, or why it can't be read."""
    try:
        return read_submission_table(path)
    except (OSError, pa.ArrowException) as error:
        return f"it can't be read ({error})"


def check_submission(path: Path, keys: NDArray[np.uint32]) -> Iterator[Finding]:
    """Its columns, and that the index has its keys; `keys` are those of the index."""
    table = read_submission(path)
    text = table if isinstance(table, str) else _form_flaw(table) or _key_flaw(table, keys)
    if text:
        yield Finding(file=path.name, text=text)


def _form_flaw(table: pa.Table) -> str:
    """What is wrong with the columns and the metadata, or ""."""
    names = table.schema.names
    if len(names) < 2 or names[0] != "key":
        return "its first column is not key, or there is no other"
    if not all(pa.types.is_string(kind) for kind in table.schema.types):
        return "some of its columns are no strings"
    metadata = table.schema.metadata or {}
    column = metadata.get(b"id_column", b"")
    if not metadata.get(b"table") or not column.isdigit() or int(column) >= len(names) - 1:
        return "its metadata doesn't name the table and the number of its column of ids"
    if empty := [
        name for name, cells in zip(names[1:], table.columns[1:], strict=True) if cells.null_count
    ]:
        return f"its column {empty[0]} has rows without a value"
    return ""


def _key_flaw(table: pa.Table, keys: NDArray[np.uint32]) -> str:
    """What is wrong with the keys, or ""."""
    asked = table.column(0)
    if asked.null_count == len(asked):
        return f"none of its {plural(len(asked), 'row')} has a key"
    known = pa.array(map(sample_key, keys.tolist()), pa.string())
    is_known = pc.or_(pc.is_null(asked), pc.is_in(asked, value_set=known))
    if not pc.all(is_known).as_py():
        row = pc.index(is_known, False).as_py()
        return f"row {row + 1:,} has the key {asked[row].as_py()}, which the index doesn't have"
    return ""
