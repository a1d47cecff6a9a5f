"""Copies of folders: found by name, size and contents, and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.downloads import collect, download
from tests.helpers.small_downloads import pictures
from tools.download.copies import find_copies
from tools.download.file_index import index_files


def copied(files: dict[str, str]) -> dict[str, str]:
    """copy -> original of files with these contents."""
    paths = sorted(files)
    sizes = np.array([len(files[path]) for path in paths], np.int64)
    hashes = np.array([hash(path.rpartition("/")[2]) for path in paths], np.int64)
    found = find_copies(
        paths, hashes, sizes, range(len(paths)), lambda number: files[paths[number]].encode()
    )
    return {paths[n]: paths[k] for n, k in enumerate(found.original.tolist()) if n != k}


def folder(name: str, *contents: str) -> dict[str, str]:
    return {f"{name}/{n}.png": text for n, text in enumerate(contents)}


@pytest.mark.parametrize(
    ("files", "copies"),
    [
        (folder("a", "x", "y") | folder("a/a", "x", "y"), {"a/a/0.png", "a/a/1.png"}),
        (
            folder("cat", "x", "y") | folder("data/cat", "x", "y"),
            {"data/cat/0.png", "data/cat/1.png"},
        ),
        # Classes side by side are not copies, whatever they hold.
        (folder("cat", "x", "y") | folder("dog", "x", "y"), set()),
        (folder("a", "x", "y") | folder("b/a", "x", "z"), set()),
        (folder("a", "x", "y") | folder("b/a", "x", "y", "new", "other"), set()),
        (
            folder("train", "x", "y") | folder("train/ cat", "x", "y"),
            {"train/0.png", "train/1.png"},
        ),
        (folder("a", "", "") | folder("b/a", "", ""), set()),
    ],
)
def test_copies(files: dict[str, str], copies: set[str]) -> None:
    assert copied(files).keys() == copies


def test_an_original_is_never_a_copy() -> None:
    files = folder("a", "x", "y") | folder("b/a", "x", "y") | folder("c/d/a", "x", "y")
    pairs = copied(files)
    assert len(pairs) == 4 and not {*pairs} & {*pairs.values()}


def test_names_find_the_original(tmp_path: Path) -> None:
    index = index_files(str(download(tmp_path, folder("a", "x", "y") | folder("a/a", "x", "y"))))
    assert [index.images[n] for n in index.sources()] == ["a/0.png", "a/1.png"]
    assert [index.images[n] for n in index.find("a/a/1.png")] == ["a/1.png"]
    inside = index_files(str(tmp_path), images="a/a")
    assert [inside.images[n] for n in inside.sources()] == ["a/a/0.png", "a/a/1.png"]


def test_the_same_picture_in_two_classes_is_said(tmp_path: Path) -> None:
    files = pictures(*(f"set/{'pq'[n % 2]}/{n}.png" for n in range(12)))
    files["set/q/4.png"] = files["set/p/4.png"]
    sources = collect(download(tmp_path, files))
    assert len(sources) == 13
    index = index_files(str(tmp_path))
    (sentence,) = index.copies.describe()
    assert "set/p/4.png" in sentence and "set/q/4.png" in sentence
    assert "two labels" in sentence
