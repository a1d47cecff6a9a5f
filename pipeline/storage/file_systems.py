"""What disks offer: locks and syncs, without which work goes on, which is said once; and room."""

import errno
import fcntl
import logging
import os
import tempfile
from functools import lru_cache
from pathlib import Path

from pipeline.errors import DataError

_LOG = logging.getLogger(__name__)

# Network, FUSE and cluster file systems answer with one of these.
_NOT_OFFERED = (errno.ENOSYS, errno.ENOLCK, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# A socket's path has at most 107 bytes; Python adds "/pymp-12345678/listener-12345678".
_MAX_TEMPORARY_BYTES = 107 - 32


def lock(descriptor: int, operation: int, *, name: str | Path) -> bool:
    """``fcntl.flock`` of the file or folder `name`; False if its disk offers no locks. Raises
    ``BlockingIOError`` as flock does, and ``OSError`` for other errors."""
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
        _say_once(
            f"The disk of {name} has no locks ({error.strerror}): let no two commands write "
            f"there at the same time."
        )
        return False
    return True


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to disk, so that they survive a power failure. Raises
    ``OSError``, but not if the disk offers no such thing."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
        _say_once(
            f"The disk of {path.parent} can't be told to store files now ({error.strerror}): "
            f"after a power failure the last ones may be missing."
        )
    finally:
        os.close(descriptor)


def is_full(error: BaseException | None) -> bool:
    """Whether the disk or the quota is full."""
    return isinstance(error, OSError) and error.errno in _FULL


def temporary_folder() -> Path:
    """The folder for temporary files. Raises ``DataError`` if none can be written, or if its path
    is too long for the sockets of worker processes."""
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError as error:
        raise DataError(
            "No folder for temporary files can be written: set TMPDIR to one on a disk with free "
            "space."
        ) from error
    if len(os.fsencode(folder)) > _MAX_TEMPORARY_BYTES:
        raise DataError(
            f"The folder for temporary files {folder} has a path of more than "
            f"{_MAX_TEMPORARY_BYTES} bytes, too long for the sockets of worker processes: set "
            f"TMPDIR to a shorter one."
        )
    return Path(folder)


@lru_cache
def _say_once(text: str) -> None:
    _LOG.warning(text)
