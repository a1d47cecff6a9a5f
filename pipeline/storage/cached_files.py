"""Open, compare and write the files of the cache: plain files only, never through a link."""

import errno
import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


@dataclass(frozen=True)
class RemoteFile:
    """A file of a dataset: name, size in bytes, SHA-256 in hex."""

    name: str
    bytes: int
    sha256: str


def open_cached(path: Path, flags: int) -> int:
    """A descriptor of a plain file, which ``os.O_CREAT`` makes. Raises ``OSError``, and
    ``DataError`` for anything else, which could hang or lead out of the cache."""
    with suppress(FileNotFoundError):  # looked at first: to open a device can change it
        _require_plain(path, path.lstat(), flags)
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    try:
        _require_plain(path, os.fstat(descriptor), flags)
    except DataError:
        os.close(descriptor)
        raise
    return descriptor


def _require_plain(path: Path, status: os.stat_result, flags: int) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        raise DataError(
            f"{path} is {_KINDS.get(kind, 'a device')}, not a file that shardline fetched: "
            f"delete it."
        )
    if flags & os.O_RDWR and status.st_nlink > 1:
        raise DataError(
            f"{path} is also a file outside of the cache (a hard link), which would be written: "
            f"delete it."
        )


def is_whole(descriptor: int, file: RemoteFile) -> bool:
    """Whether an open file has the size and the SHA-256 of `file`, which is compared once: a file
    that has it becomes read-only."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size != file.bytes:
        return False
    if status.st_mode & stat.S_IWUSR:
        sha256 = hashlib.sha256()
        hash_part(descriptor, file.bytes, sha256)
        if sha256.hexdigest() != file.sha256:
            return False
        # Another user's file, or a disk without modes: it is compared each time.
        with suppress(OSError):
            os.fchmod(descriptor, 0o444)
    return True


def write(descriptor: int, block: bytes, start: int) -> None:
    """Write all of `block`; raises ``OSError`` if the disk is full."""
    view = memoryview(block)
    while view:
        written = os.pwrite(descriptor, view, start)
        if written == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view, start = view[written:], start + written


def hash_part(descriptor: int, limit_bytes: int, sha256: "hashlib._Hash") -> int:
    """Hash the bytes of a part, and count them; a part that is too long is emptied."""
    done = 0
    if os.fstat(descriptor).st_size > limit_bytes:
        os.ftruncate(descriptor, 0)
    while block := os.pread(descriptor, 2**20, done):
        sha256.update(block)
        done += len(block)
    return done
