"""Names in zips that are not UTF-8: the tables decide, or the option does; never rubbish."""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MisuseError
from tests.helpers.downloads import collect, download, labeled, packed
from tools.config import ShardConfig
from tools.download.file_index import FileIndex, index_files
from tools.download.zip_names import choose_encoding, decode_path, member_names, undecoded_parts


class RawInfo(zipfile.ZipInfo):
    """A member whose name is stored as these bytes, without a flag."""

    raw = b""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802
        return self.raw, 0


def zip_of(files: Mapping[bytes, bytes | str], extra: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in files.items():
            info = RawInfo(name.decode("latin-1"))
            info.raw, info.extra = name, extra
            archive.writestr(info, data)
    return file.getvalue()


def indexed(folder: Path, encoding: str | None = None) -> FileIndex:
    return index_files(str(folder), zip_encoding=encoding)


WORDS = {
    "gb18030": ("GBK", ["样品", "合格", "划痕"]),
    "cp932": ("Shift-JIS", ["写真", "表示", "ソース"]),
    "cp949": ("EUC-KR", ["사과", "바나나"]),
    "big5": ("Big5", ["圖片", "功夫"]),
    "cp1251": ("Cyrillic", ["кошка", "Собака"]),
    "cp1252": ("Western", ["Übung", "café"]),
    "cp437": ("DOS", ["Übung", "café"]),
}


@pytest.mark.parametrize("encoding", WORDS)
def test_the_tables_decide(tmp_path: Path, encoding: str) -> None:
    spoken, words = WORDS[encoding]
    names = [f"{word}/{word}_{n}.jpg" for n in range(9) for word in words]
    members = {f"data/{name}".encode(encoding): name for name in names}
    (tmp_path / "a.zip").write_bytes(zip_of(members))
    table = "".join(f"{name.split('/')[1]};{n}\n" for n, name in enumerate(names))
    download(tmp_path, {"labels.csv": ("file;label\n" + table).encode("utf-16")})
    index = indexed(tmp_path)
    assert sorted(index.images) == sorted(f"a.zip/data/{name}" for name in names)
    (note,) = index.notes
    assert "a.zip are not UTF-8" in note and "--zip-encoding" in note
    # Both code pages of DOS have these letters.
    assert spoken in note or encoding == "cp437"
    loaded = [data for _, data in index.take(np.arange(len(index.images))).load(10**6)]
    assert loaded == [path.removeprefix("a.zip/data/").encode() for path in index.images]


def test_a_table_in_the_zip_decides_about_its_own_name(tmp_path: Path) -> None:
    files = {f"图片/样品_{n}.jpg": "x" for n in (1, 2)} | {"标签.csv": "f,l\n样品_1,a\n样品_2,b\n"}
    inner = zip_of({name.encode("gbk"): data for name, data in files.items()})
    (tmp_path / "all.zip").write_bytes(packed({"数据.zip": inner, "readme.txt": "x"}))
    index = indexed(tmp_path)
    assert list(index.images) == [f"all.zip/数据.zip/图片/样品_{n}.jpg" for n in (1, 2)]
    assert index.tables == ("all.zip/readme.txt", "all.zip/数据.zip/标签.csv")
    with index.open(index.tables[1]) as file:
        assert file.read().decode().startswith("f,l")


def test_without_a_table_the_user_decides(tmp_path: Path) -> None:
    names = [f"划痕/{n}.jpg" for n in range(3)] + ["合格/4.jpg"]
    (tmp_path / "a.zip").write_bytes(zip_of({name.encode("gbk"): b"x" for name in names}))
    with pytest.raises(MisuseError, match=r"a\.zip: the encoding") as error:
        indexed(tmp_path)
    lines = error.value.message.splitlines()[1:]
    assert 2 <= len(lines) <= 3 and "  --zip-encoding gb18030: 划痕" in lines
    for encoding in ("gb18030", "gbk", "GBK"):
        index = indexed(tmp_path, encoding)
        assert sorted(index.images) == sorted(f"a.zip/{name}" for name in names) and not index.notes
    with pytest.raises(MisuseError, match=r"--zip-encoding utf-8: the name .* can't be read in it"):
        indexed(tmp_path, "utf-8")
    sources = collect(tmp_path, zip_encoding="gbk")
    assert set(labeled(sources).values()) == {"划痕", "合格"}


def test_names_of_other_files_are_not_asked_about(tmp_path: Path) -> None:
    files = {"说明.pdf".encode("gbk"): b"", b"1.jpg": b"x", "图.mp4".encode("gbk"): b""}
    (tmp_path / "a.zip").write_bytes(zip_of(files))
    index = indexed(tmp_path)
    assert list(index.images) == ["a.zip/1.jpg"] and not index.notes
    assert "a.zip/说明.pdf" in index.others


@pytest.mark.parametrize("encoding", [None, "gbk"])
def test_names_in_utf_8_without_a_flag(tmp_path: Path, encoding: str | None) -> None:
    (tmp_path / "a.zip").write_bytes(zip_of({"图片/样品.jpg".encode(): b"x"}))
    index = indexed(tmp_path, encoding)
    assert list(index.images) == ["a.zip/图片/样品.jpg"] and not index.notes


def test_the_extra_field_with_the_name_in_utf_8(tmp_path: Path) -> None:
    name = "样品.jpg"
    data = struct.pack("<BL", 1, zlib.crc32(name.encode("gbk"))) + name.encode()
    extra = struct.pack("<HH", 0x7075, len(data)) + data
    (tmp_path / "a.zip").write_bytes(zip_of({name.encode("gbk"): b"x"}, extra))
    assert list(indexed(tmp_path).images) == ["a.zip/样品.jpg"]


@given(st.lists(st.text(st.characters(codec="gbk", categories=("Lo",)), min_size=1), min_size=1))
def test_names_come_back(names: list[str]) -> None:
    paths = [f"folder/{name}.jpg" for name in names]
    infos = []
    for path in paths:
        info = zipfile.ZipInfo(path.encode("gbk").decode("cp437"))
        infos.append(info)
    kept = member_names(infos)
    try:
        b"/".join(path.encode("gbk") for path in paths).decode()
    except UnicodeDecodeError:
        assert [decode_path(name, "gbk") for name in kept] == paths
        parts = undecoded_parts(kept)
        text = "\n".join(paths)
        chosen = choose_encoding("a.zip", parts, text, None)
        assert parts[0].decode(chosen.encoding) == parts[0].decode("gbk")


def test_unzipped_names_of_any_bytes_are_read(tmp_path: Path) -> None:
    for number in range(8):
        label = os.fsdecode("划痕".encode("gbk") if number % 2 else b"caf\xe9")
        path = tmp_path / label / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / os.fsdecode(b"t\xe9.csv")).write_text("a,b\n1,2\n")
    (tmp_path / os.fsdecode(b"z\xe9.zip")).write_bytes(zip_of({b"1.png": b"x"}))
    index = indexed(tmp_path)
    assert len(index.images) == 9 and len(index.tables) == 1 and not index.notes
    assert len(index.identity) == 64 and index.find("1.jpg")


def test_the_option_is_checked() -> None:
    with pytest.raises(MisuseError, match=r"--zip-encoding klingon: .*such as gb18030"):
        ShardConfig(src="a", out="b", zip_encoding="klingon")
    assert ShardConfig(src="a", out="b", zip_encoding="GBK").zip_encoding == "GBK"
