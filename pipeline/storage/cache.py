"""A folder of fetched files, shared by all processes of this machine.

    CACHE/lock                                    held while room is made
    CACHE/<dataset>/train-000000.tar              whole, its SHA-256 checked
    CACHE/<dataset>/train-000000.tar.<size>.part  being fetched, or left by a fetch that broke off

Who reads a file holds a shared lock on it and who fetches it an exclusive one (flock), so what
nobody needs is what can be locked exclusively. Locks end with their processes.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError
from pipeline.log import warn
from pipeline.storage.cache_eviction import GIB, is_at, make_room
from pipeline.storage.remote import RemoteFolder

# How often to look whether another process has finished a file.
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Wanted:
    """A file of a dataset: name, size in bytes, SHA-256 in hex."""

    name: str
    bytes: int
    sha256: str


class FileCache:
    """The files of one dataset: fetched when they are first opened, kept as long as there is room.

    For any number of threads. `limit_bytes` is for all datasets in `root` together.
    """

    def __init__(self, remote: RemoteFolder, root: Path, dataset: str, limit_bytes: int) -> None:
        self.remote, self.limit_bytes = remote, limit_bytes
        self._root, self.folder = root, root / dataset
        self._told = False
        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)

    def open(
        self,
        wanted: Wanted,
        *,
        moved: Callable[[], None] = lambda: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> int:
        """A descriptor of the whole file, which keeps it from being evicted until it is closed.

        `moved` is called now and then while it comes, by this process or another. Raises
        ``DataError`` if it can't be had, ``InterruptedError`` soon after `stopped` is true.
        """
        while True:
            if (descriptor := self._opened(wanted)) is not None:
                return descriptor
            with self._writing():
                descriptor = self._part(wanted)
                try:
                    if self._lock(descriptor, self._part_path(wanted), moved, stopped):
                        self._fetch(wanted, descriptor, moved, stopped)
                        fcntl.flock(descriptor, fcntl.LOCK_SH)
                        return descriptor
                except BaseException:
                    os.close(descriptor)
                    raise
            os.close(descriptor)

    def path(self, wanted: Wanted) -> Path:
        """Where the file lies, fetched if it is not there."""
        os.close(self.open(wanted))
        return self.folder / wanted.name

    def _part_path(self, wanted: Wanted) -> Path:
        return self.folder / f"{wanted.name}.{wanted.bytes}.part"

    def _opened(self, wanted: Wanted) -> int | None:
        """A descriptor of the file if it is there, whole and not just being evicted."""
        path = self.folder / wanted.name
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if not is_at(descriptor, path):
                whole = False
            elif not (whole := os.fstat(descriptor).st_size == wanted.bytes):
                path.unlink()
            else:
                os.utime(path)  # the time of its last use
        except BaseException:
            os.close(descriptor)
            raise
        if whole:
            return descriptor
        os.close(descriptor)
        return None

    def _part(self, wanted: Wanted) -> int:
        """A descriptor of the part, for which there is room now."""
        path = self._part_path(wanted)
        with self._making_room():
            if not path.exists():
                self._make_room(wanted.bytes)
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def _lock(
        self,
        descriptor: int,
        part: Path,
        moved: Callable[[], None],
        stopped: Callable[[], bool],
    ) -> bool:
        """Wait until nobody else fetches `part`; whether it still is to be fetched."""
        size = -1
        while True:
            if stopped():
                raise InterruptedError
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return is_at(descriptor, part)
            if size != (size := os.fstat(descriptor).st_size):
                moved()
            time.sleep(POLL_SECONDS)

    def _fetch(
        self,
        wanted: Wanted,
        descriptor: int,
        moved: Callable[[], None],
        stopped: Callable[[], bool],
    ) -> None:
        """Go on with the part to its end, check it, and give it its name."""
        for _ in range(2):
            found = hashlib.sha256()
            done = _hash_start(descriptor, wanted.bytes, found)
            while done < wanted.bytes:
                if stopped():
                    raise InterruptedError
                block = self.remote.read_block(wanted.name, done)[: wanted.bytes - done]
                os.pwrite(descriptor, block, done)
                found.update(block)
                done += len(block)
                moved()
            if found.hexdigest() == wanted.sha256:
                os.fsync(descriptor)
                self._part_path(wanted).replace(self.folder / wanted.name)
                return
            os.ftruncate(descriptor, 0)
        self._part_path(wanted).unlink()
        raise DataError(
            f"{self.remote.url}/{wanted.name} was fetched twice, and its SHA-256 is not the one "
            f"that dataset.json states: copy it there again, or make the shards again."
        )

    @contextmanager
    def _making_room(self) -> Iterator[None]:
        lock = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _make_room(self, needed_bytes: int) -> None:
        """Remove what was not used for longest, and nobody uses, until there is room."""
        excess = make_room(self._root, needed_bytes, self.limit_bytes)
        if excess > 0 and not self._told:
            self._told = True
            warn(
                f"{self._root} grows by {excess / GIB:.2g} GiB beyond --cache-size, since all that "
                f"is in it is in use: give a larger --cache-size, or a smaller --shuffle-window."
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn errors of the cache's own disk into ``DataError``."""
        try:
            yield
        except InterruptedError:
            raise
        except OSError as error:
            raise DataError(
                f"The cache {self.folder} can't be written ({error.strerror}): make room, or name "
                f"another folder by --cache-dir."
            ) from error


def _hash_start(descriptor: int, limit_bytes: int, found: "hashlib._Hash") -> int:
    """Hash what a part already holds; how many bytes that are."""
    done = 0
    if os.fstat(descriptor).st_size > limit_bytes:
        os.ftruncate(descriptor, 0)
    while block := os.pread(descriptor, 2**20, done):
        found.update(block)
        done += len(block)
    return done
