"""Open the tars of one split, in a folder or fetched from a URL before they are needed.

Both classes have the same methods; neither is safe for more than one thread at a time.
"""

import os
from collections import Counter, OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path

from pipeline.daemon_thread import DaemonThread
from pipeline.errors import DataError
from pipeline.limits.open_files import raise_open_files
from pipeline.storage.cache import FileCache
from pipeline.storage.cached_files import RemoteFile
from pipeline.storage.dataset import SplitIndex
from pipeline.watchdog import LEAST_BYTES, Delivery, StallWatchdog

# At most so many, and a quarter of the files that the process may still open.
OPEN_SHARDS, _OPEN_PART = 256, 4
# Requests to an object store wait more than they work.
FETCHING_THREADS = 4


def open_shards() -> int:
    """The number of tars that stay open, by the limit of this process, which is raised to 1,024
    files where it may be."""
    limit = raise_open_files()
    used = sum(1 for _ in Path("/proc/self/fd").iterdir())
    return max(1, min(OPEN_SHARDS, (limit - used) // _OPEN_PART))


class LocalFiles:
    """Tars in a folder."""

    def __init__(self, index: SplitIndex) -> None:
        self._index = index
        self._descriptors: OrderedDict[int, int] = OrderedDict()
        self._capacity = open_shards()

    def expect(self, shards: Iterable[int]) -> None:
        """Announce that each of `shards` will be opened."""

    def done(self, shards: Iterable[int]) -> None:
        """Withdraw one ``expect`` of each of `shards`."""

    def wants_more(self) -> bool:
        """Whether an ``expect`` of shards further ahead helps."""
        return False

    def open(self, shard: int, sample: int) -> int:
        """A descriptor, valid until the next call. Raises ``DataError`` that names `sample`, whose
        bytes are to be read, or the shard."""
        if shard in self._descriptors:
            self._descriptors.move_to_end(shard)
            return self._descriptors[shard]
        try:
            self._descriptors[shard] = os.open(self._index.where(shard), os.O_RDONLY)
        except OSError as error:
            raise DataError(
                f"{self._index.describe(sample)} can't be read ({error.strerror})."
            ) from error
        if len(self._descriptors) > self._capacity:
            os.close(self._descriptors.popitem(last=False)[1])
        return self._descriptors[shard]

    def close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])


class FetchedFiles:
    """Tars at a URL, which threads fetch into the cache; as many stay open as fit in it."""

    def __init__(self, index: SplitIndex, cache: FileCache, watchdog: StallWatchdog) -> None:
        self._index, self._cache, self._watchdog = index, cache, watchdog
        self._fetching = DaemonThread("shardline-fetch", FETCHING_THREADS)
        self._files: OrderedDict[int, Future[int]] = OrderedDict()
        self._expected: Counter[int] = Counter()
        self._closed = False
        largest = max(shard.bytes for shard in index.split.shards)
        self._capacity = min(max(cache.limit_bytes // largest, 1), open_shards())

    def expect(self, shards: Iterable[int]) -> None:
        for shard in shards:
            self._expected[shard] += 1
            if shard in self._files:
                self._files.move_to_end(shard)
            elif len(self._files) < self._capacity or self._drop(even_expected=False):
                self._fetch(shard)

    def done(self, shards: Iterable[int]) -> None:
        self._expected.subtract(shards)
        self._expected += Counter()  # removes counts of 0

    def wants_more(self) -> bool:
        return len(self._expected) < min(self._capacity // 2, len(self._index.split.shards))

    def open(self, shard: int, sample: int) -> int:
        if (ahead := self._files.get(shard)) and ahead.done() and ahead.exception():
            del self._files[shard]  # retry a fetch that failed ahead of time
        if shard not in self._files:
            if len(self._files) >= self._capacity:
                self._drop(even_expected=True)
            self._fetch(shard)
        self._files.move_to_end(shard)
        if not self._files[shard].done():
            where = self._index.where(shard)
            missing = f"less than {LEAST_BYTES:,} bytes of it came"
            self._watchdog.heartbeat(f"reading {where} ({missing})")
        return self._files[shard].result()

    def close(self) -> None:
        self._closed = True
        self._fetching.close(wait=not self._watchdog.stalled)
        while self._files:
            self._files.popitem()[1].add_done_callback(_close_descriptor)

    def _fetch(self, shard: int) -> None:
        stored = self._index.split.shards[shard]
        file = RemoteFile(stored.name, stored.bytes, stored.sha256)
        delivery = Delivery()

        def poll(size: int) -> None:
            if self._closed:
                raise InterruptedError
            if delivery.progressed(size):
                self._watchdog.heartbeat()

        self._files[shard] = self._fetching.submit(lambda: self._cache.open(file, poll))

    def _drop(self, *, even_expected: bool) -> bool:
        """Close the least recently used file; False if all are expected and must stay."""
        unexpected = (shard for shard in self._files if shard not in self._expected)
        shard = next(unexpected, next(iter(self._files)) if even_expected else None)
        if shard is None:
            return False
        self._files.pop(shard).add_done_callback(_close_descriptor)
        return True


ShardFiles = LocalFiles | FetchedFiles


def shard_files(index: SplitIndex, watchdog: StallWatchdog) -> ShardFiles:
    """The tars of a split, where the dataset is."""
    return LocalFiles(index) if index.cache is None else FetchedFiles(index, index.cache, watchdog)


def _close_descriptor(future: "Future[int]") -> None:
    if not future.cancelled() and future.exception() is None:
        os.close(future.result())
