"""Processes share a folder of complete files, each fetched once, within a size limit."""

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import fsspec
import pytest

from pipeline.errors import DataError, MisuseError
from pipeline.storage.cache import FileCache
from pipeline.storage.cache_eviction import cache_root
from pipeline.storage.cached_files import RemoteFile
from pipeline.storage.remote import BLOCK_BYTES, RemoteFolder

GIB = 2**30


class Requests(RemoteFolder):
    """A folder at a URL that records its requests."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.blocks: list[tuple[str, int]] = []

    def read_block(self, name: str, start: int) -> bytes:
        self.blocks.append((name, start))
        return super().read_block(name, start)


@pytest.fixture
def memory() -> Iterator[Callable[[str, bytes], RemoteFile]]:
    """Puts a file at memory://shards and describes it."""
    filesystem = fsspec.filesystem("memory")

    def put(name: str, data: bytes) -> RemoteFile:
        filesystem.pipe_file(f"/shards/{name}", data)
        return RemoteFile(name, len(data), hashlib.sha256(data).hexdigest())

    yield put
    if filesystem.exists("/shards"):
        filesystem.rm("/shards", recursive=True)


def cache_at(root: Path, limit_bytes: int = GIB) -> tuple[FileCache, Requests]:
    remote = Requests("memory://shards")
    return FileCache(remote, root, "set", limit_bytes), remote


def stop_when(stopped: Callable[[], bool]) -> Callable[[int], None]:
    def poll(size: int) -> None:
        if stopped():
            raise InterruptedError

    return poll


def content(descriptor: int) -> bytes:
    try:
        return os.pread(descriptor, GIB, 0)
    finally:
        os.close(descriptor)


def test_a_file_is_fetched_once(tmp_path: Path, memory: Callable[[str, bytes], RemoteFile]) -> None:
    data = os.urandom(2 * BLOCK_BYTES + 5)
    file = memory("a.tar", data)
    cache, remote = cache_at(tmp_path)
    assert content(cache.open(file)) == data
    assert content(cache.open(file)) == data
    assert remote.blocks == [("a.tar", start) for start in range(0, len(data), BLOCK_BYTES)]
    again, remote = cache_at(tmp_path)
    assert content(again.open(file)) == data
    assert not remote.blocks


def test_an_interrupted_fetch_is_continued(
    tmp_path: Path, memory: Callable[[str, bytes], RemoteFile]
) -> None:
    data = os.urandom(3 * BLOCK_BYTES)
    file = memory("a.tar", data)
    cache, remote = cache_at(tmp_path)
    with pytest.raises(InterruptedError):
        cache.open(file, stop_when(lambda: len(remote.blocks) == 2))
    assert not (tmp_path / "set" / "a.tar").exists()
    cache, remote = cache_at(tmp_path)
    assert content(cache.open(file)) == data
    assert remote.blocks == [("a.tar", 2 * BLOCK_BYTES)]
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["a.tar"]


def test_a_part_that_was_damaged_is_fetched_again(
    tmp_path: Path, memory: Callable[[str, bytes], RemoteFile]
) -> None:
    data = os.urandom(100)
    file = memory("a.tar", data)
    cache, remote = cache_at(tmp_path)
    (tmp_path / "set" / "a.tar.100.part").write_bytes(b"x" * 50)
    assert content(cache.open(file)) == data
    assert remote.blocks == [("a.tar", 50), ("a.tar", 0)]


@pytest.mark.parametrize(
    ("there", "sentence"),
    [
        (b"y" * 100, "a.tar was fetched twice, and its SHA-256 is not"),
        (b"x" * 50, "a.tar ends after 50 of 100 bytes: it was cut off"),
        (None, r"a.tar can't be read \(No such file"),
    ],
)
def test_a_file_other_than_the_manifests_is_rejected(
    tmp_path: Path, memory: Callable[[str, bytes], RemoteFile], there: bytes | None, sentence: str
) -> None:
    file = memory("a.tar", b"x" * 100)
    if there is None:
        fsspec.filesystem("memory").rm("/shards/a.tar")
    else:
        memory("a.tar", there)
    cache, _ = cache_at(tmp_path)
    with pytest.raises(DataError, match=sentence):
        cache.open(file)
    assert not (tmp_path / "set" / "a.tar").exists()


def test_a_file_cut_off_in_the_cache_is_fetched_again(
    tmp_path: Path, memory: Callable[[str, bytes], RemoteFile]
) -> None:
    file = memory("a.tar", b"x" * 100)
    cache, _ = cache_at(tmp_path)
    os.close(cache.open(file))
    (tmp_path / "set" / "a.tar").chmod(0o644)
    os.truncate(tmp_path / "set" / "a.tar", 10)
    assert content(cache.open(file)) == b"x" * 100


def test_the_least_recently_used_file_is_evicted_unless_it_is_open(
    tmp_path: Path, memory: Callable[[str, bytes], RemoteFile]
) -> None:
    files = [memory(f"{name}.tar", name.encode() * 100) for name in "abcd"]
    cache, _ = cache_at(tmp_path, limit_bytes=250)
    first = cache.open(files[0])
    for age, file in enumerate(files[:2]):
        os.close(cache.open(file))
        os.utime(tmp_path / "set" / file.name, (age, age))
    os.close(cache.open(files[2]))
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["a.tar", "c.tar"]
    os.close(first)
    os.close(cache.open(files[3]))
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["c.tar", "d.tar"]


def test_a_full_cache_exceeds_its_limit_with_a_warning(
    tmp_path: Path, memory: Callable[[str, bytes], RemoteFile], caplog: pytest.LogCaptureFixture
) -> None:
    files = [memory(f"{name}.tar", name.encode() * 100) for name in "abc"]
    cache, _ = cache_at(tmp_path, limit_bytes=150)
    descriptors = [cache.open(file) for file in files]
    assert len([line for line in caplog.messages if "--cache-size" in line]) == 1
    for descriptor in descriptors:
        os.close(descriptor)


def fetch_from_folder(root: str, url: str, file: RemoteFile, log: str) -> None:
    remote = RemoteFolder(url)
    read_block = remote.read_block

    def recorded(name: str, start: int) -> bytes:
        with open(log, "a") as log_file:  # noqa: PTH123
            log_file.write(f"{start}\n")
        return read_block(name, start)

    remote.read_block = recorded  # type: ignore[method-assign]
    os.close(FileCache(remote, Path(root), "set", GIB).open(file))


def test_processes_share_a_fetch(tmp_path: Path, loaded: ForkServerContext) -> None:
    source = tmp_path / "source"
    source.mkdir()
    data = os.urandom(2 * BLOCK_BYTES)
    (source / "a.tar").write_bytes(data)
    file = RemoteFile("a.tar", len(data), hashlib.sha256(data).hexdigest())
    log = tmp_path / "log"
    arguments = (str(tmp_path / "cache"), f"local://{source}", file, str(log))
    processes = [loaded.Process(target=fetch_from_folder, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert log.read_text().split() == ["0", str(BLOCK_BYTES)]
    assert (tmp_path / "cache/set/a.tar").read_bytes() == data


def test_waiting_for_another_fetch_can_be_interrupted(
    tmp_path: Path, memory: Callable[[str, bytes], RemoteFile]
) -> None:
    file = memory("a.tar", b"x" * 100)
    cache, _ = cache_at(tmp_path)
    part = os.open(tmp_path / "set" / "a.tar.100.part", os.O_RDWR | os.O_CREAT)
    fcntl.flock(part, fcntl.LOCK_EX)
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(InterruptedError):
        cache.open(file, stop_when(stop.is_set))
    os.close(part)


@pytest.mark.parametrize("name", ["../victim", "/etc/victim", "..", "", "a/b", ".profile", "a\0b"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    cache, _ = cache_at(tmp_path / "cache")
    with pytest.raises(DataError, match="not a plain file name"):
        cache.open(RemoteFile(name, 4, "0" * 64))
    with pytest.raises(DataError, match="not a plain file name"):
        FileCache(RemoteFolder("memory://shards"), tmp_path / "cache", name, GIB)
    assert (tmp_path / "victim").read_bytes() == b"mine"


def test_links_in_the_cache_are_not_followed(
    tmp_path: Path, memory: Callable[[str, bytes], RemoteFile]
) -> None:
    file = memory("a.tar", b"x" * 100)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "photo").write_bytes(b"y" * 100)
    cache, _ = cache_at(tmp_path / "cache", limit_bytes=150)
    (tmp_path / "cache" / "link").symlink_to(tmp_path / "own")
    (tmp_path / "cache" / "set" / "a.tar.100.part").symlink_to(tmp_path / "own" / "photo")
    with pytest.raises(DataError, match=r"a\.tar\.100\.part is a symbolic link"):
        cache.open(file)
    (tmp_path / "cache" / "set" / "a.tar.100.part").unlink()
    os.close(cache.open(file))
    os.close(cache.open(memory("b.tar", b"z" * 100)))
    assert (tmp_path / "own" / "photo").read_bytes() == b"y" * 100


@pytest.mark.parametrize(
    ("stated", "sentence"), [(10**15, "more than --cache-size"), (900, "bytes long")]
)
def test_a_wrong_size_evicts_nothing(
    tmp_path: Path, memory: Callable[[str, bytes], RemoteFile], stated: int, sentence: str
) -> None:
    cache, _ = cache_at(tmp_path, limit_bytes=1000)
    os.close(cache.open(memory("a.tar", b"x" * 500)))
    small = memory("b.tar", b"y" * 100)
    with pytest.raises(DataError, match=sentence):
        cache.open(RemoteFile("b.tar", stated, small.sha256))
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["a.tar"]


def test_a_disk_that_takes_a_part_of_a_write(
    tmp_path: Path, memory: Callable[[str, bytes], RemoteFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, written = os.urandom(1000), []
    pwrite = os.pwrite

    def some(descriptor: int, view: memoryview, start: int) -> int:
        written.append(pwrite(descriptor, view[: 300 if start < limit else 0], start))
        return written[-1]

    monkeypatch.setattr(os, "pwrite", some)
    cache, _ = cache_at(tmp_path)
    limit = 600
    with pytest.raises(DataError, match="No space left on device"):
        cache.open(memory("a.tar", data))
    assert not (tmp_path / "set" / "a.tar").exists()
    limit = 1000
    assert content(cache.open(memory("a.tar", data))) == data
    assert max(written) == 300


def test_a_damaged_file_of_the_right_size_is_fetched_again_and_checked_once(
    tmp_path: Path, memory: Callable[[str, bytes], RemoteFile]
) -> None:
    """As an earlier version left it behind."""
    file = memory("a.tar", b"x" * 100)
    cache, remote = cache_at(tmp_path)
    (tmp_path / "set" / "a.tar").write_bytes(b"y" * 100)
    assert content(cache.open(file)) == b"x" * 100
    assert remote.blocks == [("a.tar", 0)]
    assert (tmp_path / "set" / "a.tar").stat().st_mode & 0o777 == 0o444


def test_short_answers_of_another_file_end_the_fetch(
    tmp_path: Path, memory: Callable[[str, bytes], RemoteFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a proxy that answers each request with its own page."""
    file = memory("a.tar", b"x" * 10**6)
    cache, remote = cache_at(tmp_path)
    page, asked = b"<html><body>Log in</body></html>", []
    monkeypatch.setattr(remote, "read_block", lambda *request: asked.append(request) or page)
    monkeypatch.setattr(remote, "size_bytes", lambda name: len(page))
    with pytest.raises(DataError, match=r"a\.tar ends after 32 of 1,000,000 bytes.* a web page"):
        cache.open(file)
    assert len(asked) == 1
    assert not list((tmp_path / "set").iterdir())


def test_without_a_home_a_folder_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user id of a container that has no entry in /etc/passwd."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_root(None) == Path("/somewhere/shardline")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    with pytest.raises(MisuseError, match="give a folder by --cache-dir, or set HOME"):
        cache_root(None)
    assert cache_root("/given") == Path("/given/shardline")
