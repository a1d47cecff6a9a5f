"""Texts beside images that are called like them say something about one image each."""

from pathlib import Path

import pytest

from tools.download.file_index import FileIndex, index_files
from tools.readings.open_tables import _candidates


@pytest.mark.parametrize(
    ("texts", "candidates"),
    [
        ({"1.txt": "a", "2.txt": "b"}, []),
        ({"1.txt": "a", "2.txt": ""}, []),  # an image without objects has an empty one
        ({"1.txt": "a"}, ["1.txt"]),
        ({"1.txt": "a", "other.txt": ""}, ["1.txt"]),
        ({"1.txt": "a", "2.txt": "b", "other.txt": "c"}, ["other.txt"]),
    ],
)
def test_texts_called_like_images_are_no_tables(
    tmp_path: Path, texts: dict[str, str], candidates: list[str]
) -> None:
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(b"x")
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    assert list(_candidates(index_files(str(tmp_path)))) == candidates


def test_empty_texts_alone_are_not_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zip can have a million of them."""
    for name in ("1.png", "1.txt", "2.txt"):
        (tmp_path / name).touch()

    def find(index: FileIndex, text: str) -> list[int]:
        raise AssertionError(text)

    monkeypatch.setattr(FileIndex, "find_anywhere", find)
    assert list(_candidates(index_files(str(tmp_path)))) == []
