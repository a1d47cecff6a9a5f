"""Samples are spread evenly; columns of decimal commas and whole floats are read as numbers."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.tables import csv_text, rows_of, table_of
from tools.download.table_sample import MAX_SAMPLE_ROWS, spread_rows


@given(st.integers(0, 500), st.integers(1, 40))
def test_a_sample_is_spread_evenly(count: int, limit: int) -> None:
    sample = spread_rows(([str(n)] for n in range(count)), limit)
    numbers = [int(cell) for (cell,) in sample.rows]
    assert sample.row_count == count and len(numbers) <= limit
    if count:
        assert numbers[0] == 0 and len(numbers) >= min(count, limit // 2 - 2)
        distances = np.diff([*numbers, count])
        assert distances.min() > 0 and distances.max() <= 4 * count / len(numbers)


@pytest.mark.parametrize("period", range(2, 12))
def test_labels_that_alternate_are_sampled_alike(period: int) -> None:
    sample = spread_rows(([str(n % period)] for n in range(20_000)), 1000)
    counts = Counter(cell for (cell,) in sample.rows)
    assert len(counts) == period and min(counts.values()) > 0.7 * max(counts.values())


def test_the_size_of_a_sample_is_limited() -> None:
    sample = spread_rows((["x" * 1000] for _ in range(3000)), max_bytes=10**6)
    assert 400 < len(sample.rows) < 1000 and sample.row_count == 3000


def test_the_sample_of_a_table() -> None:
    rows = [[str(n), f" {n % 7} "] for n in range(50_001)]
    table = table_of(csv_text([["id", "label"], *rows]))
    assert table.row_count == 50_001 and len(table.head) == 1000
    assert MAX_SAMPLE_ROWS / 2 < len(table.sample) <= MAX_SAMPLE_ROWS
    assert table.sample[0] == ("0", "0") and {label for _, label in table.sample} == {*"0123456"}
    assert table_of(csv_text([["id", "label"], *rows])).sample == table.sample


def test_the_sample_of_a_wide_table_is_its_head() -> None:
    table = table_of(csv_text([[str(n)] * 65 for n in range(2001)]))
    assert table.sample == table.head and len(table.head) == 1000 and table.row_count is None
    assert len(rows_of(table)) == 2000


@pytest.mark.parametrize(
    ("cells", "read", "words"),
    [
        (["1.0", "", "3.0"], ["1", "", "3"], "whole numbers written as floats (1.0)"),
        (["-0.0", "+2.00", "007.0"], ["0", "2", "007"], "integers (0)"),
        (["3.000e+00", "1.2e+01"], ["3", "12"], "integers (3)"),
        (["1.0", "1.5"], None, ""),
        (["1.0", "NA"], None, ""),
        (["1", "2"], None, ""),
        (["1e10", "2e10"], None, ""),
        (["v1.0", "v2.0"], None, ""),
        (["80,25", "7", "1.234,5", "-3,0"], ["80.25", "7", "1234.5", "-3.0"], "decimal commas"),
        (["1,0", "3,0", ""], ["1", "3", ""], "with decimal commas (1,0)"),
        (["80,25", "heavy"], None, ""),
        (["1,2,3", "4"], None, ""),
        (["", ""], None, ""),
    ],
)
def test_numbers_of_a_column(cells: list[str], read: list[str] | None, words: str) -> None:
    rows = [["file", "x"], *[[f"{n}.jpg", cell] for n, cell in enumerate(cells)]]
    table = table_of(csv_text(rows, ";"))
    got = [row[1] for row in rows_of(table)]
    assert got == (read or cells)
    assert [row[1] for row in table.head] == [row[1] for row in table.sample] == got
    assert not table.notes_of(0) and not table.notes
    note = "".join(table.notes_of(1))
    assert words in note and bool(note) == bool(words)
    assert not words or note.startswith("labels.csv: column 'x' has ")


def test_commas_that_may_part_thousands_are_left_and_said() -> None:
    table = table_of("file\tx\na\t12,345\nb\t80\n")
    assert rows_of(table)[0] == ["a", "12,345"]
    assert "numbers like 12,345, whose comma may part decimals or thousands" in table.notes_of(1)[0]
    assert rows_of(table_of("file;x\na;12,345\n"))[0] == ["a", "12.345"]


def test_a_quoted_comma_of_a_table_with_commas_stays() -> None:
    assert rows_of(table_of('file,x\na,"1,5"\n')) == [["a", "1,5"]]


def test_columns_that_change_below_the_head() -> None:
    head = [f"{n};{n}.0;{n}" for n in range(5000)]
    mixed = table_of("id;a;b\n" + "\n".join([*head, "5000;1.5;2,5", *head]))
    assert mixed.head[3] == ("3", "3.0", "3") and not mixed.notes_of(1)
    assert rows_of(mixed)[5000] == ["5000", "1.5", "2.5"]
    assert "(2,5)" in mixed.notes_of(2)[0]


def test_a_column_as_it_is_written() -> None:
    table = table_of("id;a;b\n" + "".join(f"{n};{n}.0;{n},5\n" for n in range(3000)))
    written = table.as_written(1)
    assert rows_of(written)[2999] == ["2999", "2999.0", "2999.5"]
    assert written.head[1] == written.sample[1] == ("1", "1.0", "1.5")
    assert not written.notes_of(1) and written.notes_of(2) and table.head[1] == ("1", "1", "1.5")


def test_columns_without_names() -> None:
    table = table_of(",id,label,,\n0,1,a,,\n1,2,b,,x\n")
    assert table.cells(3) == [] and table.cells(4) == ["x"]
    assert table.find("label") == 2 and table.find("4") == 3 and table.find("6") is None
