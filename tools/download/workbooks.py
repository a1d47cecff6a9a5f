"""Excel workbooks as tables: the first sheet, row by row."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from pipeline.errors import DataError
from tools.download.table_text import csv_stream
from tools.download.text_encoding import Open

WORKBOOK_SUFFIXES = frozenset({".xlsx", ".xlsm"})
# Spreadsheets that openpyxl does not read, and what they are.
OTHER_SPREADSHEETS = {
    ".xls": "an old Excel workbook",
    ".xlsb": "a binary Excel workbook",
    ".ods": "an OpenDocument spreadsheet",
}
# A workbook is read in any order, so its bytes are copied; more than this goes to a file.
_MEMORY_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class WorkbookSource:
    """The rows of a workbook's first sheet."""

    name: str
    file: Open
    notes: tuple[str, ...]

    delimiter = ","

    def open(self) -> IO[bytes]:
        """The sheet as CSV."""
        return csv_stream(cells for _, cells in self.rows())

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (row of the sheet from 1, cells) of each row that is not blank; raises
        ``DataError``."""
        with _opened(self.name, self.file) as workbook:
            rows = _first_sheet(self.name, workbook).iter_rows(values_only=True)
            for number, values in enumerate(_guarded(self.name, rows), start=1):
                cells = [_text(value) for value in values]
                while cells and not cells[-1]:
                    cells.pop()
                if cells:
                    yield number, cells


def open_workbook(name: str, file: Open) -> WorkbookSource:
    """The first sheet; raises ``DataError`` for a damaged workbook or without openpyxl."""
    with _opened(name, file) as workbook:
        first, *others = [sheet.title for sheet in _sheets(name, workbook)]
    notes = () if not others else (f"{name} has {len(others) + 1} sheets: {first!r} is read.",)
    return WorkbookSource(name=name, file=file, notes=notes)


@contextmanager
def _opened(name: str, file: Open) -> Iterator[Any]:
    try:
        import openpyxl
    except ImportError as error:
        raise DataError(
            f"{name} is an Excel workbook, which takes openpyxl: pip install 'shardline[xlsx]', or "
            f"save it as CSV."
        ) from error
    with tempfile.SpooledTemporaryFile(_MEMORY_BYTES) as copy:
        try:
            with file() as stream:
                shutil.copyfileobj(stream, copy, 2**20)
        except OSError as error:
            raise DataError(f"{name} can't be read: {error.strerror or error}.") from error
        copy.seek(0)
        # It warns about styles and dates, which are no labels.
        warnings.filterwarnings("ignore", module="openpyxl")
        try:
            workbook = openpyxl.load_workbook(copy, read_only=True, data_only=True)
        except Exception as error:  # those of zipfile, zlib, XML parsers and its own
            raise _damaged(name, error) from error
        try:
            yield workbook
        finally:
            workbook.close()


def _sheets(name: str, workbook: Any) -> list[Any]:
    if not workbook.worksheets:
        raise DataError(f"{name} is an Excel workbook without a sheet of cells: save it as CSV.")
    return list(workbook.worksheets)


def _first_sheet(name: str, workbook: Any) -> Any:
    sheet = _sheets(name, workbook)[0]
    # Some programs state a size that is too small.
    sheet.reset_dimensions()
    return sheet


def _guarded(name: str, rows: Iterator[Any]) -> Iterator[Any]:
    """The rows; raises ``DataError`` for a damaged one."""
    try:
        yield from rows
    except Exception as error:  # see above
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> DataError:
    return DataError(
        f"{name} can't be read as an Excel workbook ({error}): open it in Excel and save it as CSV."
    )


def _text(value: Any) -> str:
    """A cell as Excel writes it to a CSV; floats in full, dates as in ISO 8601."""
    if value is None:
        return ""
    return str(value).upper() if isinstance(value, bool) else str(value).strip()
