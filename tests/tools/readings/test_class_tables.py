"""Names of classes from tables whose rows are classes."""

from pathlib import Path

import pytest

from pipeline.errors import DataError, MisuseError
from tests.helpers.downloads import download
from tools.config import ShardConfig
from tools.download.file_index import index_files
from tools.readings.class_names import read_class_names
from tools.readings.class_tables import find_class_names
from tools.readings.open_tables import open_tables

LABELS = ("2", "10", "1")


def found(folder: Path, files: dict[str, str], labels: tuple[str, ...] = LABELS) -> object:
    index = index_files(str(download(folder, files)))
    tables = open_tables(index, ShardConfig(src=str(folder), out="out")).tables
    names = find_class_names(tables, labels)
    return None if names is None else dict(zip(names.labels, names.names, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "id,name\n1,ash\n2,elm\n10,oak\n11,fir\n",
        "code,height,species\n1,30,ash\n2,40,elm\n10,20,oak\n",
        "10,oak\n2,elm\n1,ash\n",
    ],
)
def test_a_table_of_classes_names_them(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, {"a.csv": text}) == {"1": "ash", "2": "elm", "10": "oak"}


@pytest.mark.parametrize(
    ("files", "labels"),
    [
        ({"a.csv": "id,name\n1,ash\n2,elm\n"}, LABELS),
        ({"a.csv": "id,name\n1,ash\n2,elm\n10,ash\n"}, LABELS),
        ({"a.csv": "id,icon\n1,a.png\n2,b.png\n10,c.png\n"}, LABELS),
        ({"a.csv": "id,name\n1,ash\n2,elm\n10,oak\n"}, ("ash", "elm")),
        (
            {
                "a.csv": "id,name\n1,ash\n2,elm\n10,oak\n",
                "b.csv": "id,name\n1,Ash\n2,Elm\n10,Oak\n",
            },
            LABELS,
        ),
    ],
)
def test_what_is_no_table_of_these_classes_names_nothing(
    tmp_path: Path, files: dict[str, str], labels: tuple[str, ...]
) -> None:
    assert found(tmp_path, files, labels) is None


def test_columns_of_class_names(tmp_path: Path) -> None:
    text = "a,b,c\n1,x,ash\n2,y,elm\n"
    index = index_files(str(download(tmp_path, {"t.csv": text, "e.csv": "a,b\n"})))
    names = read_class_names(index, "t.csv:b,c")
    assert (names.labels, names.names) == (("x", "y"), ("ash", "elm"))
    with pytest.raises(MisuseError, match=r"t.csv has no column 'd' \(--class-names\)"):
        read_class_names(index, "t.csv:b,d")
    with pytest.raises(DataError, match=r"e\.csv has no"):
        read_class_names(index, "e.csv:a,b")
