"""Files of runs and predictions are replaced atomically.

A folder may come from somebody else: no name in it is followed to another file when it is written.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

from pipeline.console import print_line
from pipeline.errors import DataError

CHECKPOINT_NAME, BEST_NAME, KEPT_PATTERN = "checkpoint.pt", "best.pt", "checkpoint-*.pt"
TRACE_NAME = "trace.json.gz"
# The copy of the file of a model of one's own.
MODEL_FILE_NAME = "model.py"
PARTIAL_SUFFIX = ".partial"
ANOTHER_OUT = "free disk space or give another --out"
REPEAT = "free disk space or correct this, then repeat the command"

# What file systems answer that can't sync a folder.
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF)
_told: set[str] = set()


@contextmanager
def replaced(path: Path, advice: str = ANOTHER_OUT) -> Iterator[Path]:
    """A new empty file beside `path` that replaces it after the block, unless the block raises; the
    new file is then removed.

    Raises ``DataError``, which ends with `advice`, if the file can't be written.
    """
    # Of any length of name, and another one for each file.
    partial = path.with_name(f".{crc32(path.name.encode()):08x}{PARTIAL_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A killed process left it, or it is somebody's link: a new file follows no link.
        partial.unlink(missing_ok=True)
        partial.touch(exist_ok=False)
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(path, error, advice) from error


def replace_text(path: Path, text: str, advice: str = ANOTHER_OUT) -> None:
    """Write `text` in UTF-8, as ``replaced`` does."""
    with replaced(path, advice) as partial:
        partial.write_text(text, encoding="utf-8")


def write_error(path: Path, error: OSError, advice: str = ANOTHER_OUT) -> DataError:
    """The error for a file that can't be written."""
    return DataError(f"Cannot write {path} ({error.strerror or error}): {advice}.")


def checkpoint_error(path: Path, error: Exception) -> DataError:
    """The error for a checkpoint that can't be read."""
    reason = error.strerror if isinstance(error, OSError) else error
    return DataError(
        f"Cannot read {path} ({reason}): give another checkpoint to --resume or --checkpoint, or "
        f"start a new run with another --out."
    )


def resume_advice(folder: Path) -> str:
    """What to do if a file of the run in `folder` can't be written."""
    return f"free disk space, then repeat the command with --out {folder}"


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power failure, where the file system can do this."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
        say_once(
            f"The file system of {folder} can't sync folders ({error.strerror}): after a power "
            f"failure its newest files may be missing."
        )
    finally:
        os.close(descriptor)


def say_once(text: str) -> None:
    """Print a line on stderr, once in a process."""
    if text not in _told:
        _told.add(text)
        print_line(text, err=True)
