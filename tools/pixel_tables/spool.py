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
    stores as (3, h, w) if `planar`. `by_column`: the pixels stand column by column."""

    spool: Path
    rows: NDArray[np.int64]
    shape: tuple[int, ...]
    planar: bool
    by_column: bool = False

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
        return self._arrange(np.frombuffer(raw, np.uint8))

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
        image = self._arrange(raw)[0]
        return np.ascontiguousarray(image if image.ndim == 2 else image[:, :, ::-1])

    def _arrange(self, raw: Pixels) -> Pixels:
        """(n, h, w) or (n, h, w, 3) of the values of n images."""
        height, width = self.shape[:2]
        stored = (width, height) if self.by_column else (height, width)
        planes = (3, *stored) if self.planar else (*stored, *self.shape[2:])
        images = raw.reshape(-1, *planes)
        if self.planar:
            images = images.transpose(0, 2, 3, 1)
        return images.swapaxes(1, 2) if self.by_column else images
