"""A cache into which somebody put links, pipes and folders: they are neither waited for nor
written through."""

import contextlib
import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.storage.cache import FileCache
from pipeline.storage.cached_files import RemoteFile, open_cached
from pipeline.storage.remote import RemoteFolder

DATA = b"x" * 100
FILE = RemoteFile("a.tar", len(DATA), hashlib.sha256(DATA).hexdigest())


def cache_at(folder: Path) -> FileCache:
    """A cache in `folder` of the file in its folder "source"."""
    (folder / "source").mkdir()
    (folder / "source" / FILE.name).write_bytes(DATA)
    return FileCache(RemoteFolder(f"local://{folder}/source"), folder / "cache", "set", 10**6)


def put_link(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def put_dangling_link(path: Path, outside: Path) -> None:
    path.symlink_to(outside.with_name("new"))


def put_link_to_pipe(path: Path, outside: Path) -> None:
    os.mkfifo(outside.with_name("pipe"))
    path.symlink_to(outside.with_name("pipe"))


def put_pipe(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def put_socket(path: Path, outside: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(path.parent):
        listening.bind(path.name)


def put_folder(path: Path, outside: Path) -> None:
    path.mkdir()


def put_link_to_device(path: Path, outside: Path) -> None:
    path.symlink_to("/dev/zero")


KINDS = {
    put_link: "a symbolic link",
    put_dangling_link: "a symbolic link",
    put_link_to_pipe: "a symbolic link",
    put_link_to_device: "a symbolic link",
    put_pipe: "a pipe",
    put_socket: "a socket",
    put_folder: "a folder",
}


@pytest.mark.parametrize("name", ["set/a.tar", "set/a.tar.100.part", "lock"])
@pytest.mark.parametrize("put", KINDS, ids=lambda put: put.__name__)
def test_what_is_no_file_is_refused(
    tmp_path: Path, put: Callable[[Path, Path], None], name: str
) -> None:
    """It is neither waited for nor followed out of the cache."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "photo").write_bytes(b"y" * 100)
    cache = cache_at(tmp_path)
    put(tmp_path / "cache" / name, outside / "photo")
    with pytest.raises(DataError) as caught:
        cache.open(FILE)
    path = tmp_path / "cache" / name
    assert f"{path} is {KINDS[put]}" in caught.value.message and "delete" in caught.value.message
    assert (outside / "photo").read_bytes() == b"y" * 100
    assert not (outside / "new").exists()


def test_a_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="/dev/zero is a device, not a file"):
        open_cached(Path("/dev/zero"), os.O_RDONLY)


def test_a_hard_link_is_not_written(tmp_path: Path) -> None:
    cache = cache_at(tmp_path)
    (tmp_path / "photo").write_bytes(b"y" * 100)
    os.link(tmp_path / "photo", tmp_path / "cache" / "set" / "a.tar.100.part")
    with pytest.raises(DataError, match=r"a\.tar\.100\.part is also a file outside"):
        cache.open(FILE)
    assert (tmp_path / "photo").read_bytes() == b"y" * 100


@pytest.mark.parametrize("put", KINDS, ids=lambda put: put.__name__)
def test_a_folder_of_the_cache_that_is_none(
    tmp_path: Path, put: Callable[[Path, Path], None]
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "cache").mkdir()
    put(tmp_path / "cache" / "set", tmp_path / "outside" / "photo")
    if put is put_folder:
        cache_at(tmp_path)
        return
    with pytest.raises(DataError, match=r"cache/set is (a symbolic link|not a folder): delete it"):
        cache_at(tmp_path)
    assert not (tmp_path / "outside" / "new").exists()
