"""Read the bytes of samples from the tars: images, and masks if the task has them.

pread copies them into one buffer per batch. If a shard is truncated during the run, that is a short
read, which can be reported; a memory map would end the process (SIGBUS).
"""

import os
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.arrays import Bytes, Integers
from pipeline.errors import DataError
from pipeline.storage.dataset import SplitIndex
from pipeline.storage.shard_files import shard_files
from pipeline.watchdog import StallWatchdog

DAMAGED = "its bytes have changed since they were written (crc32)"

# The bytes of a component, and the sample that it belongs to.
EXTENT_DTYPE = np.dtype(
    [("sample", "<i8"), ("shard", "<u4"), ("offset", "<u8"), ("size", "<u4"), ("crc32", "<u4")]
)


def read_into(descriptor: int, data: memoryview, offset: int) -> int:
    """Fill `data` from `offset` of a file; returns the bytes that it has, fewer at its end. A read
    may give less than it was asked for, as network disks do."""
    done = os.preadv(descriptor, [data], offset)
    while done < len(data) and (more := os.preadv(descriptor, [data[done:]], offset + done)):
        done += more
    return done


class ShardReader:
    """Reads images of one split, and their masks if `masks`. Not safe for more than one thread at a
    time.

    `verify` checks each component's crc32, which takes 1 % of the decoding time: a JPEG with
    flipped bits decodes to a wrong image without an error, and DALI 2.4 crashes on some damaged
    batches.
    """

    def __init__(
        self, index: SplitIndex, *, verify: bool, watchdog: StallWatchdog, masks: bool = False
    ) -> None:
        self._index, self._verify, self._watchdog, self._masks = index, verify, watchdog, masks
        self._files = shard_files(index, watchdog)

    def advise(self, samples: Integers) -> None:
        """Announce that `samples` (B,) will be read: remote shards are fetched, and the kernel
        starts to read local ones, all at once."""
        if self._index.cache is not None:
            self._files.expect(np.unique(self._index.samples["shard"][samples]).tolist())
            return
        for descriptor, _, offset, size in self._open_tars(self._extents(samples)):
            os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_WILLNEED)

    def wants_more_advice(self) -> bool:
        """Whether shards further ahead should be fetched."""
        return self._files.wants_more()

    def release(self, samples: Integers) -> None:
        """Withdraw what ``advise`` announced: `samples` have been read, or won't be."""
        if self._index.cache is not None:
            self._files.done(np.unique(self._index.samples["shard"][samples]).tolist())

    def read(self, samples: Integers, spare: Bytes | None = None) -> tuple[list[Bytes], list[int]]:
        """Read `samples` (B,). Returns views of one buffer, the B images and then the B masks if
        masks are read, and the indices of damaged ones. The view of a mask that a sample lacks is
        empty. The buffer is `spare` if it is large enough, because allocating memory takes as long
        as filling it.

        Raises ``DataError`` with shard and sample if a tar is missing or shorter than its index
        says: it was changed during the run, and none of it can be trusted.
        """
        extents = self._extents(samples)
        ends = np.cumsum(extents["size"], dtype=np.int64).tolist()
        if spare is None or len(spare) < ends[-1]:
            spare = np.empty(ends[-1] * 9 // 8, np.uint8)  # to fit the next batches, too
        views = [spare[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        crc32 = extents["crc32"].tolist()
        damaged = []
        for descriptor, i, offset, size in self._open_tars(extents):
            data = views[i].data
            if (read := read_into(descriptor, data, offset)) != size:
                sample = int(extents["sample"][i])
                raise DataError(
                    f"{self._index.describe(sample)} is cut off after {read} of {size} "
                    f"bytes: the shard was changed during the run. Copy it again and resume."
                )
            if self._verify and zlib.crc32(data) != crc32[i]:
                damaged.append(i)
        return views, sorted(damaged)

    def close(self) -> None:
        self._files.close()

    def _extents(self, samples: Integers) -> NDArray[np.void]:
        """EXTENT_DTYPE, (B,) of the images, or (2 B,) of images and masks."""
        rows = self._index.samples[samples]
        tables = [rows, self._index.masks[samples]] if self._masks else [rows]
        extents = np.empty((len(tables), len(samples)), EXTENT_DTYPE)
        for part, table in zip(extents, tables, strict=True):
            part["sample"], part["shard"] = samples, rows["shard"]
            for name in ("offset", "size", "crc32"):
                part[name] = table[name]
        return extents.reshape(-1)

    def _open_tars(self, extents: NDArray[np.void]) -> Iterator[tuple[int, int, int, int]]:
        """Yield (descriptor of the tar, index, offset, size) of each of `extents` that has bytes (a
        sample may lack a mask), in the order of the tars. A descriptor is valid until the next
        one."""
        order = np.lexsort((extents["offset"], extents["shard"]))
        if self._masks:
            order = order[extents["size"][order] > 0]
        columns = (order, *(extents[name][order] for name in ("shard", "offset", "size")))
        opened, descriptor = None, -1
        for i, shard, offset, size in zip(*(column.tolist() for column in columns), strict=True):
            if shard != opened:
                self._watchdog.heartbeat(f"reading {self._index.where(shard)}")
                descriptor = self._files.open(shard, int(extents["sample"][i]))
                opened = shard
            yield descriptor, i, offset, size
