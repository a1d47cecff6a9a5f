"""JSON as tables: names with labels, lists of objects, objects a line; other shapes are none."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from tests.helpers.tables import open_bytes, rows_of, table_of
from tools.download import json_tables
from tools.download.tables import open_table

LETTERS = st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("\n\r\t")
SCALARS = st.none() | st.booleans() | st.integers() | st.text(LETTERS, max_size=5)


# "1.0" would be read as a number.
NAMES = st.text(max_size=8).filter(lambda name: not name.strip().rstrip("0").endswith("."))


@given(st.dictionaries(NAMES, SCALARS, min_size=1))
def test_names_with_labels(labels: dict[str, Any]) -> None:
    table = open_bytes(json.dumps(labels).encode(), "a/labels.json")
    expected = [[name.strip(), text(label)] for name, label in labels.items()]
    assert table is not None and not table.header and table.columns == ("1", "2")
    assert rows_of(table) == [list(row) for row in table.head] == expected


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), SCALARS, min_size=1), min_size=1),
    st.sampled_from([".json", ".jsonl", ".ndjson", "lines.json"]),
)
def test_lists_of_objects(records: list[dict[str, Any]], suffix: str) -> None:
    lines = "\n".join(json.dumps(record) for record in records)
    data = lines if suffix != ".json" else json.dumps(records, indent=1)
    if suffix == "lines.json" and len(records) == 1:
        return
    table = table_of(data, "labels" + suffix)
    keys = list(dict.fromkeys(key for record in records for key in record))
    assert table.header and list(table.columns) == keys and table.row_count == len(records)
    expected = [[text(record.get(key)) for key in keys] for record in records]
    assert list(table.rows()) == list(enumerate(expected, start=1))
    with table.open() as stream:
        again = table_of(stream.read())
    # A row of empty cells is a blank line of a CSV.
    assert rows_of(again) == [row for row in expected if any(row)]


def text(value: Any) -> str:
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value)


def test_values_are_written_as_they_stand() -> None:
    record = {"id": "001", "x": 1.5, "on": True, "box": [1, 2.5], "more": {"ä": None}, "no": None}
    table = table_of(json.dumps([record, {"id": "002"}]), "l.json")
    first = ["001", "1.5", "true", "[1, 2.5]", '{"ä": null}', ""]
    assert rows_of(table) == [first, ["002", "", "", "", "", ""]]
    assert rows_of(table_of('{"a.jpg": 3.0, "b.jpg": NaN}', "l.json")) == [
        ["a.jpg", "3"],
        ["b.jpg", ""],
    ]


def test_a_name_that_is_there_twice_has_two_rows() -> None:
    table = table_of('{"a.jpg": "cat", "b.jpg": "dog", "a.jpg": "dog"}', "l.json")
    assert rows_of(table) == [["a.jpg", "cat"], ["b.jpg", "dog"], ["a.jpg", "dog"]]


def test_lines_keep_their_numbers() -> None:
    table = table_of('\n{"f": "a"}\n\n{"f": "b", "l": 1}\n', "l.jsonl")
    assert table.columns == ("f", "l") and list(table.rows()) == [(2, ["a", ""]), (4, ["b", "1"])]


@pytest.mark.parametrize(
    "document",
    [
        {"images": [{"id": 1}], "annotations": []},
        {"info": {"year": 2017}, "images": []},
        {"classes": ["cat", "dog"]},
        {"a.jpg": "cat", "b.jpg": ["dog"]},
        {"a.jpg": {"label": "cat"}},
        ["cat", "dog"],
        [["a.jpg", "cat"]],
        [{"a": 1}, "cat"],
        [{}, {}],
        {},
        [],
        "cat",
        7,
    ],
)
def test_other_shapes_are_no_tables(document: Any) -> None:
    assert open_bytes(json.dumps(document).encode(), "l.json") is None
    assert open_bytes(json.dumps(document, indent=2).encode("utf-16"), "l.json") is None


def test_lines_of_other_shapes_are_no_tables() -> None:
    assert open_bytes(b'["a.jpg", "cat"]\n["b.jpg", "dog"]\n', "l.jsonl") is None
    assert open_bytes(b'{"a": 1}\n["b.jpg", "dog"]\n', "l.jsonl") is None


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("l.json", '{"a.jpg": "cat", "b.jpg": "d', "l.json is not JSON"),
        ("l.json", '[{"a": 1}, {"a":', "l.json is not JSON"),
        ("l.jsonl", '{"a": 1}\n\n{"a": 2\n', "l.jsonl line 3 is not JSON"),
        ("l.json", "[{" + '"a":[' * 100_000, "l.json is not JSON"),
    ],
)
def test_damaged_documents(name: str, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        table_of(text, name)


def test_a_large_document_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_tables, "_MAX_BYTES", 1000)
    data = json.dumps([{"a": n} for n in range(1000)]).encode()
    with pytest.raises(DataError, match=r"big\.json is larger than 1 GiB.*as CSV"):
        open_table("big.json", lambda: io.BytesIO(data), is_header=lambda first, second: True)
    # A document of another shape is not read.
    coco = b'{"images": ' + data
    assert open_bytes(coco, "coco.json") is None
