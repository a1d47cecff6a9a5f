"""Zips in zips, read in place; damaged, hostile and encrypted members are skipped by name."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError, MisuseError
from tests.helpers.amounts import all_or_tenth
from tests.helpers.downloads import packed
from tools.download.file_index import FileIndex, index_files

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
CONTENTS = {f"train/{n}.png": bytes([n]) * (n * 100) for n in range(1, 6)}


def contents(index: FileIndex) -> dict[str, bytes | str]:
    images = index.take(np.arange(len(index.images)))
    loaded = (data for _, data in images.load(2**30))
    return dict(zip(index.images, loaded, strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("inner", [STORED, DEFLATED])
@pytest.mark.parametrize("outer", [STORED, DEFLATED])
def test_zips_in_zips(tmp_path: Path, inner: int, outer: int) -> None:
    whole = packed({"data/train.zip": packed(CONTENTS, inner), "train.csv": b"id,label\n"}, outer)
    (tmp_path / "all.zip").write_bytes(b"a program that unpacks itself" + whole)
    for src, prefix in ((tmp_path, "all.zip"), (tmp_path / "all.zip", "all.zip")):
        index = index_files(str(src))
        expected = {f"{prefix}/data/train.zip/{name}": data for name, data in CONTENTS.items()}
        assert contents(index) == expected
        assert index.tables == (f"{prefix}/train.csv",) and not index.skipped
        with index.open(index.tables[0]) as file:
            assert file.read() == b"id,label\n"
        assert index.find("3") == [2]


def test_zips_nested_too_deep_are_skipped(tmp_path: Path) -> None:
    data = packed({"1.png": b"x"})
    for _ in range(6):
        data = packed({"a.zip": data}, STORED)
    (tmp_path / "a.zip").write_bytes(data)
    (tmp_path / "2.png").write_bytes(b"x")
    index = index_files(str(tmp_path))
    assert list(index.images) == ["2.png"]
    assert index.skipped[0].reason.startswith("a zip in 4 other zips")


@pytest.mark.parametrize("name", ["../1.png", "/etc/1.png", "a/../../1.png", "C:\\1.png"])
def test_names_that_point_out_of_the_archive_are_skipped(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.zip").write_bytes(packed({name: b"x", "ok.png": b"y"}))
    index = index_files(str(tmp_path))
    assert list(index.images) == ["a.zip/ok.png"]
    assert index.skipped[0].reason == "its name points out of the archive"


def test_archives_that_can_not_be_read_in_place_are_skipped_with_advice(tmp_path: Path) -> None:
    encrypted = bytearray(packed({"1.png": b"x"}, STORED))
    # The flag of encryption, in the local header and in the directory.
    encrypted[6] |= 1
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(encrypted)
    (tmp_path / "lzma.zip").write_bytes(packed({"2.png": b"x"}, zipfile.ZIP_LZMA))
    (tmp_path / "page.zip").write_bytes(b"<html>404</html>")
    for name in ("more.7z", "train.z01", "train.zip.001", "a.tar.gz"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "3.png").write_bytes(b"x")
    reasons = {file.path: file.reason for file in index_files(str(tmp_path)).skipped}
    assert "encrypted" in reasons["secret.zip/1.png"]
    assert "method 14" in reasons["lzma.zip/2.png"]
    assert "is the download complete?" in reasons["page.zip"]
    assert "not a readable 7z" in reasons["more.7z"]
    assert "zip -s 0 train.zip --out whole.zip" in reasons["train.z01"]
    assert "cat train.zip.* > train.zip" in reasons["train.zip.001"]
    assert "tar xf a.tar.gz" in reasons["a.tar.gz"]


def test_only_the_damaged_member_is_rejected(tmp_path: Path) -> None:
    data = bytearray(packed(CONTENTS, STORED))
    data[data.index(bytes([3]) * 300) + 150] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(data)
    images = contents(index_files(str(tmp_path)))
    assert "damaged" in str(images.pop("a.zip/train/3.png"))
    assert set(images.values()) == {data for n, data in enumerate(CONTENTS.values()) if n != 2}


def test_a_member_never_inflates_beyond_its_stated_size(tmp_path: Path) -> None:
    data = bytearray(packed({"1.png": bytes(10**7)}))
    # The directory states 100 bytes.
    field = data.index(b"PK\x01\x02") + 24
    data[field : field + 4] = (100).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(data)
    ((size, reason),) = index_files(str(tmp_path)).take(np.arange(1)).load(2**30)
    assert size == 100 and "damaged" in str(reason)


def test_any_damage_gives_a_message(tmp_path: Path) -> None:
    inner = packed(CONTENTS, DEFLATED)
    whole = packed({"a.zip": inner, "b.zip": packed(CONTENTS, STORED), "c.csv": b"id\n1\n"}, STORED)
    (tmp_path / "0.png").write_bytes(b"x")
    path = tmp_path / "all.zip"
    intact = {zlib.crc32(data) for data in (*CONTENTS.values(), b"x")}
    for number in all_or_tenth(range(300)):
        generator = np.random.default_rng([7, number])
        data = bytearray(whole)
        if number % 3 == 0:
            del data[int(generator.integers(0, len(data))) :]
        else:
            for index in generator.integers(0, len(data), 1 + number % 5):
                data[index] ^= int(generator.integers(1, 256))
        path.write_bytes(data)
        try:
            files = index_files(str(tmp_path))
            for image in contents(files).values():
                assert isinstance(image, str) or zlib.crc32(image) in intact
            for table in files.tables:
                with files.open(table) as file:
                    file.read()
        except MisuseError as error:
            assert "--zip-encoding" in error.message
        except (DataError, OSError) as error:
            assert not isinstance(error, OSError) or "zip" in str(error.strerror), error
