"""A study's folder: one study at a time, and what of it can be kept."""

import fcntl
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from benchmarks.measuring.result_file import read_bundle
from pipeline.errors import DataError, MisuseError

LOCK_NAME = ".lock"
# A training that was ended saves first.
WAIT_SECONDS = 60.0


@contextmanager
def lock_folder(
    folder: Path, *, machines: int = 1, wait_seconds: float = WAIT_SECONDS
) -> Iterator[int]:
    """The file descriptor of a lock on `folder`, which is made; who inherits it holds it, too: of a
    study that was killed, the training that is still about to save. Several `machines` share it.

    Raises ``DataError`` if it is still held after `wait_seconds`, ``MisuseError`` for a file.
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
        if not _locked(file.fileno(), mode):
            click.echo(f"Another study holds {folder}: waiting for its training to save.")
            deadline = time.monotonic() + wait_seconds
            while not _locked(file.fileno(), mode):
                if time.monotonic() > deadline:
                    raise DataError(
                        f"{folder} is held by a study that still runs: give another --out, or end "
                        f"that one."
                    )
                time.sleep(0.2)
        yield file.fileno()


def _locked(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def same_settings(path: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether the result in `path` is there, and was measured with the settings `wanted`."""
    if not path.exists():
        return False
    settings = read_bundle(path)["settings"]
    return all(
        settings.get(name) == value for name, value in json.loads(json.dumps(wanted)).items()
    )
