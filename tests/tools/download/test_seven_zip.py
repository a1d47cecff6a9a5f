"""7z archives: the same files as a folder, and damaged, encrypted and hostile ones."""

import builtins
from pathlib import Path

import numpy as np
import py7zr
import pytest

from pipeline.errors import DataError
from tests.helpers.amounts import all_or_tenth
from tests.helpers.downloads import collect, download
from tests.helpers.shard_runs import contents, made
from tests.helpers.small_downloads import Files, lines, pictures
from tools.download.file_index import index_files


def seven_zip(path: Path, files: Files, password: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with py7zr.SevenZipFile(path, "w", password=password) as archive:
        for name, data in files.items():
            archive.writestr(data, name)


def some_files() -> Files:
    files = pictures(*(f"train/{n}.png" for n in range(12)))
    files["train/labels.csv"] = lines("id,kind", *((n, "ab"[n % 2]) for n in range(12)))
    return files


@pytest.mark.parametrize("alone", [False, True])
def test_a_7z_gives_the_shards_of_its_files(alone: bool, tmp_path: Path) -> None:
    download(tmp_path / "folder" / "all.7z", some_files())
    seven_zip(tmp_path / "packed" / "all.7z", some_files())
    src = tmp_path / "packed" / ("all.7z" if alone else "")
    made(tmp_path / "folder", tmp_path / "a")
    made(src, tmp_path / "b")
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    tars = [name for name in first if name.endswith(".tar")]
    assert tars and [first[name] for name in tars] == [second[name] for name in tars]


def test_a_table_beside_names_the_images_in_a_7z(tmp_path: Path) -> None:
    seven_zip(tmp_path / "train.7z", pictures(*(f"train/{n}.png" for n in range(6))))
    (tmp_path / "t.csv").write_text(lines("id,label", *((n, "xy"[n % 2]) for n in range(6))))
    assert len(collect(tmp_path)) == 6


def test_damaged_and_encrypted_archives_are_skipped_with_the_reason(tmp_path: Path) -> None:
    seven_zip(tmp_path / "whole.7z", some_files())
    data = (tmp_path / "whole.7z").read_bytes()
    (tmp_path / "short.7z").write_bytes(data[: len(data) // 2])
    seven_zip(tmp_path / "secret.7z", some_files(), password="x")
    reasons = {file.path: file.reason for file in index_files(str(tmp_path)).skipped}
    assert sorted(reasons) == ["secret.7z", "short.7z"]
    assert "is the download complete?" in reasons["short.7z"]
    assert "password" in reasons["secret.7z"]


def test_any_damage_gives_a_message(tmp_path: Path) -> None:
    seven_zip(tmp_path / "a.7z", some_files())
    whole = (tmp_path / "a.7z").read_bytes()
    damaged, numbers = 0, all_or_tenth(range(200))
    for number in numbers:
        generator = np.random.default_rng([5, number])
        data = bytearray(whole)
        for place in generator.integers(0, len(data), 2):
            data[place] ^= int(generator.integers(1, 256))
        (tmp_path / "a.7z").write_bytes(data)
        try:
            index = index_files(str(tmp_path))
        except DataError:
            damaged += 1
            continue
        damaged += bool(index.skipped)
        assert index.skipped or len(index.images) <= 12
    assert 2 * damaged > len(numbers)


def test_without_py7zr_the_message_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seven_zip(tmp_path / "a.7z", some_files())
    load = builtins.__import__

    def refuse(name: str, *arguments: object) -> object:
        if name == "py7zr":
            raise ImportError(name)
        return load(name, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    (skipped,) = index_files(str(tmp_path)).skipped
    assert "shardline[7z]" in skipped.reason and "7z x a.7z" in skipped.reason
