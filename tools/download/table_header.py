"""The names of a table's columns: from its first row, from a comment above it, or numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tools.download.table_text import Preamble, split_cells

IsHeader = Callable[[list[str], list[str]], bool]
# Begins the names that pandas gives to columns without one.
_UNNAMED = "Unnamed: "


@dataclass(frozen=True, kw_only=True)
class Header:
    """The names of the columns, each another one.

    Args:
        stated: whether the table names its columns; else they are called "1", "2", ...
        rows: 1 if the first row is the header, 0 if it has data.
    """

    columns: tuple[str, ...]
    stated: bool
    rows: int


def find_header(
    rows: Sequence[Sequence[str]], is_header: IsHeader, preamble: Preamble, delimiter: str
) -> Header:
    """The header of a table that begins with `rows`."""
    first = list(rows[0])
    in_row = is_header(first, list(rows[1]) if len(rows) > 1 else [])
    if names := _names_in_comment(preamble.comment, len(first), in_row, delimiter):
        return Header(columns=_unique(names), stated=True, rows=0)
    if not in_row:
        return Header(columns=tuple(str(n + 1) for n in range(len(first))), stated=False, rows=0)
    # R writes the names of the rows, and no name for them.
    longer = [len(row) == len(first) + 1 for row in rows[1:]]
    if longer and all(longer) and any(row[-1] for row in rows[1:]):
        first.insert(0, "")
    return Header(columns=_unique(first), stated=True, rows=1)


def _names_in_comment(comment: str, width: int, in_row: bool, delimiter: str) -> list[str]:
    """The names in a comment such as "#file,label" above data; [] if it is a remark."""
    names = split_cells(comment.strip(), delimiter) if comment else []
    if len(names) != width or width < 2:
        return []
    is_remark = in_row and (comment[0].isspace() or any(" " in name for name in names))
    return [] if is_remark else names


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """The names with numbers for those that are missing or that repeat another, as pandas does."""
    taken, unique, repeated = set(names), dict[str, None](), dict[str, int]()
    for number, name in enumerate(names):
        plain = candidate = name or f"{_UNNAMED}{number}"
        while candidate in unique or (candidate != name and candidate in taken):
            repeated[plain] = repeated.get(plain, 0) + 1
            candidate = f"{plain}.{repeated[plain]}"
        unique[candidate] = None
    return tuple(unique)
