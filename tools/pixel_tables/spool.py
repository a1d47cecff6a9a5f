"""The pixels of a CSV, parsed once into a file of raw bytes that worker processes read."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.images.codec import Pixels


@dataclass(frozen=True)
class SpooledPixels:
    """Images at `rows` of the file `spool`; `shape` is (h, w), or (h, w, 3) for RGB, which the file
    stores as (3, h, w) if `planar`."""

    spool: Path
    rows: NDArray[np.int64]
    shape: tuple[int, ...]
    planar: bool

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def mean_bytes(self) -> int:
        """The size of an image."""
        return int(np.prod(self.shape))

    def take(self, numbers: NDArray[np.int64]) -> "SpooledPixels":
        """The images of these numbers, in this order."""
        return replace(self, rows=self.rows[numbers])

    def stack(self) -> Pixels:
        """All images at once: uint8 (n, h, w) or (n, h, w, 3) RGB."""
        size_bytes = self.mean_bytes
        with self.spool.open("rb", buffering=0) as file:
            raw = b"".join(
                os.pread(file.fileno(), size_bytes, row * size_bytes) for row in self.rows.tolist()
            )
        out = np.frombuffer(raw, np.uint8)
        if self.planar:
            return out.reshape(-1, 3, *self.shape[:2]).transpose(0, 2, 3, 1)
        return out.reshape(-1, *self.shape)

    def load(self, max_bytes: int) -> Iterator[tuple[int, Pixels]]:
        """Yield the size in bytes and the pixels, (h, w) or (h, w, 3) BGR, of each image."""
        size_bytes = self.mean_bytes
        file = os.open(self.spool, os.O_RDONLY)
        try:
            for row in self.rows.tolist():
                # Not a memory map, whose pages would count as memory of this process.
                raw = np.frombuffer(os.pread(file, size_bytes, row * size_bytes), np.uint8)
                yield size_bytes, self._to_image(raw)
        finally:
            os.close(file)

    def _to_image(self, raw: Pixels) -> Pixels:
        if len(self.shape) == 2:
            return raw.reshape(self.shape)
        if self.planar:
            raw = raw.reshape(3, *self.shape[:2]).transpose(1, 2, 0)
        return np.ascontiguousarray(raw.reshape(self.shape)[:, :, ::-1])
