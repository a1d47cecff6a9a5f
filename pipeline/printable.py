"""Text from data, in forms that terminals, JSON readers and spreadsheets take as text only."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

# Python decodes bytes of file names that are not UTF-8 to these (PEP 383).
_FIRST_BYTE, _LAST_BYTE, _BYTE_OFFSET = 0xDC80, 0xDCFF, 0xDC00
# Spreadsheets calculate a cell that begins like this; apostrophes before it are counted, so that
# `defused` can be undone.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def printable(text: str, encoding: str | None = "utf-8") -> str:
    """Escape what is not printable, such as control characters and marks that reverse the order of
    letters, and what `encoding` lacks. New lines stay."""
    if text.isascii() and text.isprintable():
        return text
    encoding = encoding or "utf-8"
    escaped = "".join(
        letter if letter.isprintable() or letter == "\n" else _escape(letter) for letter in text
    )
    return escaped.encode(encoding, "backslashreplace").decode(encoding)


def _escape(letter: str) -> str:
    code = ord(letter)
    if _FIRST_BYTE <= code <= _LAST_BYTE:
        return f"\\x{code - _BYTE_OFFSET:02x}"
    return repr(letter)[1:-1]


def json_text(record: Mapping[str, Any], encoding: str | None = "utf-8") -> str:
    """`record` as JSON in one line; what ``printable`` would escape has JSON's escapes."""
    text = json.dumps(record, ensure_ascii=False)
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        letter if printable(letter, encoding) == letter else json.dumps(letter)[1:-1]
        for letter in text
    )


def defused(row: Iterable[str]) -> list[str]:
    """The cells of a row of a CSV, with an apostrophe before text that a spreadsheet would
    calculate; numbers stay. ``restored`` undoes it."""
    return [f"'{cell}" if _FORMULA.match(cell) and not _is_number(cell) else cell for cell in row]


def restored(cell: str) -> str:
    """The text that ``defused`` made `cell` of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return cell.strip() == cell and "_" not in cell
