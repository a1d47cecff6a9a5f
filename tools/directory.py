"""The output directory: complete, or recognisably not. Nothing in between.

All files are built in ``OUT/.unfinished`` and renamed up, the manifest last. As long as that folder
is there without a manifest beside it, what lies in OUT under the names of shards is a leftover.
"""

import csv
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pipeline.dataset import MANIFEST_NAME, REJECTED_NAME, Manifest
from pipeline.errors import DataError, MisuseError
from tools.words import natural_key

UNFINISHED_NAME = ".unfinished"
_OURS = re.compile(r"(train|val|test)(-\d{6}\.(tar|idx)|\.samples\.npy|\.sources\.parquet)")


class OutputDirectory:
    """`path`, empty or with the leftovers of an unfinished run, which are removed.

    As a context it ends complete (after ``publish``) or with nothing but the list of rejected
    sources. Raises ``MisuseError`` if the directory holds a dataset or anything else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.building = path / UNFINISHED_NAME
        self._published = False
        _refuse_strangers(path)

    def __enter__(self) -> Self:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._clear()
            self.building.mkdir()
        except OSError as error:
            raise DataError(f"--out {self.path} can't be written: {error.strerror}.") from error
        return self

    def __exit__(self, *error: object) -> None:
        if not self._published:
            self._clear(keep=REJECTED_NAME)
            if not any(self.path.iterdir()):
                self.path.rmdir()

    def write_rejected(self, rejected: Iterable[tuple[str, str]]) -> Path:
        """The list of rejected sources, by name, in its final place; it outlives a failed run."""
        path = self.path / REJECTED_NAME
        rows = sorted(rejected, key=lambda row: natural_key(row[0]))
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("source", "reason"))
            writer.writerows(rows)
        return path

    def publish(self, manifest: Manifest) -> None:
        """Put all files in their places, on disk before the manifest is."""
        for path in sorted(self.building.iterdir()):
            _sync(path)
            path.rename(self.path / path.name)
        temporary = self.building / MANIFEST_NAME
        temporary.write_text(manifest.to_json(), encoding="utf-8")
        _sync(temporary)
        _sync(self.path)
        temporary.rename(self.path / MANIFEST_NAME)
        self._published = True
        _sync(self.path)
        self.building.rmdir()

    def _clear(self, keep: str = "") -> None:
        shutil.rmtree(self.building, ignore_errors=True)
        for path in self.path.iterdir():
            if _is_ours(path) and path.name != keep:
                path.unlink()


def _is_ours(path: Path) -> bool:
    return path.name == REJECTED_NAME or _OURS.fullmatch(path.name) is not None


def _refuse_strangers(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise MisuseError(f"--out {path} is a file: give a folder.")
    if (path / MANIFEST_NAME).exists():
        raise MisuseError(
            f"--out {path} already holds a dataset ({MANIFEST_NAME}): give another folder, or "
            f"delete this one."
        )
    unfinished = (path / UNFINISHED_NAME).exists()
    for entry in sorted(path.iterdir()):
        leftover = entry.name == REJECTED_NAME or (unfinished and _is_ours(entry))
        if not entry.name.startswith(".") and not leftover:
            raise MisuseError(
                f"--out {path} holds something else ({entry.name}): give a new or empty folder."
            )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
