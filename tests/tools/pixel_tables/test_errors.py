"""Errors in a pixel table name the row and the value."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from pipeline.errors import DataError, MisuseError
from tests.helpers.pixel_csvs import (
    FORMS,
    NAMED,
    ROWS,
    collect,
    find,
    label_first,
    packed,
    table,
    write,
)
from tools.workers import Workers


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"task": "segmentation"}, MisuseError, "no masks"),
        ({"task": "multi-label"}, MisuseError, "of 0 and 1 for each label"),
        ({"label_column": ("label", "letter")}, MisuseError, "Pass one --label-column"),
        (
            {"labels": ("train.csv",), "label_column": ("breed",)},
            MisuseError,
            "No CSV has a column 'breed'",
        ),
    ],
)
def test_misuse(
    tmp_path: Path, arguments: dict[str, Any], kind: type[click.ClickException], words: str
) -> None:
    text = table(["letter", *NAMED], lambda n, v: ["abcd"[n % 4], *label_first(n, v)])
    with pytest.raises(kind, match=words):
        [part.describe() for part in find(write(tmp_path, text), **arguments)]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (label_first, "row 3: column 'pixel1' has '0.5', and pixels must be integers"),
        (packed, "row 3: column 'pixels' has '0.5', and pixels must be integers"),
    ],
)
def test_fractions_are_an_error(tmp_path: Path, cells: Any, words: str) -> None:
    def row(number: int, values: list[str]) -> Sequence[str]:
        return list(cells(number, ["0", "0.5" if number == 1 else "1", *values[2:]]))

    columns = NAMED if cells is label_first else ["label", "pixels"]
    with pytest.raises(DataError, match=words):
        find(write(tmp_path, table(columns, row)))[0].describe()


def test_features_are_not_pixels(tmp_path: Path) -> None:
    """Features of images have no names of pixels and are no integers."""
    rows = [",".join([f"{n}.png", *["0.25"] * 16]) for n in range(9)]
    folder = write(tmp_path, "\n".join([",".join(["id", *"abcdefghijklmnop"]), *rows]))
    with pytest.raises(DataError):
        find(folder)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("256", "column 'pixel3' is '256', not an integer from 0 to 255"),
        ("299", "column 'pixel3' is '299', not an integer from 0 to 255"),
        ("1000", "column 'pixel3' is '1000', not an integer from 0 to 255"),
        ("-1", "column 'pixel3' is '-1', not an integer from 0 to 255"),
        ("", "column 'pixel3' is '', not an integer from 0 to 255"),
        ("x", "column 'pixel3' is 'x', not an integer from 0 to 255"),
        ("1,2", "the row has 18 cells, not 17"),
        (".0", None),
        ("0.0", None),
    ],
)
def test_a_bad_value_is_named(
    tmp_path: Path, workers: Workers, cell: str, reason: str | None
) -> None:
    def row(number: int, values: list[str]) -> list[str]:
        bad = [*values[:3], cell, *values[4:]]
        return label_first(number, bad if number == 5 else values)

    sources = collect(write(tmp_path, table(NAMED, row)), workers)
    assert sources.rejected == ((("train.csv row 7", reason),) if reason else ())
    assert len(sources) == ROWS - len(sources.rejected)


def test_a_bad_value_among_many_in_a_cell_is_named(tmp_path: Path, workers: Workers) -> None:
    def row(number: int, values: list[str]) -> list[str]:
        bad = {3: [*values[:7], "x", *values[8:]], 4: values[:15]}.get(number, values)
        return packed(number, bad)

    sources = collect(write(tmp_path, table(["emotion", "pixels"], row)), workers)
    assert sources.rejected == (
        ("train.csv row 5", "value 8 of column 'pixels' is 'x', not an integer from 0 to 255"),
        ("train.csv row 6", "column 'pixels' has 15 values, not 16"),
    )


def test_incomplete_rows_are_rejected(tmp_path: Path, workers: Workers) -> None:
    lines = FORMS["digit recognizer"].encode().splitlines()
    lines[2] = lines[2][1:]
    lines[4] = b"," + lines[4]
    lines[-1] = lines[-1][:20]
    write(tmp_path, "")
    good = FORMS["digit recognizer"].splitlines()[1].encode()
    lines = [lines[0], *[good] * 6000, *lines[2:]]
    (tmp_path / "train.csv").write_bytes(b"\n".join(lines))
    sources = collect(tmp_path, workers)
    assert len(sources) == 6000 + 8
    assert [reason.split(":")[0] for _, reason in sources.rejected] == [
        "no label",
        "the row has 18 cells, not 17",
        "the row has 7 cells, not 17",
    ]


def test_a_table_without_valid_rows_is_an_error(tmp_path: Path, workers: Workers) -> None:
    text = table(NAMED, lambda n, v: ["", *v])
    with pytest.raises(DataError, match=r"no row is an image .* first: train.csv row 2: no label"):
        collect(write(tmp_path, text), workers)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_lines_above_the_header_and_other_encodings(
    tmp_path: Path, workers: Workers, encoding: str
) -> None:
    header, *rows = FORMS["digit recognizer"].splitlines()
    rows[3] = "é" + rows[3]
    write(tmp_path, "")
    text = "\n".join(["# made", "", header, *rows, "x," + rows[0]])
    (tmp_path / "train.csv").write_bytes(text.encode(encoding))
    sources = collect(tmp_path, workers)
    assert len(sources) == len(rows) and sources.classes[sources.labels[3]].startswith("é")
    assert sources.origin(0) == "train.csv row 4"
    ((name, reason),) = sources.rejected
    assert name == f"train.csv row {len(rows) + 4}" and "18 cells, not 17" in reason
