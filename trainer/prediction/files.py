"""Files of predictions. Each is written under another name first, then renamed."""

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, MisuseError
from trainer.files import replaced


def require_writable(path: Path, *, is_folder: bool) -> None:
    """Raise ``MisuseError`` or ``DataError`` if `path` can't become a file, or with `is_folder` a
    folder."""
    if path.exists() and path.is_dir() != is_folder:
        raise MisuseError(
            f"--out {path} is {'a folder' if path.is_dir() else 'a file'}: give a "
            f"{'folder' if is_folder else 'file'}."
        )
    if path.exists() and not (is_folder or path.is_file()):
        raise MisuseError(f"--out {path} is no regular file: give a file.")
    folder = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
    folder = folder.parent if folder.is_file() and folder == path.absolute() else folder
    if not folder.is_dir():
        raise DataError(f"Cannot write {path}: {folder} is a file. Give another --out.")
    if not os.access(folder, os.W_OK):
        raise DataError(f"Cannot write {path}: {folder} is read-only. Give another --out.")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV in UTF-8 with lines that end in a newline."""
    with (
        replaced(path.resolve()) as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_npz(path: Path, ids: Sequence[str], **arrays: NDArray[np.generic]) -> None:
    """Write an npz of `ids`, a string array (n,), and `arrays`; the same bytes for the same
    content."""
    with replaced(path.resolve()) as partial, partial.open("wb") as file:
        np.savez(file, ids=np.array(ids, np.str_), allow_pickle=False, **arrays)
