"""Encoded images, one after the other in a file, that worker processes read."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.download.image_files import too_large


@dataclass(frozen=True)
class SpooledFiles:
    """Image files in `spool`: `sizes` bytes from `offsets` on, int64 (n,) each; a size of -1 stands
    for a row without an image."""

    spool: Path
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def mean_bytes(self) -> int:
        """The mean size of an image."""
        return int(self.sizes.clip(0).mean()) if len(self) else 0

    def take(self, numbers: NDArray[np.int64]) -> "SpooledFiles":
        """The images of these numbers, in this order."""
        return replace(self, offsets=self.offsets[numbers], sizes=self.sizes[numbers])

    def load(self, max_bytes: int) -> Iterator[tuple[int, bytes | str]]:
        """Yield the size in bytes of each image, and its bytes or why it is rejected."""
        file = os.open(self.spool, os.O_RDONLY)
        try:
            for offset, size in zip(self.offsets.tolist(), self.sizes.tolist(), strict=True):
                if size < 0:
                    yield 0, "the row has no image"
                elif size > max_bytes:
                    yield size, too_large(size)
                else:
                    yield size, os.pread(file, size, offset)
        finally:
            os.close(file)
