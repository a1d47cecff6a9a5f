"""Tables in several encodings and dialects, and real tables from Kaggle."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.downloads import collect, download, labeled
from tools.download.tables import find_delimiter

Unpack = Callable[[str], Path]
FOUR = {f"train/{n}.png": "" for n in (1, 2, 3, 4)}


@pytest.mark.parametrize(
    "text",
    [
        "id,label\n1,a\n2,b\n3,a\n4,b\n".encode("utf-16"),
        b"id\tlabel\r\n1\ta\r\n2\tb\r\n3\ta\r\n4\tb",
        b"id;label;note\n1;a;x, y\n2;b;\n3;a;z, z\n4;b;\n",
        b'id,label,note\n1,a,"x, y"\n2,b,""\n3,a,"1;2"\n4,b,\n',
        b"Unnamed: 0,id,label\n0,1,a\n1,2,b\n2,3,a\n3,4,b\n",
    ],
)
def test_encodings_and_delimiters(tmp_path: Path, text: bytes) -> None:
    download(tmp_path, FOUR)
    (tmp_path / "train.csv").write_bytes(text)
    sources = collect(tmp_path, label_column=("label",))
    assert list(labeled(sources).values()) == ["a", "b", "a", "b"]


def test_delimiters() -> None:
    assert find_delimiter(["a,b", "1,2;3;4"]) == ","
    assert find_delimiter(["a\tb", "1\tx, y, z", "2\tz"]) == "\t"
    assert find_delimiter(["1.png 3", "2.png 4"], spaces=True) == " "
    assert find_delimiter(["word"]) == ","


@pytest.mark.parametrize(
    ("file", "image", "options", "task", "classes"),
    [
        ("LOC_val_solution.csv", "val/{ImageId}.JPEG", {}, "classification", None),
        (
            "HAM10000_metadata.csv",
            "part_1/{image_id}.jpg",
            {"label_column": ("dx",), "group_column": "lesion_id"},
            "classification",
            None,
        ),
        (
            "chinese_mnist.csv",
            "data/data/input_{suite_id}_{sample_id}_{code}.jpg",
            {
                "path_template": "input_{suite_id}_{sample_id}_{code}.jpg",
                "label_column": ("character",),
            },
            "classification",
            ("九",),
        ),
        (
            "noisy_imagenette.csv",
            "{path}",
            {"label_column": ("noisy_labels_0",)},
            "classification",
            None,
        ),
        (
            "ferplus_fer2013new.csv",
            "images/{Image name}",
            {"label_column": ("neutral", "anger"), "task": "regression"},
            "regression",
            (),
        ),
    ],
)
def test_real_tables(
    shared_data: Unpack,
    tmp_path: Path,
    file: str,
    image: str,
    options: dict[str, object],
    task: str,
    classes: tuple[str, ...] | None,
) -> None:
    samples = shared_data("kaggle_csv_samples")
    shutil.copy(samples / file, tmp_path / file)
    with (samples / file).open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))
    some = [row for row in rows[:40] if all(row.values())]
    download(tmp_path, {image.format(**row): "" for row in some})
    sources = collect(tmp_path, **options)
    assert list(sources.names) == [image.format(**row) for row in some]
    assert sources.task == task
    if task == "regression":
        assert sources.targets is not None
        expected = [[float(row["neutral"]), float(row["anger"])] for row in some]
        np.testing.assert_array_equal(sources.targets, expected)
    else:
        (column,) = options.get("label_column", ("PredictionString",))  # type: ignore[misc]
        assert list(labeled(sources).values()) == [row[column].strip() for row in some]
    assert classes is None or sources.classes == classes
