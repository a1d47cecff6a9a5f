"""Small downloads of each layout: labels, splits, and errors where the labels are ambiguous."""

from pathlib import Path

import click
import pytest

from pipeline.errors import DataError, MisuseError
from pipeline.storage.manifest import SPLITS
from tests.helpers.downloads import collect, download, labeled
from tools.download.name_patterns import split_word

IMAGES = {f"train/{n}.png": "" for n in (1, 2, 10)}
LABELS = {"train/1.png": "cat", "train/2.png": "dog", "train/10.png": "cat"}


@pytest.mark.parametrize(
    "table",
    [
        "id,label\n1,cat\n2,dog\n10,cat\n",
        "id,label\n1.png,cat\n2.png,dog\n10.png,cat",
        "1.png,cat\n2.png,dog\n10.png,cat\n",
        "\ufeffid,label\r\n1,cat\r\n2,dog\r\n10,cat\r\n",
        "label;file\ncat;train/1.png\ndog;train/2.png\ncat;train/10.png\n",
        ",breed,id\n0,cat,1\n1,dog,2\n2,cat,10\n",
        'id,label\n"1","cat"\n\n"2","dog"\n"10","cat"\n',
        "id\tlabel\n./1\tcat\n./2\tdog\n./10\tcat\n",
    ],
)
def test_label_tables(tmp_path: Path, table: str) -> None:
    files = {**IMAGES, "labels.csv": table, "notes.csv": "", ".hidden/3.png": ""}
    assert labeled(collect(download(tmp_path, files))) == LABELS


def test_labels_stay_text(tmp_path: Path) -> None:
    table = "id,label\n1,NA\n2,001\n10,1e10\n"
    sources = collect(download(tmp_path, {**IMAGES, "labels.csv": table}))
    assert sources.classes == ("NA", "001", "1e10")


def test_dotted_names(tmp_path: Path) -> None:
    files = {"x/1.0.2.jpg": "", "x/1.0.3.jpg": "", "t.csv": "uid,label\n1.0.2,a\n1.0.3,b\n"}
    assert labeled(collect(download(tmp_path, files))) == {"x/1.0.2.jpg": "a", "x/1.0.3.jpg": "b"}


def test_rows_that_are_not_sources_are_rejected(tmp_path: Path) -> None:
    table = "id,label\n1,cat\n2,\n77,dog\n3,dog\n10"
    files = {**IMAGES, "train/3.png": "", "labels.csv": table}
    sources = collect(download(tmp_path, files))
    assert labeled(sources) == {"train/1.png": "cat", "train/3.png": "dog"}
    assert dict(sources.rejected) == {
        "labels.csv row 3": "no label ('2')",
        "labels.csv row 4": "no image file is called '77'",
        "labels.csv row 6": "the row has 1 cell, not 2",
    }
    assert sources.notes == ("Left out 2 images without a label (first: train/10.png).",)


def test_an_image_with_two_labels_is_an_error_that_names_both_rows(tmp_path: Path) -> None:
    table = "id,label\n1,cat\n2,dog\n10,cat\n1,dog\n"
    folder = download(tmp_path, {**IMAGES, "labels.csv": table})
    first = r"first: train/1\.png in labels\.csv row 5, after labels\.csv row 2: 'cat'"
    with pytest.raises(DataError, match=first):
        collect(folder)
    assert collect(folder, task="multi-label").task == "multi-label"


def test_an_unclosed_quote_is_an_error(tmp_path: Path) -> None:
    table = 'id,label\n1,cat\n2,"dog\n10,cat\n'
    with pytest.raises(
        DataError, match=r"labels\.csv: the cell that begins with 'dog.* ends in line 4"
    ):
        collect(download(tmp_path, {**IMAGES, "labels.csv": table}))


def test_a_row_with_a_cell_too_many_is_rejected(tmp_path: Path) -> None:
    table = "id,label\n1,cat,\n2,dog,cat\n10,cat\n"
    sources = collect(download(tmp_path, {**IMAGES, "labels.csv": table}))
    assert labeled(sources) == {"train/1.png": "cat", "train/10.png": "cat"}
    assert dict(sources.rejected) == {"labels.csv row 3": "the row has 3 cells, not 2"}


def test_text_that_is_not_utf8_is_read_as_windows_text(tmp_path: Path) -> None:
    source = download(tmp_path, {**IMAGES, "labels.csv": ""})
    (source / "labels.csv").write_bytes("id,label\n1,chat\n2,caf\xe9\n".encode("latin-1"))
    assert set(labeled(collect(source)).values()) == {"chat", "caf\xe9"}


def test_shards_in_the_download_are_ignored(tmp_path: Path) -> None:
    files = {**IMAGES, "labels.csv": "id,label\n1,a\n2,b\n10,a\n"}
    source = download(tmp_path, files)
    (source / "shards").mkdir()
    (source / "shards" / "rejected.csv").write_text("source,reason\n1,x\n2,y\n")
    (source / "shards" / "dataset.json").write_text("{}")
    assert len(collect(source)) == 3


def test_tables_named_for_their_splits(tmp_path: Path) -> None:
    files = {
        **IMAGES,
        **{f"test/{n}.png": "" for n in (1, 2)},
        "trainLabels.csv": "id,label\n1,cat\n2,dog\n10,cat\n",
        "testLabels.csv": "id,label\n1,dog\n2,cat\n",
        "sampleSubmission.csv": "id,label\n1,cat\n2,cat\n",
    }
    sources = collect(download(tmp_path, files))
    assert labeled(sources) == {**LABELS, "test/1.png": "dog", "test/2.png": "cat"}
    assert sources.splits is not None
    assert [SPLITS[n] for n in sources.splits] == ["train"] * 3 + ["test"] * 2


@pytest.mark.parametrize("above", ["", "photos/", "data/photos/"])
def test_class_folders(tmp_path: Path, above: str) -> None:
    files = {f"{above}big cat/1.png": "", f"{above}big cat/2.png": "", f"{above}dog/1.png": ""}
    sources = collect(download(tmp_path, files))
    assert sorted(labeled(sources).values()) == ["big cat", "big cat", "dog"]
    assert sources.splits is None


@pytest.mark.parametrize(
    "names", [("train", "valid"), ("seg_train/seg_train", "seg_test/seg_test")]
)
def test_class_folders_in_splits(tmp_path: Path, names: tuple[str, str]) -> None:
    files = {f"{split}/{label}/{split[-1]}.jpg": "" for split in names for label in "ab"}
    sources = collect(download(tmp_path, files))
    assert sources.splits is not None and len(sources) == 4
    assert [SPLITS[n] for n in sources.splits][:2] == ["train"] * 2


def test_a_table_that_names_files_in_class_folders_wins(tmp_path: Path) -> None:
    files = {"train/a/1.png": "", "train/b/2.png": "", "train.csv": "path,y\na/1.png,x\nb/2.png,z"}
    assert sorted(labeled(collect(download(tmp_path, files))).values()) == ["x", "z"]


def test_several_labels_are_an_error_with_the_options(tmp_path: Path) -> None:
    table = "id,label\n1,cat\n2,dog\n10,cat\n"
    folders = {f"folders/{k}/{n}.png": "" for k in ("cat", "dog") for n in (7, 8)}
    files = {**IMAGES, **folders, "a.csv": table, "b.csv": table.replace("cat", "owl")}
    folder = download(tmp_path, files)
    with pytest.raises(MisuseError) as error:
        collect(folder)
    for option in ("--labels a.csv", "--labels b.csv", "--labels folders"):
        assert option in error.value.message
    assert labeled(collect(folder, labels=("a.csv",))) == LABELS
    assert len(collect(folder, labels=("folders",))) == 4


def test_several_label_columns_are_an_error_with_the_options(tmp_path: Path) -> None:
    table = "id,species,family\n1,a,x\n2,b,x\n10,a,y\n"
    folder = download(tmp_path, {**IMAGES, "t.csv": table})
    with pytest.raises(MisuseError) as error:
        collect(folder)
    assert "--label-column species: 3 images, 2 classes ('a', 'b')" in error.value.message
    assert "--label-column family: 3 images, 2 classes ('x', 'y')" in error.value.message
    assert collect(folder, label_column=("family",)).classes == ("x", "y")
    assert collect(folder, label_column=("2",)).classes == ("a", "b")


def test_several_image_folders_are_an_error_with_the_options(tmp_path: Path) -> None:
    files = {f"{side}/{n}.png": "" for side in ("left", "right") for n in (1, 2)}
    folder = download(tmp_path, {**files, "t.csv": "id,label\n1,a\n2,b\n"})
    with pytest.raises(MisuseError, match="--images left\n  --images right"):
        collect(folder)
    assert labeled(collect(folder, images="right")) == {"right/1.png": "a", "right/2.png": "b"}


@pytest.mark.parametrize(
    ("files", "arguments", "kind", "words"),
    [
        ({"readme.txt": ""}, {}, DataError, "contains no images and no CSV"),
        ({"a.png": ""}, {}, DataError, "but no labels: no CSV"),
        (
            {"a.png": "", "t.csv": "id,label\nb,1\nc,2\n"},
            {},
            DataError,
            "a column must name the image files",
        ),
        (
            {"a.png": "", "t.csv": "id,label\na,1\n"},
            {"label_column": ("breed",)},
            MisuseError,
            "No CSV has a column 'breed' .*'id', 'label'",
        ),
        (
            {"a.png": "", "t.csv": "id,label\na,1\n"},
            {"labels": ("t.csv",), "image_column": "name"},
            MisuseError,
            "No CSV has a column 'name' .*'id', 'label'",
        ),
        ({"a.png": ""}, {"labels": ("t.csv",)}, MisuseError, "has no such file or folder"),
        ({"a.png": ""}, {"images": "train"}, MisuseError, "no such folder with images"),
        ({"a.png": "", "t.csv": ""}, {"labels": ("t.csv",)}, DataError, "is empty"),
    ],
)
def test_unreadable_downloads_are_errors(
    tmp_path: Path,
    files: dict[str, str],
    arguments: dict[str, str],
    kind: type[click.ClickException],
    words: str,
) -> None:
    with pytest.raises(kind, match=words):
        collect(download(tmp_path, files), **arguments)


def test_splits_in_names() -> None:
    assert split_word("mnist_train.csv") == "train"
    assert split_word("Training/valid/x_test") == "test"
    assert split_word("latest/strain.csv") is None
