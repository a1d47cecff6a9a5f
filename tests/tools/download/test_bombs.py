"""Downloads that are made to fill memory or disks, or to take for ever: each part is skipped with a
reason, and the rest is read."""

import errno
import io
import os
import random
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import py7zr
import pytest

from pipeline.errors import DataError, MisuseError
from tests.helpers.downloads import packed
from tools.download import listing, tables
from tools.download.archives import Member, members, unpack
from tools.download.budget import Budget
from tools.download.file_index import index_files
from tools.download.table_header import _unique
from tools.download.tables import open_table

PNG = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
NOISE = random.Random(1).randbytes(2**20)


def skipped_by(data: bytes, left: Budget) -> tuple[int, list[str]]:
    """The number of members that are read, and the reasons of the others."""
    found = list(members(io.BytesIO(data), "a.zip", budget=left))
    reasons = [getattr(file, "reason", "") for file in found if not isinstance(file, Member)]
    return sum(isinstance(file, Member) for file in found), reasons


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_zips_in_a_zip_share_one_budget_of_memory() -> None:
    inner = {
        f"{n}.zip": packed({"1.png": NOISE + bytes(2**20)}, zipfile.ZIP_STORED) for n in range(15)
    }
    left = Budget(memory_bytes=7 * 2**20)
    read, reasons = skipped_by(packed(inner), left)
    assert read == 3 and len(reasons) == 12 and left.memory_bytes >= 0
    assert "together they take more than half of the free memory" in reasons[0]


@pytest.mark.parametrize("is_zip", [True, False])
def test_zeros_in_zips_are_not_unpacked(is_zip: bool) -> None:
    zeros = bytes(2**22)
    inner = packed({"1.png": zeros}, zipfile.ZIP_STORED) if is_zip else zeros
    before = open_descriptors()
    read, reasons = skipped_by(packed({f"{n}.zip": inner for n in range(15)}), Budget())
    assert read == 0 and "unpacks to 100 times its size" in reasons[0] and len(reasons) == 15
    assert open_descriptors() == before


def test_what_is_no_zip_is_not_kept_in_memory() -> None:
    before = open_descriptors()
    data = packed({f"{n}.zip": NOISE + bytes(2**20) for n in range(4)})
    left = Budget(memory_bytes=3 * 2**20)
    assert (
        skipped_by(data, left)[1]
        == ["not a readable zip (File is not a zip file); is the download complete?"] * 4
    )
    assert open_descriptors() == before and left.memory_bytes == 3 * 2**20


def overlapped(count: int) -> bytes:
    """A zip whose members all have the bytes of the first one."""
    data = packed({f"{n}.png": PNG for n in range(count)}, zipfile.ZIP_STORED)
    place, out = 0, bytearray(data)
    while (place := data.find(b"PK\x01\x02", place)) >= 0:
        out[place + 42 : place + 46] = struct.pack("<L", 0)
        place += 46
    return bytes(out)


def test_members_with_the_bytes_of_others_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(overlapped(50))
    index = index_files(str(tmp_path))
    assert len(index.images) == 1 and len(index.skipped) == 49
    assert "the bytes of another file in the zip" in index.skipped[0].reason


def test_what_is_no_image_is_not_inflated() -> None:
    data = packed({"1.png": bytes(10**7)})
    (member,) = members(io.BytesIO(data), "a.zip")
    assert isinstance(member, Member)
    stored = data[data.index(b"1.png") + 5 :][: member.stored_bytes]
    seen = list[int]()
    unpack(
        stored,
        member.method,
        member.size_bytes,
        member.crc32,
        lambda start: seen.append(len(start)),
    )
    assert seen == [2**16]
    with pytest.raises(Exception, match="no image"):
        unpack(stored, member.method, member.size_bytes, member.crc32, lambda start: "no image")


def test_a_bomb_of_an_image_is_named_by_its_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(packed({"1.png": bytes(10**7), "2.png": PNG + bytes(10**6)}))
    index = index_files(str(tmp_path))
    first, second = (data for _, data in index.take(np.arange(2)).load(2**30))
    assert "nothing but zero bytes" in str(first) and second == PNG + bytes(10**6)


def test_the_number_of_files_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "Budget", lambda: Budget(files=20))
    (tmp_path / "a.zip").write_bytes(packed({f"{n}.png": b"" for n in range(15)}))
    index_files(str(tmp_path))
    (tmp_path / "b.zip").write_bytes(packed({f"{n}.png": b"" for n in range(15)}))
    with pytest.raises(DataError, match="more than 16,777,216 files: give a folder of it as --src"):
        index_files(str(tmp_path))


def test_a_directory_of_too_many_entries_is_not_read() -> None:
    data = bytearray(packed({"1.png": b""}))
    # The size of the directory in the end record.
    data[-10:-6] = struct.pack("<L", 2**30)
    assert skipped_by(bytes(data), Budget())[1] == [
        "a zip of more than 16,777,216 files: give a part of it"
    ]


def deep_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)


@pytest.mark.parametrize("kind", ["folders", "zip", "long names"])
def test_paths_that_are_too_deep_or_too_long_are_skipped(tmp_path: Path, kind: str) -> None:
    if kind == "folders":
        deep_folder(tmp_path)
    else:
        name = "d/" * 5000 + "1.png" if kind == "zip" else f"{'x' * 5000}.png"
        (tmp_path / "a.zip").write_bytes(packed({name: b""}))
    (tmp_path / "2.png").write_bytes(b"")
    index = index_files(str(tmp_path))
    assert list(index.images) == ["2.png"] and len(index.skipped) == 1
    reason = index.skipped[0].reason
    assert "longer than 4,096 bytes" in reason if kind == "long names" else "100 folders" in reason


def test_a_7z_that_does_not_fit_the_disk_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as archive:
        archive.writestr(bytes(10**6), "1.png")
    monkeypatch.setattr("shutil.disk_usage", lambda path: os.statvfs("/") and FreeDisk())
    (skipped,) = index_files(str(tmp_path)).skipped
    assert "more than half of what is free" in skipped.reason and "TMPDIR" in skipped.reason


class FreeDisk:
    free = 10**6


def test_links_to_themselves_and_pipes_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to("b.png")
    (tmp_path / "b.png").symlink_to("a.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "1.png").write_bytes(b"x")
    index = index_files(str(tmp_path))
    reasons = {file.path: file.reason for file in index.skipped}
    assert list(index.images) == ["1.png"] and reasons.keys() == {"a.png", "b.png", "pipe.png"}
    assert "a link to itself" in reasons["a.png"] and "a pipe" in reasons["pipe.png"]


def test_a_pipe_as_download_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "all.zip")
    with pytest.raises(MisuseError, match="is a pipe or a device: give a folder or a file"):
        index_files(str(tmp_path / "all.zip"))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
@pytest.mark.parametrize("bad", ["folder", "1.png", "a.zip"])
def test_what_can_not_be_read_is_skipped_or_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, bad: str
) -> None:
    for name in ("folder/1.png", "2.png", "1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    (tmp_path / "a.zip").write_bytes(packed({"3.png": PNG}))
    opened, scanned, read = Path.open, os.scandir, os.open

    def refuse(path: object) -> None:
        if str(path) == str(tmp_path / bad):
            raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "open", lambda path, *a, **k: refuse(path) or opened(path, *a, **k))
    monkeypatch.setattr(os, "scandir", lambda path: refuse(path) or scanned(path))
    monkeypatch.setattr(os, "open", lambda path, *a, **k: refuse(path) or read(path, *a, **k))
    index = index_files(str(tmp_path))
    texts = [str(data) for _, data in index.take(np.arange(len(index.images))).load(2**20)]
    texts = [text for text in texts if "can't be read" in text]
    reasons = [file.reason for file in index.skipped] + texts
    assert len(reasons) == 1 and "can't be read: " + os.strerror(number) in reasons[0]
    assert len(index.images) == (4 if bad == "1.png" else 3)


def one_row(columns: int) -> Iterator[bytes]:
    yield b"1" + b",1" * (columns - 1) + b"\n"


def test_tables_of_too_many_columns_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"".join(one_row(300_000))
    with pytest.raises(DataError, match="line 1 has 300,000 columns, more than 262,144"):
        open_table("t.csv", lambda: io.BytesIO(data), is_header=lambda first, second: False)
    monkeypatch.setattr(tables, "_MAX_HEAD_CELLS", 50)
    table = open_table("t.csv", lambda: io.BytesIO(b"a,b,c,d\n" * 100), is_header=lambda f, s: True)
    assert table is not None and len(table.head) == 12


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.download.table_text.MAX_LINE", 2**21)
    with pytest.raises(DataError, match="a line of more than 2,097,152 characters"):
        open_table("t.csv", lambda: io.BytesIO(b"ab," * 2**20), is_header=lambda f, s: False)


class CountedName(str):
    """Counts comparisons."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedName.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_names_of_columns_are_compared_with_few_others() -> None:
    names = _unique([CountedName(f"c{n}") for n in range(3000)] + [CountedName("c0")] * 3000)
    assert len(set(names)) == 6000 and names[-1] == "c0.3000"
    assert CountedName.compared < 50_000
