"""The index of all files: ids, links, loops, and folders that do not exist here."""

import os
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError, MisuseError
from tests.helpers.downloads import packed
from tools.download.file_index import index_files
from tools.download.name_index import NameIndex, PathTable

PATHS = [
    "data/test/1.png",
    "data/train/1.png",
    "data/train/0007.jpg",
    "data/train/1.2.826.0.png",
    "data/train/cat.1.jpg",
    "data/train/photo.jpg.png",
    "data/train/ünïcode 5.jpg",
]


def matches(text: str, among: range | None = None) -> list[str]:
    index = NameIndex(PathTable(PATHS))
    return [PATHS[number] for number in index.find(text, among or range(len(PATHS)))]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("1", ["data/test/1.png", "data/train/1.png"]),
        ("1.png", ["data/test/1.png", "data/train/1.png"]),
        ("1.jpg", ["data/test/1.png", "data/train/1.png"]),
        ("train/1", ["data/train/1.png"]),
        ("/home/me/train/1.png", ["data/train/1.png"]),
        ("C:\\me\\train\\1.png", ["data/train/1.png"]),
        ("./data/test/1.png", ["data/test/1.png"]),
        ("data/train/../test/1.png", []),
        ("7", ["data/train/0007.jpg"]),
        ("007", ["data/train/0007.jpg"]),
        ("1.2.826.0", ["data/train/1.2.826.0.png"]),
        ("1.2.826", []),
        ("cat.1", ["data/train/cat.1.jpg"]),
        ("photo.jpg", ["data/train/photo.jpg.png"]),
        ("ünïcode 5", ["data/train/ünïcode 5.jpg"]),
        ("99999999999999999999999", []),
        ("", []),
        ("..", []),
    ],
)
def test_an_id_names_files(text: str, paths: list[str]) -> None:
    assert matches(text) == paths


def test_only_images_of_the_given_range_are_named() -> None:
    assert matches("1", range(1, 3)) == ["data/train/1.png"]


@given(st.lists(st.text(min_size=1, max_size=8), max_size=30, unique=True))
def test_a_path_table_holds_any_text(paths: list[str]) -> None:
    encodable = [path for path in paths if path.isprintable()]
    table = PathTable(encodable)
    assert list(table) == encodable and len(table) == len(encodable)


def test_names_of_any_bytes(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    index = index_files(str(tmp_path))
    ((_, data),) = index.take(np.arange(1)).load(10)
    assert data == b"x"


def test_hidden_files_and_shards_are_left_out(tmp_path: Path) -> None:
    for name in (".DS_Store", "__MACOSX/a/._1.png", ".git/2.png", "out/dataset.json", "out/3.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
    (tmp_path / "4.png").write_bytes(b"x")
    assert list(index_files(str(tmp_path)).images) == ["4.png"]


def test_links(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "outside"
    for folder in (inside / "real", outside):
        folder.mkdir(parents=True)
        (folder / "1.png").write_bytes(b"x")
    (inside / "again").symlink_to("real")
    (inside / "loop").symlink_to("..")
    (inside / "real" / "up").symlink_to(inside)
    (inside / "nothing.png").symlink_to("gone.png")
    (inside / "away").symlink_to(outside)
    (inside / "away.png").symlink_to(outside / "1.png")
    (inside / "own.png").symlink_to("real/1.png")
    index = index_files(str(inside))
    assert list(index.images) == ["own.png", "real/1.png"]
    reasons = {file.path: file.reason for file in index.skipped}
    assert reasons.keys() == {"away", "away.png", "loop", "nothing.png"}
    assert "outside of the download" in reasons["away"] and "broken" in reasons["nothing.png"]
    followed = index_files(str(inside), follow_links=True)
    assert {"loop/outside/1.png", "away.png"} <= set(followed.images)
    assert not any(path.startswith(("again/", "away/", "real/up/")) for path in followed.images)
    assert all(path.count("/") <= 3 for path in followed.images)


def test_sources_are_restricted_to_a_folder(tmp_path: Path) -> None:
    for name in ("images/1.png", "images2/1.png", "masks/1.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    index = index_files(str(tmp_path), images="./images/")
    assert [index.images[n] for n in index.find("1")] == ["images/1.png"]
    assert len(index.find_anywhere("1")) == 3 and index.number_of("masks/1.png") == 2
    assert index.number_of("masks/2.png") is None
    with pytest.raises(MisuseError, match="no such folder with images"):
        index_files(str(tmp_path), images="image")


def test_tables_are_found_by_the_end_of_their_path(tmp_path: Path) -> None:
    (tmp_path / "all.zip").write_bytes(
        packed({"a/train.csv": b"x", "b/test.csv": b"", "c/test.csv": b"", "1.png": b""})
    )
    index = index_files(str(tmp_path / "all.zip"))
    assert index.table_named("train.csv") == "all.zip/a/train.csv"
    assert index.table_named("b/test.csv") == "all.zip/b/test.csv"
    assert index.table_named("test.csv") is None
    assert index.empty == ("all.zip/b/test.csv", "all.zip/c/test.csv")


@pytest.mark.parametrize("name", ["nowhere", "nowhere.zip", "file.txt"])
def test_a_download_that_does_not_exist(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(MisuseError, match=f"--src .*{name}"):
        index_files(str(tmp_path / name))


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="contains no images and no CSV"):
        index_files(str(tmp_path))


def test_urls() -> None:
    filesystem = fsspec.filesystem("memory")
    files = {
        "data/train/1.png": b"one",
        "data/.hidden/2.png": b"x",
        "data/more.zip": packed({"cats.zip": packed({"3.png": b"three"}), "t.csv": b"id\n"}),
        "data/labels.csv": b"id,label\n1,cat\n",
    }
    for path, data in files.items():
        filesystem.pipe(f"/{path}", data)
    try:
        index = index_files("memory://data")
        images = ["more.zip/cats.zip/3.png", "train/1.png"]
        assert list(index.images) == images
        assert [data for _, data in index.take(np.arange(2)).load(100)] == [b"three", b"one"]
        with index.open("labels.csv") as file:
            assert file.read() == files["data/labels.csv"]
        with index.open("more.zip/t.csv") as file:
            assert file.read() == b"id\n"
        assert list(index_files("memory://data/more.zip").images) == images[:1]
        filesystem.pipe("/data/train/1.png", b"another")
        with pytest.raises(DataError, match="changed while the download was read"):
            list(index.take(np.array([1])).load(100))
    finally:
        filesystem.rm("/data", recursive=True)
