"""A folder of fetched files, shared by all processes of this machine.

    CACHE/lock                                    locked while files are evicted
    CACHE/<dataset>/train-000000.tar              complete; read-only once its SHA-256 is checked
    CACHE/<dataset>/train-000000.tar.<size>.part  being fetched, or left by an interrupted fetch

A reader has a shared lock on its file, a fetcher an exclusive one (flock), so a file that can be
locked exclusively is unused. The locks end with their processes.
"""

import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from pipeline.errors import DataError
from pipeline.storage.answers import BEGINNING_BYTES, about_beginning
from pipeline.storage.cache_eviction import GIB, excess_bytes, is_at, make_room
from pipeline.storage.cached_files import RemoteFile, hash_part, is_whole, open_cached, write
from pipeline.storage.remote import RemoteFolder
from pipeline.storage.stated_values import InvalidValueError, file_name
from pipeline.watchdog import limited_wait

_LOG = logging.getLogger(__name__)

# How often to check whether another process has fetched a file.
POLL_SECONDS = 0.05


class FileCache:
    """The files of one dataset: each is fetched when it is first opened, and evicted for others.

    Safe for any number of threads. `limit_bytes` is for all datasets in `root` together.
    """

    def __init__(self, remote: RemoteFolder, root: Path, dataset: str, limit_bytes: int) -> None:
        self.remote, self.limit_bytes = remote, limit_bytes
        self._root, self.folder = root, root / _plain(dataset)
        self._warned = False
        with self._writing():
            if self.folder.is_symlink():
                raise DataError(f"{self.folder} is a symbolic link: delete it.")
            if self.folder.exists() and not self.folder.is_dir():
                raise DataError(f"{self.folder} is not a folder: delete it.")
            self.folder.mkdir(parents=True, exist_ok=True)

    def open(self, file: RemoteFile, poll: Callable[[int], None] = lambda size: None) -> int:
        """Open the complete file, which is not evicted until the descriptor is closed.

        `poll` is called with the size of the part in bytes, after each block that this process
        fetches and regularly while another one does; it may raise ``InterruptedError`` to stop.
        Raises ``DataError`` if the file can't be fetched.
        """
        while True:
            if (descriptor := self._open_complete(file)) is not None:
                return descriptor
            with self._writing():
                descriptor = self._open_part(file)
                try:
                    if self._lock(descriptor, self._part_path(file), poll):
                        self._fetch(file, descriptor, poll)
                        fcntl.flock(descriptor, fcntl.LOCK_SH)
                        return descriptor
                except BaseException:
                    os.close(descriptor)
                    raise
            os.close(descriptor)

    def path(self, file: RemoteFile) -> Path:
        """The path of the complete file, fetched if it is missing. No loader waits for it, so this
        ends if the server is stuck."""
        os.close(self.open(file, limited_wait(f"{self.remote.url}/{file.name}")))
        return self._complete_path(file)

    def _complete_path(self, file: RemoteFile) -> Path:
        return self.folder / _plain(file.name)

    def _part_path(self, file: RemoteFile) -> Path:
        return self.folder / f"{_plain(file.name)}.{file.bytes}.part"

    def _open_complete(self, file: RemoteFile) -> int | None:
        """A descriptor of the file, None if it is missing, incomplete, damaged or being
        evicted."""
        path = self._complete_path(file)
        with self._writing():
            try:
                descriptor = open_cached(path, os.O_RDONLY)
            except FileNotFoundError:
                return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if is_at(descriptor, path):
                if is_whole(descriptor, file):
                    os.utime(path)  # the time of its last use
                    return descriptor
                path.unlink()
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def _open_part(self, file: RemoteFile) -> int:
        """A descriptor of the part; evicts files to make room for it."""
        path = self._part_path(file)
        lock = open_cached(self._root / "lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                self._make_room(file)
            return open_cached(path, os.O_RDWR | os.O_CREAT)
        finally:
            os.close(lock)

    def _lock(self, descriptor: int, part: Path, poll: Callable[[int], None]) -> bool:
        """Lock `part` when no other process fetches it; False if it has been fetched."""
        while True:
            poll(os.fstat(descriptor).st_size)
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return is_at(descriptor, part)
            time.sleep(POLL_SECONDS)

    def _fetch(self, file: RemoteFile, descriptor: int, poll: Callable[[int], None]) -> None:
        """Fetch the rest of the part, check its SHA-256, and rename it."""
        part, beginning = self._part_path(file), b""
        for _ in range(2):
            sha256 = hashlib.sha256()
            done = hash_part(descriptor, file.bytes, sha256)
            with closing(self.remote.fetch(file.name, done, file.bytes)) as blocks:
                for block in blocks:
                    write(descriptor, block, done)
                    sha256.update(block)
                    done += len(block)
                    poll(done)
            if sha256.hexdigest() == file.sha256:
                os.fsync(descriptor)
                if is_whole(descriptor, file):
                    part.replace(self._complete_path(file))
                    return
            beginning = os.pread(descriptor, BEGINNING_BYTES, 0)
            os.ftruncate(descriptor, 0)
            if done < file.bytes:
                break
        part.unlink()
        raise self._refusal(file, done, sha256.hexdigest(), beginning)

    def _refusal(self, file: RemoteFile, done: int, sha256: str, beginning: bytes) -> DataError:
        """The error of a file that came with `done` bytes."""
        problem = (
            f"was fetched twice, and its SHA-256 is not the one in dataset.json (wanted: "
            f"{file.bytes:,} bytes, {file.sha256[:12]}...; came: {done:,} bytes, {sha256[:12]}...)"
        )
        if done < file.bytes:
            problem = f"ends after {done:,} of {file.bytes:,} bytes"
        return DataError(
            f"{self.remote.url}/{file.name} {problem}: it was cut off or changed. Upload it again, "
            f"or make the shards again.{about_beginning(beginning)}"
        )

    def _make_room(self, file: RemoteFile) -> None:
        """Evict files for `file`, if the URL has as many bytes as ``dataset.json`` states."""
        if excess_bytes(self._root, file.bytes, self.limit_bytes) <= 0:
            return
        if file.bytes > self.limit_bytes:
            raise DataError(
                f"{self.remote.url}/{file.name} is {file.bytes / GIB:.2g} GiB large, more than "
                f"--cache-size {self.limit_bytes / GIB:.2g}: use a larger one."
            )
        if (size := self.remote.size_bytes(file.name)) != file.bytes:
            raise DataError(
                f"{self.remote.url}/{file.name} is {size} bytes long, dataset.json says "
                f"{file.bytes}: it was cut off or changed. Upload it again."
                f"{self.remote.about_beginning(file.name)}"
            )
        excess = make_room(self._root, file.bytes, self.limit_bytes)
        if excess > 0 and not self._warned:
            self._warned = True
            _LOG.warning(
                f"{self._root} exceeds --cache-size by {excess / GIB:.2g} GiB, because all files "
                f"in it are in use: use a larger --cache-size or a smaller --shuffle-window."
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn errors of the cache's disk into ``DataError``."""
        try:
            yield
        except InterruptedError:
            raise
        except OSError as error:
            raise DataError(
                f"The cache {self.folder} can't be written ({error.strerror}): make room, or use "
                f"another --cache-dir."
            ) from error


def _plain(name: str) -> str:
    """The name of a file or folder in the cache; raises ``DataError`` for one outside of it."""
    try:
        return file_name(name)
    except InvalidValueError as error:
        raise DataError(
            f"The cache does not keep {name!r}: it is not a plain file name."
        ) from error
