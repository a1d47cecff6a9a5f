"""Files under the name of a table or an image that are something else."""

from tools.download.name_index import IMAGE_SUFFIXES, suffix_of
from tools.download.workbooks import OTHER_SPREADSHEETS, WORKBOOK_SUFFIXES
from tools.images.non_images import describe_foreign

_TEXT_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
# Control characters of texts: tab, line and page breaks, the end of a DOS file, escape.
_CONTROLS = bytes(set(range(32)) - {9, 10, 12, 13, 26, 27})
_MAX_CONTROLS = 0.01
_ZIP_START = b"PK\x03\x04"


def describe_stranger(name: str, first_bytes: bytes) -> str | None:
    """What the file `name` is, from its first bytes, if it is neither what its extension says nor
    text, such as "an HTML page, not a table: download the file again while logged in"; None for an
    image or a table."""
    suffix = suffix_of(name)
    if suffix in IMAGE_SUFFIXES:
        return describe_foreign(first_bytes, "an image")
    if suffix in OTHER_SPREADSHEETS and first_bytes.startswith((b"\xd0\xcf\x11\xe0", _ZIP_START)):
        return f"{OTHER_SPREADSHEETS[suffix]}: save it as CSV or .xlsx"
    if suffix in WORKBOOK_SUFFIXES:
        if first_bytes.startswith(_ZIP_START):
            return None
        return describe_foreign(first_bytes, "a workbook") or "no Excel workbook: save it as CSV"
    if (foreign := describe_foreign(first_bytes, "a table")) is not None:
        return foreign
    return _describe_binary(first_bytes)


def _describe_binary(data: bytes) -> str | None:
    if not data or data.startswith(_TEXT_MARKS):
        return None
    controls = len(data) - len(data.translate(None, _CONTROLS))
    if controls <= _MAX_CONTROLS * len(data):
        return None
    zeros = data[1::2].count(0), data[::2].count(0)
    if max(zeros) > 0.4 * len(data) / 2 > 0 and min(zeros) < 0.01 * len(data):
        return "a text in UTF-16 without a byte order mark: save it as UTF-8"
    return "a binary file, not a table: save it as CSV"
