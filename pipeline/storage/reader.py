"""The bytes of samples, out of the tars: images, and masks where there are some.

They are read by pread into a buffer per batch: a shard that was cut off under the job is then a
short read, which can be told to the user, where a mapping would end the process (SIGBUS).
"""

import os
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.storage.dataset import SplitIndex
from pipeline.storage.shard_files import shard_files
from pipeline.watchdog import StallWatchdog

Bytes = NDArray[np.uint8]

DAMAGED = "its bytes are not those that were written (crc32)"

# Where a component lies, and whose it is.
EXTENT_DTYPE = np.dtype(
    [("sample", "<i8"), ("shard", "<u4"), ("offset", "<u8"), ("size", "<u4"), ("crc32", "<u4")]
)


class ShardReader:
    """Reads one split: images, with `masks` their masks, too. Not for more than one thread at a
    time.

    `verify` checks each component's crc32 (1 % of the time that decoding takes): flipped bits of a
    JPEG decode to a wrong picture without a word, and DALI 2.4 crashes on some damaged batches.
    """

    def __init__(
        self, index: SplitIndex, *, verify: bool, watch: StallWatchdog, masks: bool = False
    ) -> None:
        self._index, self._verify, self._watch, self._masks = index, verify, watch, masks
        self._files = shard_files(index, watch)

    def advise(self, samples: NDArray[np.int64]) -> None:
        """`samples` will be read: let the shards that lie elsewhere be fetched, and the kernel
        begin to read what lies here, all at once."""
        if self._index.cache is not None:
            self._files.expect(np.unique(self._index.samples["shard"][samples]).tolist())
            return
        for descriptor, _, offset, size in self._opened(self._extents(samples)):
            os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_WILLNEED)

    def wants_more_advice(self) -> bool:
        """Whether shards further ahead should be fetched."""
        return self._files.wants_more()

    def forget(self, samples: NDArray[np.int64]) -> None:
        """What was advised is read, or won't be."""
        if self._index.cache is not None:
            self._files.done(np.unique(self._index.samples["shard"][samples]).tolist())

    def read(
        self, samples: NDArray[np.int64], spare: Bytes | None = None
    ) -> tuple[list[Bytes], list[int]]:
        """The image bytes of each of `samples`, then each one's mask bytes where masks are read,
        views of one buffer, and the places of those that are damaged. The buffer is `spare` if it
        is large enough, since fresh memory costs as much time as filling it.

        Raises ``DataError`` that names shard and sample if a tar is gone or shorter than its index:
        it then was changed under the job, and nothing in it can be trusted.
        """
        extents = self._extents(samples)
        ends = np.cumsum(extents["size"], dtype=np.int64).tolist()
        if spare is None or len(spare) < ends[-1]:
            spare = np.empty(ends[-1] * 9 // 8, np.uint8)  # so that it fits the next ones too
        views = [spare[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        crc32 = extents["crc32"].tolist()
        damaged = []
        for descriptor, place, offset, size in self._opened(extents):
            data = views[place].data
            if (read := os.preadv(descriptor, [data], offset)) != size:
                sample = int(extents["sample"][place])
                raise DataError(
                    f"{self._index.describe(sample)} is cut off after {read} of {size} "
                    f"bytes: the shard changed under the job. Copy it again and resume."
                )
            if self._verify and zlib.crc32(data) != crc32[place]:
                damaged.append(place)
        return views, sorted(damaged)

    def close(self) -> None:
        self._files.close()

    def _extents(self, samples: NDArray[np.int64]) -> NDArray[np.void]:
        """EXTENT_DTYPE, (B,) of the images; of masks and images (2 B,)."""
        rows = self._index.samples[samples]
        tables = [rows, self._index.masks[samples]] if self._masks else [rows]
        extents = np.empty((len(tables), len(samples)), EXTENT_DTYPE)
        for part, table in zip(extents, tables, strict=True):
            part["sample"], part["shard"] = samples, rows["shard"]
            for name in ("offset", "size", "crc32"):
                part[name] = table[name]
        return extents.reshape(-1)

    def _opened(self, extents: NDArray[np.void]) -> Iterator[tuple[int, int, int, int]]:
        """(descriptor of its tar, place, offset, size) of each of `extents`, as they lie in the
        tars. A descriptor is good until the next."""
        order = np.lexsort((extents["offset"], extents["shard"]))
        columns = (order, *(extents[name][order] for name in ("shard", "offset", "size")))
        opened, descriptor = None, -1
        for place, shard, offset, size in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            if shard != opened:
                self._watch.move(f"reading {self._index.where(shard)}")
                descriptor = self._files.open(shard, int(extents["sample"][place]))
                opened = shard
            yield descriptor, place, offset, size
