"""The bytes of samples, out of the tars.

They are read by pread into a buffer per batch: a shard that was cut off under the job is then a
short read, which can be told to the user, where a mapping would end the process (SIGBUS).
"""

import os
import zlib
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from pipeline.dataset import SplitIndex
from pipeline.errors import DataError

Bytes = NDArray[np.uint8]

# Open tars; the usual limit of a process is 1,024 files.
OPEN_SHARDS = 256
DAMAGED = "its bytes are not those that were written (crc32)"


class ShardReader:
    """Open tars of one split. Not for more than one thread at a time.

    `verify` checks each sample's crc32 (1 % of the time that decoding takes): flipped bits of a
    JPEG decode to a wrong picture without a word, and DALI 2.4 crashes on some damaged batches.
    """

    def __init__(self, index: SplitIndex, *, verify: bool) -> None:
        self._index, self._verify = index, verify
        self._descriptors: OrderedDict[int, int] = OrderedDict()

    def advise(self, samples: NDArray[np.int64]) -> None:
        """Let the kernel begin to fetch `samples`, all at once, from wherever they lie."""
        rows = self._index.samples[samples]
        for sample, shard, offset, size in _places(samples, rows):
            os.posix_fadvise(self._open(shard, sample), offset, size, os.POSIX_FADV_WILLNEED)

    def read(
        self, samples: NDArray[np.int64], spare: Bytes | None = None
    ) -> tuple[list[Bytes], list[int]]:
        """The image bytes of each of `samples`, views of one buffer, and the places of those that
        are damaged. The buffer is `spare` if it is large enough, since fresh memory costs as much
        time as filling it.

        Raises ``DataError`` that names shard and sample if a tar is gone or shorter than its index:
        it then was changed under the job, and nothing in it can be trusted.
        """
        rows = self._index.samples[samples]
        ends = np.cumsum(rows["size"], dtype=np.int64).tolist()
        if spare is None or len(spare) < ends[-1]:
            spare = np.empty(ends[-1] * 9 // 8, np.uint8)  # so that it fits the next ones too
        views = [spare[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        damaged = []
        for place, (view, (sample, shard, offset, size), crc32) in enumerate(
            zip(views, _places(samples, rows), rows["crc32"].tolist(), strict=True)
        ):
            read = os.preadv(self._open(shard, sample), [view.data], offset)
            if read != size:
                raise DataError(
                    f"{self._index.describe(sample)} is cut off after {read} of {size} bytes: "
                    f"the shard changed under the job. Copy it again and resume."
                )
            if self._verify and zlib.crc32(view.data) != crc32:
                damaged.append(place)
        return views, damaged

    def close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])

    def _open(self, shard: int, sample: int) -> int:
        if shard in self._descriptors:
            self._descriptors.move_to_end(shard)
            return self._descriptors[shard]
        path = self._index.directory / self._index.split.shards[shard].name
        try:
            self._descriptors[shard] = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise DataError(
                f"{self._index.describe(sample)} can't be read ({error.strerror})."
            ) from error
        if len(self._descriptors) > OPEN_SHARDS:
            os.close(self._descriptors.popitem(last=False)[1])
        return self._descriptors[shard]


def _places(samples: NDArray[np.int64], rows: NDArray[np.void]) -> list[tuple[int, ...]]:
    """(sample, shard, offset, size) of each row, as plain integers."""
    columns = (samples, rows["shard"], rows["offset"], rows["size"])
    return list(zip(*(column.tolist() for column in columns), strict=True))
