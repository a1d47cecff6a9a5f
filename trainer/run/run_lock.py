"""The lock of a run's directory: one process trains in it, and others learn which one.

The kernel releases it when the process ends, however it ends.
"""

import fcntl
import json
import os
import re
import socket
import time
from pathlib import Path
from typing import IO
from weakref import WeakSet

from pipeline.errors import DataError
from trainer.files import ANOTHER_OUT, say_once, write_error

LOCK_NAME = ".lock"
_HOLDER_BYTES = 1000
# The locks of this process.
_held: "WeakSet[IO[bytes]]" = WeakSet()


def lock_run(folder: Path) -> IO[bytes]:
    """Lock a run's directory until the file that is returned is closed. Goes on without a lock,
    with a message, where the file system has none. A process may lock a directory twice.

    Raises ``DataError`` with the holder if another process has locked it.
    """
    path = folder / LOCK_NAME
    try:
        # A link in a folder from somebody else is not followed.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = open(os.open(path, flags, 0o644), "r+b", buffering=0)  # noqa: PTH123, SIM115
    except OSError as error:
        raise write_error(path, error, f"delete it if it is a link, {ANOTHER_OUT}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        if any(_is_same(file, other) for other in _held if not other.closed):
            return file
        holder = _describe(os.pread(file.fileno(), _HOLDER_BYTES, 0))
        file.close()
        raise DataError(
            f"{holder} is training in {folder}: wait for it to end or stop it, or give another "
            f"--out."
        ) from error
    except OSError as error:
        say_once(
            f"The file system of {folder} has no locks ({error.strerror}): nothing keeps a second "
            f"training out of it."
        )
        return file
    _held.add(file)
    holder_of = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
    try:
        os.ftruncate(file.fileno(), 0)
        os.pwrite(file.fileno(), json.dumps(holder_of).encode(), 0)
    except OSError as error:
        say_once(f"{path} does not say who trains there ({error.strerror}).")
    return file


def _is_same(file: IO[bytes], other: IO[bytes]) -> bool:
    return os.path.samestat(os.fstat(file.fileno()), os.fstat(other.fileno()))


def _describe(text: bytes) -> str:
    """Who holds the lock, by the content of its file."""
    try:
        holder = json.loads(text)
        pid, host, since = int(holder["pid"]), str(holder["host"]), float(holder["since"])
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
    except (ValueError, LookupError, TypeError, OverflowError, OSError):
        return "Another process"
    plain = re.sub(r"[^A-Za-z0-9.-]", "?", host)[:64]
    return f"Another process (pid {pid} on {plain}, since {moment})"
