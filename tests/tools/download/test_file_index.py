"""The index of all files: ids, links, loops, and folders that do not exist here."""

import os
from pathlib import Path

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError, MisuseError
from tests.helpers.downloads import collect, download, packed
from tools.download.file_index import index_files
from tools.download.name_index import NameIndex, PathTable
from tools.download.unreadable_formats import UNREADABLE_FORMATS, describe_unreadable

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
        collect(tmp_path)


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


SYSTEM_FILES = (
    *("@eaDir/1.png/SYNO.png", "a/Thumbs.db", "a/desktop.ini", "a/._1.png", "lost+found/2.png"),
    *("$RECYCLE.BIN/3.png", ".Trash-1000/files/4.png", "a/thumbnails/1.png"),
)


def test_files_of_systems_are_left_out_and_counted(tmp_path: Path) -> None:
    files = dict.fromkeys(["a/1.png", *SYSTEM_FILES, ".hidden/5.png", "__MACOSX/a/._1.png"], b"x")
    download(tmp_path / "folder", files)
    (tmp_path / "all.zip").write_bytes(packed(files))
    filesystem = fsspec.filesystem("memory")
    for path, data in files.items():
        filesystem.pipe(f"/system/{path}", data)
    try:
        for src in (tmp_path / "folder", tmp_path / "all.zip", "memory://system"):
            index = index_files(str(src))
            assert [path.removeprefix("all.zip/") for path in index.images] == ["a/1.png"]
            assert not index.skipped and not index.others
            count, first = index.left_out
            assert count == len(SYSTEM_FILES)
            assert first.removeprefix("all.zip/") in {
                prefix.rpartition("/")[0] or prefix for prefix in SYSTEM_FILES
            } | set(SYSTEM_FILES) | {"@eaDir", ".Trash-1000"}
    finally:
        filesystem.rm("/system", recursive=True)


def test_a_folder_that_can_not_be_read_and_does_not_matter(tmp_path: Path) -> None:
    download(tmp_path, {"1.png": b"x", "lost+found/2.png": b"x"})
    (tmp_path / "lost+found").chmod(0)
    try:
        assert index_files(str(tmp_path)).left_out == (1, "lost+found")
    finally:
        (tmp_path / "lost+found").chmod(0o700)


def test_thumbnails_that_are_the_only_images_count(tmp_path: Path) -> None:
    download(tmp_path, {"Thumbnails/cat/1.png": b"x", "videos.csv": b"id\n"})
    index = index_files(str(tmp_path))
    assert list(index.images) == ["Thumbnails/cat/1.png"] and index.left_out == (0, "")
    download(tmp_path, {"2.png": b"x"})
    assert index_files(str(tmp_path)).left_out == (1, "Thumbnails")
    assert [*index_files(str(tmp_path), images="Thumbnails").numbers] == [1]
    # More thumbnails than other images: those that have their names are copies in two sizes.
    download(tmp_path, {"Thumbnails/64/2.png": b"x", "Thumbnails/32/2.png": b"x"})
    assert list(index_files(str(tmp_path)).images) == ["2.png"]
    (tmp_path / "2.png").rename(tmp_path / "cover.png")
    assert len(index_files(str(tmp_path)).images) == 4


def test_formats_that_are_not_read_are_counted_with_advice(tmp_path: Path) -> None:
    names = [
        "1.HEIC",
        "2.heic",
        "scan.dcm",
        "v.nii.gz",
        "a.tfrec",
        "b.npy",
        "c.npz",
        "d.h5",
        "e.mat",
    ]
    download(tmp_path, {**dict.fromkeys(names, b"x"), "f.parquet": b"x", "l.csv": b"a\n"})
    index = index_files(str(tmp_path))
    assert index.unreadable == {".heic": 2, ".dcm": 1, ".nii": 1, ".tfrec": 1, ".mat": 1}
    assert sorted(index.others) == sorted([*names, "f.parquet"]) and not index.skipped
    first, *others = describe_unreadable(index.unreadable)
    assert first.startswith("Left out 2 .heic files") and "mogrify -format jpg *.heic" in first
    assert any("1 .dcm file:" in sentence and "DICOM" in sentence for sentence in others)
    for name in ("l.csv", "b.npy", "c.npz", "d.h5", "f.parquet"):
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match=r"no images and no CSV(.|\n)*does not read HEIC"):
        collect(tmp_path)


def test_every_format_that_is_not_read_has_a_sentence() -> None:
    counts = dict.fromkeys(UNREADABLE_FORMATS, 3)
    for suffix, sentence in zip(counts, describe_unreadable(counts), strict=True):
        assert f"3 {suffix} files" in sentence and "{" not in sentence
