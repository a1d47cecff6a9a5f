"""The output: a folder here or at an fsspec URL. Complete, or recognizably not.

    OUT/train-000000.tar       a finished shard, put there all at once
    OUT/.unfinished/           what a later run needs to go on; gone when the dataset is complete
    OUT/dataset.json           the manifest, last

What is put is first written whole under another name and forced to disk.
"""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError, MisuseError
from pipeline.storage.manifest import MANIFEST_NAME, REJECTED_NAME
from tools.location import Location

UNFINISHED = ".unfinished"
PLAN_NAME = f"{UNFINISHED}/plan.json"


@dataclass(frozen=True)
class Store(Location):
    """The files beneath `url`, by name; cheap to pickle. All methods raise ``OSError``."""

    def names(self) -> set[str]:
        """The files there are, those in UNFINISHED with it before their name."""
        if self.local is not None:
            found = (path.relative_to(self.local) for path in self.local.glob("*"))
            unfinished = (
                path.relative_to(self.local) for path in self.local.glob(f"{UNFINISHED}/*")
            )
            return {path.as_posix() for path in (*found, *unfinished)}
        filesystem, root = self.remote
        filesystem.invalidate_cache()
        if not filesystem.exists(root):
            return set()
        return {path.removeprefix(root).lstrip("/") for path in filesystem.find(root)}

    def put(self, path: Path, name: str) -> None:
        """Move the finished file `path` to `name`, on disk before it is seen there."""
        if self.local is not None:
            _sync(path)
            target = self.local / name
            path.replace(target)
            _sync(target.parent)
        else:
            filesystem, root = self.remote
            filesystem.put_file(str(path), f"{root}/{name}")
            path.unlink()

    def read(self, name: str) -> bytes:
        """The contents of a small file."""
        if self.local is not None:
            return (self.local / name).read_bytes()
        filesystem, root = self.remote
        return bytes(filesystem.cat_file(f"{root}/{name}"))

    def remove(self, name: str) -> None:
        if self.local is not None:
            (self.local / name).unlink(missing_ok=True)
        else:
            filesystem, root = self.remote
            filesystem.rm_file(f"{root}/{name}")

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for what isn't finished, on the disk of the output where there is one."""
        if self.local is None:
            with tempfile.TemporaryDirectory(prefix="shardline-") as folder:
                yield Path(folder)
        else:
            above = self.local / UNFINISHED / "scratch"
            above.mkdir(parents=True, exist_ok=True)
            folder = tempfile.mkdtemp(dir=above)
            try:
                yield Path(folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out, and clear up: what only this run could use, and everything if
        nothing was finished. Raises ``MisuseError`` if the output holds anything else,
        ``DataError`` if it can't be written or another run holds it."""
        self._refuse_strangers()
        if self.local is None:
            yield
            return
        unfinished = self.local / UNFINISHED
        try:
            unfinished.mkdir(parents=True, exist_ok=True)
            lock_file = os.open(unfinished / "lock", os.O_RDWR | os.O_CREAT)
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(
                f"Another tools/shard writes to --out {self.url}: let it end."
            ) from error
        except OSError as error:
            raise DataError(f"--out {self.url} can't be written: {error.strerror}.") from error
        try:
            shutil.rmtree(unfinished / "scratch", ignore_errors=True)
            yield
        finally:
            shutil.rmtree(unfinished / "scratch", ignore_errors=True)
            if not any(unfinished.glob("*.tar.json")):
                shutil.rmtree(unfinished, ignore_errors=True)
                if not any(self.local.iterdir()):
                    self.local.rmdir()
            os.close(lock_file)

    def finish(self, manifest: Path) -> None:
        """Put the manifest: the dataset is complete. What was kept for going on is removed."""
        self.put(manifest, MANIFEST_NAME)
        for name in self.names():
            if name.startswith(f"{UNFINISHED}/") and "scratch" not in name:
                self.remove(name)

    def _refuse_strangers(self) -> None:
        if self.local is not None and self.local.exists() and not self.local.is_dir():
            raise MisuseError(f"--out {self.url} is a file: give a folder.")
        names = self.names()
        if MANIFEST_NAME in names:
            raise MisuseError(
                f"--out {self.url} already holds a dataset ({MANIFEST_NAME}): give another folder, "
                f"or delete this one."
            )
        if PLAN_NAME in names:
            return
        others = sorted(name for name in names - {REJECTED_NAME} if not name.startswith("."))
        if others:
            raise MisuseError(
                f"--out {self.url} holds something else ({others[0]}): give a new or empty folder."
            )


def is_full(error: OSError) -> bool:
    """Whether there was no room left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
