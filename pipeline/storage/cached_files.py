"""Compare and write the files of the cache."""

import errno
import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class RemoteFile:
    """A file of a dataset: name, size in bytes, SHA-256 in hex."""

    name: str
    bytes: int
    sha256: str


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
