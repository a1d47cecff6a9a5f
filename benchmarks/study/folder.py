"""The folder of a study: one study at a time, and results that can be kept."""

import fcntl
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measuring.result_file import read_bundle
from pipeline.console import print_line
from pipeline.errors import DataError, MisuseError

LOCK_NAME = ".lock"
# An interrupted training saves a checkpoint before it ends.
WAIT_SECONDS = 60.0


@contextmanager
def lock_folder(
    folder: Path, *, machines: int = 1, wait_seconds: float = WAIT_SECONDS
) -> Iterator[int]:
    """Create `folder` and yield the file descriptor of a lock on it; several `machines` share it.

    A process that inherits the descriptor holds the lock as well: the training of a killed study
    while it saves.

    Raises ``DataError`` if another study holds the lock after `wait_seconds`, ``MisuseError`` if
    `folder` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise MisuseError(f"--out {folder} is a file: give a folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK_NAME).open("w")
    except OSError as error:
        raise DataError(f"{folder} can't be written ({error.strerror}).") from error
    with file:
        mode = fcntl.LOCK_EX if machines == 1 else fcntl.LOCK_SH
        deadline = time.monotonic() + wait_seconds
        if not _try_lock(file.fileno(), mode):
            print_line(f"Another bench-study uses {folder}: waiting for its training to save.")
            while not _try_lock(file.fileno(), mode):
                if time.monotonic() > deadline:
                    raise DataError(
                        f"Another bench-study is running in {folder}: stop it, or give another "
                        f"--out."
                    )
                time.sleep(0.2)
        yield file.fileno()


def _try_lock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def has_result(path: Path, settings: Mapping[str, Any]) -> bool:
    """Whether `path` is a result that was measured with `settings`, among others."""
    if not path.exists():
        return False
    measured = read_bundle(path)["settings"]
    current = json.loads(json.dumps(settings))
    return all(measured.get(name) == value for name, value in current.items())
