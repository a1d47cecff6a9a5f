"""Open tars of one split: in a folder, or fetched from a URL before they are needed.

Both kinds have the same methods; neither is for more than one thread at a time.
"""

import os
from collections import Counter, OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Protocol

from pipeline.daemon_thread import DaemonThread
from pipeline.errors import DataError
from pipeline.storage.cache import FileCache, Wanted
from pipeline.storage.dataset import SplitIndex
from pipeline.watchdog import StallWatchdog

# The usual limit of a process is 1,024 files.
OPEN_SHARDS = 256
# A request to an object store waits more than it works.
FETCHING_THREADS = 4


class ShardFiles(Protocol):
    def expect(self, shards: Iterable[int]) -> None:
        """These shards will be asked for, once more than so far."""

    def open(self, shard: int, sample: int) -> int:
        """A descriptor, good until the next call. Raises ``DataError`` that names `sample`, for
        which it is opened, or the shard."""

    def done(self, shards: Iterable[int]) -> None:
        """Take an ``expect`` back."""

    def wants_more(self) -> bool:
        """Whether it could use an ``expect`` further ahead."""

    def close(self) -> None: ...


def shard_files(index: SplitIndex, watch: StallWatchdog) -> ShardFiles:
    return LocalFiles(index) if index.cache is None else FetchedFiles(index, index.cache, watch)


class LocalFiles:
    """Tars in a folder."""

    def __init__(self, index: SplitIndex) -> None:
        self._index = index
        self._descriptors: OrderedDict[int, int] = OrderedDict()

    def expect(self, shards: Iterable[int]) -> None:
        pass

    def done(self, shards: Iterable[int]) -> None:
        pass

    def wants_more(self) -> bool:
        return False

    def open(self, shard: int, sample: int) -> int:
        if shard in self._descriptors:
            self._descriptors.move_to_end(shard)
            return self._descriptors[shard]
        try:
            self._descriptors[shard] = os.open(self._index.where(shard), os.O_RDONLY)
        except OSError as error:
            raise DataError(
                f"{self._index.describe(sample)} can't be read ({error.strerror})."
            ) from error
        if len(self._descriptors) > OPEN_SHARDS:
            os.close(self._descriptors.popitem(last=False)[1])
        return self._descriptors[shard]

    def close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])


class FetchedFiles:
    """Tars at a URL, fetched whole into the cache by threads. As many are held there as fit."""

    def __init__(self, index: SplitIndex, cache: FileCache, watch: StallWatchdog) -> None:
        self._index, self._cache, self._watch = index, cache, watch
        self._fetching = DaemonThread("shardline-fetch", FETCHING_THREADS)
        self._files: OrderedDict[int, Future[int]] = OrderedDict()
        self._expected: Counter[int] = Counter()
        self._closed = False
        largest = max(shard.bytes for shard in index.split.shards)
        self._room = min(max(cache.limit_bytes // largest, 1), OPEN_SHARDS)

    def expect(self, shards: Iterable[int]) -> None:
        for shard in shards:
            self._expected[shard] += 1
            if shard in self._files:
                self._files.move_to_end(shard)
            elif len(self._files) < self._room or self._drop(expected_too=False):
                self._begin(shard)

    def done(self, shards: Iterable[int]) -> None:
        self._expected.subtract(shards)
        self._expected += Counter()  # without those that nobody expects any more

    def wants_more(self) -> bool:
        return len(self._expected) < min(self._room // 2, len(self._index.split.shards))

    def open(self, shard: int, sample: int) -> int:
        if (ahead := self._files.get(shard)) and ahead.done() and ahead.exception():
            del self._files[shard]  # what failed when it was fetched ahead is tried once more
        if shard not in self._files:
            if len(self._files) >= self._room:
                self._drop(expected_too=True)
            self._begin(shard)
        self._files.move_to_end(shard)
        return self._files[shard].result()

    def close(self) -> None:
        self._closed = True
        self._fetching.close(wait=not self._watch.stalled)
        while self._files:
            self._files.popitem()[1].add_done_callback(_close_descriptor)

    def _begin(self, shard: int) -> None:
        stated = self._index.split.shards[shard]
        wanted = Wanted(stated.name, stated.bytes, stated.sha256)
        self._files[shard] = self._fetching.submit(
            lambda: self._cache.open(wanted, moved=self._watch.move, stopped=lambda: self._closed)
        )

    def _drop(self, *, expected_too: bool) -> bool:
        """Let go of the file that was not used for longest; whether there was one."""
        droppable = (shard for shard in self._files if shard not in self._expected)
        shard = next(droppable, None)
        if shard is None and expected_too:
            shard = next(iter(self._files))
        if shard is None:
            return False
        self._files.pop(shard).add_done_callback(_close_descriptor)
        return True


def _close_descriptor(future: "Future[int]") -> None:
    if not future.cancelled() and future.exception() is None:
        os.close(future.result())
