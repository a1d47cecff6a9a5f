"""The first sheet of a workbook is a table; a damaged or another one is refused by its name."""

import datetime
import io
import sys
from typing import Any

import openpyxl
import pytest

from pipeline.errors import DataError
from tests.helpers.tables import rows_of, table_of


def workbook(*sheets: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"S{number}")
        for row in rows:
            sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def test_cells() -> None:
    day = datetime.datetime(2021, 3, 4)
    rows = [["file", "label", None], [" a.jpg ", "001", 1.5], [], ["b.jpg", True, 3], ["c", day]]
    table = table_of(workbook(rows, [["x"]]), "data/labels.xlsx")
    assert table.columns == ("file", "label") and table.header_lines == 1
    assert list(table.rows()) == [
        (2, ["a.jpg", "001", "1.5"]),
        (4, ["b.jpg", "TRUE", "3"]),
        (5, ["c", "2021-03-04 00:00:00"]),
    ]
    assert table.notes == ("data/labels.xlsx has 2 sheets: 'S0' is read.",)
    with table.open() as stream:
        assert stream.read().splitlines()[1] == b" a.jpg,001,1.5".strip()


def test_a_table_without_a_header_and_with_whole_floats() -> None:
    table = table_of(workbook([["a.jpg", "1.0"], ["b.jpg", "2.0"]]), "l.xlsm", header=False)
    assert rows_of(table) == [["a.jpg", "1"], ["b.jpg", "2"]] and "floats" in table.notes_of(1)[0]


def test_damage_gives_a_message() -> None:
    data = workbook([["file", "label"], *[[f"{n}.jpg", n % 3] for n in range(300)]])
    damaged = 0
    for start in range(10, len(data) - 10, 97):
        broken = data[:start] + b"\xff\0\xff" + data[start + 3 :]
        for part in (broken, data[:start]):
            try:
                rows_of(table_of(part, "l.xlsx"))
            except DataError as error:
                assert "l.xlsx can't be read as an Excel workbook" in error.message
                damaged += 1
    assert damaged > 20


def test_without_openpyxl_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    message = r"l\.xlsx is an Excel workbook.*pip install 'shardline\[xlsx\]', or save it as CSV"
    with pytest.raises(DataError, match=message):
        table_of(workbook([["a"]]), "l.xlsx")
