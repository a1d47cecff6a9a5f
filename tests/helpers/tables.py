"""Tables from bytes, without a download."""

import csv
import io
from collections.abc import Sequence

from tools.download.tables import Table, open_table


def open_bytes(data: bytes, name: str = "labels.csv", *, header: bool = True) -> Table | None:
    return open_table(name, lambda: io.BytesIO(data), is_header=lambda first, second: header)


def table_of(data: bytes | str, name: str = "labels.csv", *, header: bool = True) -> Table:
    """The table; it must be one."""
    table = open_bytes(data.encode() if isinstance(data, str) else data, name, header=header)
    assert table is not None
    return table


def rows_of(table: Table) -> list[list[str]]:
    return [cells for _, cells in table.rows()]


def csv_text(rows: Sequence[Sequence[str]], delimiter: str = ",", end: str = "\n") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(rows)
    return text.getvalue()
