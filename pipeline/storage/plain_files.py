"""Open files of folders that may come from somebody else: plain files only."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


class NotPlainFileError(OSError):
    """A folder, a device, or a pipe, which would be waited for."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "not a plain file", str(path))


def open_plain(path: Path) -> BufferedReader:
    """Open a file to read it. Raises ``OSError``, ``NotPlainFileError`` among them."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotPlainFileError(path)
    return open(descriptor, "rb")  # noqa: PTH123 - it is opened already


def read_plain(path: Path) -> bytes:
    """The content of a file. Raises ``OSError`` as ``open_plain`` does."""
    with open_plain(path) as file:
        return file.read()
