"""The output: a local folder or an fsspec URL, which shows whether the dataset is complete.

    OUT/train-000000.tar       a finished shard
    OUT/.unfinished/           state for resuming; removed when the dataset is complete
    OUT/dataset.json           the manifest, written last

Files are written under another name, forced to disk and then renamed.
"""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.errors import DataError, MisuseError
from pipeline.storage.cache_eviction import is_at
from pipeline.storage.file_systems import lock, sync
from pipeline.storage.folder_kinds import UNFINISHED
from pipeline.storage.manifest import DUPLICATES_NAME, MANIFEST_NAME, REJECTED_NAME, SPLITS
from tools.download.storage import Location

PLAN_NAME = f"{UNFINISHED}/plan.json"
_LOCK, _SCRATCH = f"{UNFINISHED}/lock", f"{UNFINISHED}/scratch"
# Those of a split, rejected.csv and duplicates.csv, before and after appends.
_TABLE = re.compile(
    rf"({'|'.join(SPLITS)})\.(samples|targets|masks|sources|submission)(-\d+)?\.(npy|parquet)"
    rf"|(rejected|duplicates)(-\d+)?\.csv"
)


@dataclass(frozen=True)
class Store(Location):
    """The files in `url`, by name; cheap to pickle. All methods raise ``OSError``."""

    option: ClassVar[str] = "--out "

    def names(self) -> set[str]:
        """All files; those in UNFINISHED have it before their names."""
        if self.local is not None:
            paths = (*self.local.glob("*"), *self.local.glob(f"{UNFINISHED}/*"))
            return {path.relative_to(self.local).as_posix() for path in paths}
        filesystem, root = self.remote
        filesystem.invalidate_cache()
        if not filesystem.exists(root):
            return set()
        return {path.removeprefix(root).lstrip("/") for path in filesystem.find(root)}

    def put(self, path: Path, name: str) -> None:
        """Move the file `path` to `name`, after forcing it to disk."""
        if self.local is not None:
            sync(path)
            target = self.local / name
            path.replace(target)
            sync(target.parent)
        else:
            filesystem, root = self.remote
            filesystem.put_file(str(path), f"{root}/{name}")
            path.unlink()

    def write(self, data: bytes, name: str, folder: Path) -> None:
        """Put a small file, which is written in the scratch `folder` first."""
        path = folder / Path(name).name
        path.write_bytes(data)
        self.put(path, name)

    def read(self, name: str) -> bytes:
        """The contents of a small file."""
        if self.local is not None:
            return (self.local / name).read_bytes()
        filesystem, root = self.remote
        return bytes(filesystem.cat_file(f"{root}/{name}"))

    def size_bytes(self, name: str) -> int:
        if self.local is not None:
            return (self.local / name).stat().st_size
        filesystem, root = self.remote
        return int(filesystem.info(f"{root}/{name}")["size"])

    def sha256(self, name: str) -> str:
        """SHA-256 in hex."""
        if self.local is None:
            return hashlib.sha256(self.read(name)).hexdigest()
        with (self.local / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def remove(self, name: str) -> None:
        if self.local is not None:
            (self.local / name).unlink(missing_ok=True)
        else:
            filesystem, root = self.remote
            filesystem.rm_file(f"{root}/{name}")

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for unfinished files, on the disk of a local output."""
        parent = None if self.local is None else self.local / UNFINISHED / "scratch"
        if parent is not None:
            parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix="shardline-", dir=parent, ignore_cleanup_errors=True
        ) as folder:
            yield Path(folder)

    @contextmanager
    def lock(self, *, appends: bool = False) -> Iterator[None]:
        """Lock the output against other runs. At the end the scratch files are removed, and the
        state for resuming if no shard is written. Raises ``MisuseError`` if the output holds other
        files, or a dataset unless the run `appends`, ``DataError`` if it can't be written or
        another run has locked it."""
        self._require_own_files(appends=appends)
        if self.local is None:
            yield
            return
        lock_file, unfinished = self._lock(self.local / UNFINISHED), self.local / UNFINISHED
        try:
            # Another run may have written since.
            self._require_own_files(appends=appends)
            shutil.rmtree(unfinished / "scratch", ignore_errors=True)
            yield
        finally:
            shutil.rmtree(unfinished / "scratch", ignore_errors=True)
            if not self._has_written(unfinished):
                shutil.rmtree(unfinished, ignore_errors=True)
                if not any(self.local.iterdir()):
                    self.local.rmdir()
            os.close(lock_file)

    def _has_written(self, unfinished: Path) -> bool:
        """Whether a run that has not ended wrote a shard, or the tar of a shard of a new dataset:
        without its plan, that tar would be a foreign file to the next run."""
        folder = unfinished.parent
        has_plan, is_new = (folder / PLAN_NAME).exists(), not (folder / MANIFEST_NAME).exists()
        return any(unfinished.glob("*.tar.json")) or (
            has_plan and is_new and any(folder.glob("*.tar"))
        )

    def _lock(self, unfinished: Path) -> int:
        """The locked file of the output. Raises ``DataError``."""
        path = unfinished / "lock"
        try:
            while True:
                unfinished.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
                try:
                    lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, name=self.url)
                    # The run that had it removes it at its end.
                    if is_at(descriptor, path):
                        return descriptor
                except OSError:
                    os.close(descriptor)
                    raise
                os.close(descriptor)
        except BlockingIOError as error:
            raise DataError(
                f"Another tools/shard is writing to --out {self.url}: wait for it to finish."
            ) from error
        except OSError as error:
            raise DataError(f"--out {self.url} can't be written: {error.strerror}.") from error

    def finish(self, manifest: Path, files: Collection[str]) -> None:
        """Put the manifest, which completes the dataset and lists `files`, and remove the state for
        resuming and tables that it replaces."""
        self.put(manifest, MANIFEST_NAME)
        self.clean_up(files)

    def clean_up(self, files: Collection[str]) -> None:
        """Remove tables that the manifest does not list among its `files`, and the state for
        resuming, the plan last: as long as it is there, the same command finishes the clean-up."""
        for name in sorted(self.names(), key=lambda name: name == PLAN_NAME):
            is_state = name.startswith(f"{UNFINISHED}/") and name not in (_LOCK, _SCRATCH)
            if is_state or (_TABLE.fullmatch(name) and name not in files):
                self.remove(name)

    def _require_own_files(self, *, appends: bool) -> None:
        if self.local is not None and self.local.exists() and not self.local.is_dir():
            raise MisuseError(f"--out {self.url} is a file: give a folder.")
        names = self.names()
        if PLAN_NAME in names or (appends and MANIFEST_NAME in names):
            return
        if MANIFEST_NAME in names:
            raise MisuseError(
                f"--out {self.url} already holds a dataset ({MANIFEST_NAME}): pass --append to add "
                f"to it, give another folder, or delete this one."
            )
        foreign = sorted(
            name for name in names - {REJECTED_NAME, DUPLICATES_NAME} if not name.startswith(".")
        )
        if foreign:
            raise MisuseError(
                f"--out {self.url} holds other files ({foreign[0]}): give a new or empty folder."
            )
